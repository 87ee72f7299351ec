import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect as connectHttp2 } from "node:http2";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { RequestPolicy, TokenRule } from "../../src/registry/model/proxy-policies.ts";
import { NOBODYS_KEYS } from "../../src/registry/kube/token-keys.ts";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { jwksCluster } from "../../src/xds/envoy/jwks-clusters.ts";
import { outboundName } from "../../src/xds/envoy/resource-names.ts";
import { type Echoed, EchoServer } from "./echo-server.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { ISSUERS, type SampleToken } from "./policy-samples.ts";
import { rawRequest } from "./raw-request.ts";
import { complaint, StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { TokenMint } from "./token-mint.ts";
import { CART_80, clusterAt, listenerFor, policies, port, service } from "./waypoint-kit.ts";
import { until } from "./ztunnel-lab.ts";

const KEYS = "http://keys.example:8080/jwks.json";
const DOWN = "https://down.example/jwks.json";
const CLAIMS = { email: "a@example", nested: { team: "cart" }, groups: ["x", "y"] };
const token = (kind: SampleToken["kind"] = "good"): SampleToken => ({
  kind,
  issuer: ISSUERS[0],
  subject: "alice",
  claims: CLAIMS,
});

suite("tokens at a waypoint, on stock Envoy", () => {
  let binary: string;
  let mint: TokenMint;
  let envoy: StaticEnvoy;
  let cart: EchoServer;
  let keys: Server;

  suiteSetup(async function () {
    const found = await envoyBinary();
    if (typeof found === "object") {
      console.log(`    gateway-tokens: skipped; ${found.missing}`);
      return this.skip();
    }
    binary = found;
    mint = await TokenMint.open();
    cart = await EchoServer.open("cart");
    const [first] = mint.policy.rules;
    const inline = first!.keys as Extract<TokenRule["keys"], { kind: "inline" }>;
    keys = createServer((_request, response) => response.end(inline.jwks));
    await new Promise<void>((resolve) => keys.listen(0, "127.0.0.1", resolve));
    const fetched = (url: string): TokenRule => ({
      ...first!,
      keys: { kind: "url", url, timeoutMs: 1_000, refreshMs: 60_000 },
    });
    const elaborate: TokenRule = {
      ...first!,
      fromHeaders: [{ name: "x-token", prefix: "Token " }],
      fromParams: ["token"],
      fromCookies: ["session"],
      forwardToken: false,
      payloadHeader: "x-payload",
      claimHeaders: [
        { header: "x-email", claim: "email" },
        { header: "x-team", claim: "nested.team" },
      ],
    };
    envoy = await StaticEnvoy.start(binary, {
      listeners: [
        listenerOf("elaborate", [elaborate]),
        listenerOf("fetched", [fetched(KEYS)]),
        listenerOf("down", [fetched(DOWN)]),
        listenerOf("required", [first!], [needed]),
      ],
      clusters: [
        clusterAt(outboundName(CART_80), cart.port),
        clusterAt(jwksCluster(KEYS).name, (keys.address() as AddressInfo).port),
        clusterAt(jwksCluster(DOWN).name, 1),
      ],
    });
  });
  suiteTeardown(async () => {
    await envoy?.[Symbol.asyncDispose]();
    cart?.[Symbol.dispose]();
    keys?.close();
  });

  const ask = async (listener: string, headers: readonly (readonly [string, string])[], path = "/") => {
    const answer = await rawRequest({ port: await envoy.portOf(listener), method: "GET", host: "cart", path, headers });
    return { ...answer, echoed: answer.status === 200 ? (JSON.parse(answer.body) as Echoed) : undefined };
  };
  const bearer = async (kind?: SampleToken["kind"]): Promise<string> =>
    (await mint.headers(token(kind)))[0]![1].slice(7);

  test("a token is taken from where its rule says, and from nowhere else", async () => {
    const text = await bearer();
    const asked = [
      await ask("elaborate", [["x-token", `Token ${text}`]]),
      await ask("elaborate", [["cookie", `session=${text}`]]),
      await ask("elaborate", [], `/?token=${text}`),
    ];
    for (const { echoed } of asked) assert.equal(echoed?.headers["x-email"], "a@example");
    const elsewhere = await ask("elaborate", [["authorization", `Bearer ${text}`]]);
    assert.deepEqual([elsewhere.status, elsewhere.echoed?.headers["x-email"]], [200, undefined]);
  });

  test("the service gets the claims that its policy names, and none that a caller made up", async () => {
    const spoofed = [
      ["x-email", "root@example"],
      ["x-payload", "e30"],
      ["x-team", "root"],
    ] as const;
    const { echoed } = await ask("elaborate", [...spoofed, ["x-token", `Token ${await bearer()}`]]);
    const { headers } = echoed!;
    assert.deepEqual([headers["x-email"], headers["x-team"], headers["x-token"]], ["a@example", "cart", undefined]);
    const payload = JSON.parse(Buffer.from(String(headers["x-payload"]), "base64url").toString()) as { sub: string };
    assert.equal(payload.sub, "alice");
    const without = await ask("elaborate", spoofed);
    assert.deepEqual(
      ["x-email", "x-payload", "x-team"].map((name) => without.echoed?.headers[name]),
      [undefined, undefined, undefined],
    );
  });

  test("who has no token passes, unless a policy asks for one; who has a bad one does not", async () => {
    const of = async (listener: string, kind: SampleToken["kind"]) =>
      (await ask(listener, await mint.headers(token(kind)))).status;
    assert.deepEqual([await of("elaborate", "none"), await of("required", "none")], [200, 403]);
    const answers = { good: 200, expired: 401, forged: 401, "unknown-issuer": 401, "wrong-audience": 403 } as const;
    for (const [kind, status] of Object.entries(answers))
      assert.equal(await of("required", kind as SampleToken["kind"]), status, kind);
  });

  test("keys are fetched from the issuer; one that is away holds up no listener and lets nobody in", async () => {
    await until("the keys are there", async () => (await ask("fetched", await mint.headers(token()))).status === 200);
    assert.equal((await ask("fetched", await mint.headers(token("forged")))).status, 401);
    assert.equal((await ask("down", await mint.headers(token()))).status, 401);
    assert.equal((await ask("down", [])).status, 200);
  });

  test("what fetches keys is something that Envoy takes, and so are keys that nobody has", async () => {
    const rule = mint.policy.rules[0]!;
    const refused: TokenRule = { ...rule, keys: { kind: "inline", jwks: NOBODYS_KEYS } };
    const config = {
      listeners: [listenerOf("in", [refused])],
      clusters: [KEYS, DOWN, "https://[2001:db8::1]:8443/keys"].map(jwksCluster),
    };
    assert.equal((await complaint(binary, config))?.slice(-300), undefined);
  });

  test("HTTP/2 without TLS, HTTP/1.0 and WebSockets pass", async () => {
    const session = connectHttp2(`http://127.0.0.1:${await envoy.portOf("elaborate")}`);
    const status = await new Promise((resolve, reject) => {
      const stream = session.request({ ":path": "/h2c" });
      stream.on("response", (headers) => resolve(headers[":status"]));
      stream.on("error", reject);
      stream.resume();
    });
    session.destroy();
    assert.equal(status, 200);
    const upgrade = await ask("elaborate", [
      ["upgrade", "websocket"],
      ["connection", "upgrade"],
    ]);
    assert.equal(upgrade.status, 101);
    const old = await rawRequest({
      port: await envoy.portOf("elaborate"),
      method: "GET",
      path: "/old",
      host: "cart",
      version: "1.0",
    });
    assert.equal(old.status, 200, old.head);
  });
});

/** Lets in who has a token of the first issuer. */
const needed: RequestPolicy = {
  name: "shop/needed",
  action: "allow",
  dryRun: false,
  rules: [
    {
      from: [{ requestPrincipals: { values: [{ kind: "prefix", value: `${ISSUERS[0]}/` }], notValues: [] } }],
      to: [],
      when: [],
    },
  ],
};

function listenerOf(name: string, rules: readonly TokenRule[], authorization: readonly RequestPolicy[] = []) {
  const http = port();
  const guards = policies(authorization, [{ name: "shop/tokens", rules }]);
  const routes = routeConfiguration(service(http), http, guards);
  return listenerFor(name, "spiffe://td/ns/a/sa/b", withRoutes(httpChain(service(http), http, guards), routes));
}
