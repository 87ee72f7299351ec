import assert from "node:assert/strict";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { HttpRule, PathMatch, Redirect } from "../../src/registry/model/http-rule.ts";
import { NO_CHANGES } from "../../src/registry/model/http-rule.ts";
import { type BackendName } from "../../src/registry/model/proxy-backend.ts";
import type { StringMatch } from "../../src/registry/model/policy.ts";
import type { RequestPolicy } from "../../src/registry/model/proxy-policies.ts";
import { httpChain } from "../../src/xds/envoy/http-chain.ts";
import { routeConfiguration } from "../../src/xds/envoy/http-routes.ts";
import { outboundName } from "../../src/xds/envoy/resource-names.ts";
import { tcpChain } from "../../src/xds/envoy/tcp-chain.ts";
import { EchoServer, type Echoed } from "./echo-server.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { type RawAnswer, type RawRequest, rawRequest } from "./raw-request.ts";
import { complaint, StaticEnvoy, withRoutes } from "./static-envoy.ts";
import { CART_80, clusterAt, listenerFor, plain, policies, port, rule, service } from "./waypoint-kit.ts";
import { until } from "./ztunnel-lab.ts";

const V2 = "shop/cart-v2.shop.svc.cluster.local:80" as BackendName;
const GONE = "shop/gone.shop.svc.cluster.local:80" as BackendName;

const path = (kind: PathMatch["kind"], value: string) => ({
  match: { path: { kind, value }, method: undefined, headers: [], queryParams: [] },
});
const forwardTo = (
  backend: BackendName,
  rewrite?: { hostname?: string; path?: { kind: "full" | "prefix"; value: string } },
) => ({
  kind: "forward" as const,
  backends: [plain(backend)],
  rewrite: rewrite && { hostname: rewrite.hostname, path: rewrite.path },
});
const redirect = (changes: Partial<Redirect>) => ({
  kind: "redirect" as const,
  redirect: {
    scheme: undefined,
    hostname: undefined,
    port: undefined,
    path: undefined,
    status: 302 as const,
    ...changes,
  },
});
/** A prefix of its own for each, and what its requests become. */
const REWRITES = [
  ["/p1", "/xyz", "/p1/bar?q=/p1", "/xyz/bar?q=/p1"],
  ["/p2", "/xyz/", "/p2/bar", "/xyz/bar"],
  ["/p3/", "/xyz", "/p3/bar", "/xyz/bar"],
  ["/p4/", "/xyz/", "/p4/bar", "/xyz/bar"],
  ["/p5", "/xyz", "/p5", "/xyz"],
  ["/p6", "/xyz", "/p6/", "/xyz/"],
  ["/p7", "", "/p7/bar", "/bar"],
  ["/p8", "", "/p8/", "/"],
  ["/p9", "", "/p9?q=1", "/?q=1"],
  ["/p10", "/", "/p10/", "/"],
  ["/p11", "/", "/p11", "/"],
  ["/p12.a+", "/\\1%20", "/p12.a+/bar", "/\\1%20/bar"],
] as const;

const rules: HttpRule[] = [
  rule({ name: "exact", ...path("exact", "/one"), action: forwardTo(V2) }),
  rule({ name: "segments", ...path("prefix", "/seg"), action: forwardTo(V2) }),
  rule({ name: "regex", ...path("regex", "/r[0-9]+/x"), action: forwardTo(V2) }),
  rule({
    name: "all of it",
    match: {
      path: { kind: "prefix", value: "/all" },
      method: "POST",
      headers: [
        { name: "x-a", kind: "exact", value: "1" },
        { name: "x-b", kind: "regex", value: "[a-z]+" },
      ],
      queryParams: [
        { name: "q", kind: "exact", value: "a b" },
        { name: "r", kind: "regex", value: "x." },
      ],
    },
    action: forwardTo(V2),
  }),
  rule({
    name: "headers",
    ...path("exact", "/headers"),
    requestHeaders: { set: [["x-set", "100%REQ(:path)%"]], add: [["x-add", ""]], remove: ["x-gone"] },
    responseHeaders: { set: [["x-from", "route"]], add: [["x-more", "50%"]], remove: ["server"] },
    action: {
      kind: "forward",
      backends: [{ ...plain(V2), requestHeaders: { ...NO_CHANGES, set: [["x-backend", "v2"]] } }],
      rewrite: undefined,
    },
  }),
  rule({
    name: "weights",
    ...path("exact", "/weights"),
    action: { kind: "forward", backends: [plain(CART_80, 3), plain("refused", 1), plain(V2, 0)], rewrite: undefined },
  }),
  rule({
    name: "all refused",
    ...path("exact", "/all-refused"),
    action: { kind: "forward", backends: [plain("refused")], rewrite: undefined },
  }),
  rule({ name: "mirror", ...path("exact", "/mirror"), mirrors: [{ backend: V2, perMillion: 1_000_000 }] }),
  rule({ name: "timeout", ...path("prefix", "/never"), timeoutMs: 200 }),
  rule({
    name: "codes",
    ...path("prefix", "/fails-once"),
    retry: { attempts: 1, codes: [503], perTryTimeoutMs: undefined, backoffMs: 10 },
  }),
  rule({ name: "gone", ...path("exact", "/gone"), action: forwardTo(GONE) }),
  rule({ name: "host", ...path("exact", "/host"), action: forwardTo(V2, { hostname: "v2.example" }) }),
  rule({ name: "full", ...path("prefix", "/full"), action: forwardTo(V2, { path: { kind: "full", value: "/new" } }) }),
  ...REWRITES.map(([prefix, value]) =>
    rule({
      name: `rewrite ${prefix}`,
      ...path("prefix", prefix),
      action: forwardTo(V2, { path: { kind: "prefix", value } }),
    }),
  ),
  rule({ name: "redirect https", ...path("exact", "/to-https"), action: redirect({ scheme: "https", status: 308 }) }),
  rule({
    name: "redirect both",
    ...path("exact", "/to-https-host"),
    action: redirect({ scheme: "https", hostname: "x.example" }),
  }),
  rule({
    name: "redirect host",
    ...path("exact", "/to-host"),
    action: redirect({ hostname: "x.example", port: 8443, status: 301 }),
  }),
  rule({
    name: "redirect path",
    ...path("prefix", "/to-path"),
    action: redirect({ path: { kind: "prefix", value: "/" } }),
  }),
  rule({
    name: "redirect full",
    ...path("prefix", "/to-full"),
    action: redirect({ path: { kind: "full", value: "/new" } }),
  }),
  rule({
    name: "refused",
    ...path("exact", "/refused"),
    action: { kind: "refuse", status: 500, why: "no Service cart-v9" },
  }),
  rule({
    name: "rest",
    ...path("prefix", "/"),
    match: {
      path: undefined,
      method: undefined,
      headers: [{ name: "x-stranger", kind: "exact", value: "" }],
      queryParams: [],
    },
    action: { kind: "refuse", status: 418, why: "" },
  }),
  rule(),
];

suite("the HTTP of a waypoint, on stock Envoy", () => {
  let envoy: StaticEnvoy;
  let cart: EchoServer;
  let v2: EchoServer;
  let listener: number;

  suiteSetup(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-http: skipped; ${binary.missing}`);
      return this.skip();
    }
    [cart, v2] = [await EchoServer.open("cart"), await EchoServer.open("v2")];
    const http = port({ rules, number: 8080 });
    const filters = withRoutes(
      httpChain(service(http), http, undefined),
      routeConfiguration(service(http), http, undefined),
    );
    envoy = await StaticEnvoy.start(binary, {
      listeners: [listenerFor("in", "spiffe://td/ns/a/sa/b", filters)],
      clusters: [
        clusterAt(outboundName(CART_80), cart.port),
        clusterAt(outboundName(V2), v2.port),
        clusterAt(outboundName(GONE), 1),
      ],
    });
    listener = await envoy.portOf("in");
  });
  suiteTeardown(async () => {
    await envoy?.[Symbol.asyncDispose]();
    for (const server of [cart, v2]) server?.[Symbol.dispose]();
  });

  const ask = (path: string, more: Partial<RawRequest> = {}): Promise<RawAnswer> =>
    rawRequest({ port: listener, method: "GET", host: "cart:8080", path, ...more });
  const echo = async (...words: Parameters<typeof ask>): Promise<Echoed> => {
    const answer = await ask(...words);
    assert.equal(answer.status, 200, `${answer.head}\n${answer.body}`);
    return JSON.parse(answer.body) as Echoed;
  };

  test("paths match as a whole, by segments, or by a regex of all of them", async () => {
    const to = async (path: string) => (await echo(path)).service;
    const expected = {
      "/one": "v2",
      "/one/": "cart",
      "/one?x": "v2",
      "/seg": "v2",
      "/seg/a": "v2",
      "/segment": "cart",
    };
    const regexes = { "/r12/x": "v2", "/r12/x?q": "v2", "/r12/xy": "cart", "/a/r1/x": "cart" };
    for (const [path, name] of Object.entries({ ...expected, ...regexes })) assert.equal(await to(path), name, path);
  });

  test("a match is all of its parts", async () => {
    const all = {
      method: "POST",
      headers: [
        ["x-a", "1"],
        ["x-b", "abc"],
        ["content-length", "0"],
      ] as [string, string][],
    };
    const where = "/all?r=xy&q=a%20b";
    assert.equal((await echo(where, all)).service, "v2");
    const short: [string, Partial<RawRequest>][] = [
      [where, { ...all, method: "PUT" }],
      [where, { ...all, headers: all.headers.slice(1) }],
      [
        where,
        {
          ...all,
          headers: [
            ["x-a", "1"],
            ["x-b", "aBc"],
            ["content-length", "0"],
          ],
        },
      ],
      ["/all?q=a%20b", all],
      ["/all?r=xyz&q=a%20b", all],
    ];
    for (const [path, request] of short)
      assert.equal((await echo(path, request)).service, "cart", JSON.stringify({ path, request }));
  });

  test("headers change as they are written, percent signs and all", async () => {
    const answer = await ask("/headers", {
      headers: [
        ["x-gone", "1"],
        ["x-set", "old"],
      ],
    });
    const { headers } = JSON.parse(answer.body) as Echoed;
    assert.deepEqual(
      [headers["x-set"], headers["x-add"], headers["x-gone"], headers["x-backend"]],
      ["100%REQ(:path)%", "", undefined, "v2"],
    );
    assert.match(answer.head, /^x-from: route\r?$/m);
    assert.match(answer.head, /^x-more: 50%\r?$/m);
    assert.doesNotMatch(answer.head, /^server:/m);
  });

  test("the share of a backend that is refused is answered with 500, and no other", async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask("/weights")));
    const refused = answers.filter(({ status }) => status === 500).length;
    assert.ok(refused > 20 && refused < 90, `${refused} of 200`);
    assert.ok(answers.every(({ status, body }) => status === 500 || body.includes('"cart"')));
    const all = await ask("/all-refused");
    assert.deepEqual([all.status, all.body], [500, "no backend of all refused can be used\n"]);
  });

  test("a mirror gets what was asked, and its answer goes nowhere", async () => {
    const { service, headers } = await echo("/mirror");
    assert.equal(service, "cart");
    await until("the mirror was asked", () => v2.asked.some(({ url }) => url === "/mirror"));
    assert.equal(v2.asked.find(({ url }) => url === "/mirror")!.headers.host, headers.host);
  });

  test("what is as long as may be is still something that Envoy takes", async () => {
    const long = (length: number, text = "a+.-b") => text.repeat(length).slice(0, length);
    const suffix = (length: number) => ({ kind: "suffix" as const, value: long(length) });
    const values = <V>(...values: V[]) => ({ values, notValues: [] });
    const policy: RequestPolicy = {
      name: "shop/long",
      action: "deny",
      dryRun: false,
      rules: [
        {
          from: [
            {
              principals: values(suffix(2_048)),
              namespaces: values(suffix(253)),
              requestPrincipals: values(suffix(2_048)),
            },
          ],
          to: [
            { hosts: values(suffix(2_048)), paths: values({ kind: "template", value: `/{*}/${long(2_000)}/{**}` }) },
          ],
          when: [{ on: "header", name: "x", match: values<StringMatch>(suffix(2_048), { kind: "presence" }) }],
        },
      ],
    };
    const prefix = `/${long(1_020)}`;
    const http = port({
      rules: [
        rule({
          match: {
            path: { kind: "prefix", value: prefix },
            method: undefined,
            headers: [],
            queryParams: [{ name: "q", kind: "exact", value: long(1_024, "a é\ud800") }],
          },
          action: forwardTo(V2, { path: { kind: "prefix", value: "/" } }),
        }),
      ],
    });
    const routes = routeConfiguration(service(http), http, policies([policy]));
    const tcp = tcpChain(service(http), http, policies([policy]));
    const config = {
      listeners: [
        listenerFor("http", "spiffe://td/ns/a/sa/b", withRoutes(httpChain(service(http), http, undefined), routes)),
        listenerFor("tcp", "spiffe://td/ns/a/sa/b", tcp),
      ],
      clusters: [clusterAt(outboundName(CART_80), 1)],
    };
    const problem = await complaint((await envoyBinary()) as string, config);
    assert.equal(problem?.slice(-300), undefined);
  });

  test("a request that takes too long ends with 504", async () => assert.equal((await ask("/never")).status, 504));

  test("what a rule wants tried again is", async () => {
    assert.equal((await echo("/fails-once/1")).url, "/fails-once/1");
    assert.equal(cart.asked.filter(({ url }) => url === "/fails-once/1").length, 2);
  });

  test("a connection that ends without an answer costs no request that may be repeated, and repeats no other", async () => {
    for (const method of ["GET", "PUT", "DELETE"])
      assert.equal(
        (await echo(`/hangs-up-once/${method}`, { method, headers: [["content-length", "0"]] })).method,
        method,
      );
    const post = await ask("/hangs-up-once/POST", { method: "POST", headers: [["content-length", "0"]] });
    assert.equal(post.status, 503, post.body);
    assert.equal(cart.asked.filter(({ url }) => url === "/hangs-up-once/POST").length, 1);
  });

  test("a caller gives no orders to the proxy, and cannot be somebody else", async () => {
    const forged: [string, string][] = [
      ["x-envoy-upstream-rq-timeout-ms", "1"],
      ["x-envoy-retry-on", "5xx"],
      ["x-envoy-max-retries", "9"],
      ["x-envoy-original-path", "/admin"],
      ["x-forwarded-client-cert", "URI=spiffe://td/ns/a/sa/admin"],
      ["x-istio-source", "waypoint"],
      ["x-forwarded-for", "1.2.3.4"],
      ["x-forwarded-proto", "https"],
      ["x_under_score", "kept"],
    ];
    const answer = await ask("/forged", { headers: forged });
    const { headers } = JSON.parse(answer.body) as Echoed;
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith("x-envoy") || name === "x-istio-source"),
      [],
    );
    assert.equal(headers["x-forwarded-client-cert"], "URI=spiffe://td/ns/a/sa/b");
    assert.deepEqual(
      [headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x_under_score"]],
      ["1.2.3.4", "https", "kept"],
    );
    assert.match(answer.head, /^server: echo\r?$/m);
    assert.doesNotMatch(answer.head, /^x-envoy/m);
  });

  test("a prefix gives way by segments", async () => {
    for (const [, , asked, expected] of REWRITES) {
      const { service, url } = await echo(asked);
      assert.deepEqual([service, url], ["v2", expected], asked);
    }
    assert.equal((await echo("/full/of/it?q=1")).url, "/new?q=1");
    assert.equal((await echo("/host")).headers.host, "v2.example");
  });

  test("redirects lead where they say", async () => {
    const located = async (path: string) => {
      const { status, head } = await ask(path);
      return [status, /^location: (.*?)\r?$/m.exec(head)?.[1]];
    };
    assert.deepEqual(await located("/to-https?q=1"), [308, "https://cart:443/to-https?q=1"]);
    assert.deepEqual(await located("/to-https-host"), [302, "https://x.example/to-https-host"]);
    assert.deepEqual(await located("/to-host"), [301, "http://x.example:8443/to-host"]);
    assert.deepEqual(await located("/to-path/a"), [302, "http://cart:8080/a"]);
    assert.deepEqual(await located("/to-full/a?q=1"), [302, "http://cart:8080/new?q=1"]);
  });

  test("a rule with nothing behind it says so to the caller, and the log says which", async () => {
    const answer = await ask("/refused");
    assert.deepEqual([answer.status, answer.body], [500, "no Service cart-v9\n"]);
    assert.equal((await ask("/gone")).status, 503);
    await until("both are in the log", () => envoy.log.some(({ route }) => route === "gone"));
    const line = envoy.log.find(({ route }) => route === "refused")!;
    assert.deepEqual(
      [
        line["source_principal"],
        line["authority"],
        line["method"],
        line["path"],
        line["response_code"],
        line["service"],
      ],
      ["spiffe://td/ns/a/sa/b", "cart:8080", "GET", "/refused", 500, "shop/cart.shop.svc.cluster.local"],
    );
  });
});
