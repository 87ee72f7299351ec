import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import fc from "fast-check";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import type { RequestPolicy } from "../../src/registry/model/proxy-policies.ts";
import { authorizationPerTunnel, tunnelAuthorizationFilters } from "../../src/xds/envoy/authorization-filters.ts";
import { anyOf, envoy as envoyApi } from "../../src/xds/envoy/message.ts";
import { outboundName } from "../../src/xds/envoy/resource-names.ts";
import { tcpChain } from "../../src/xds/envoy/tcp-chain.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { policyMatches, type SeenRequest } from "./policy-oracle.ts";
import { PRINCIPALS, somePolicies, SOURCE_IPS } from "./policy-samples.ts";
import { rawRequest } from "./raw-request.ts";
import { StaticEnvoy } from "./static-envoy.ts";
import { CART_80, clusterAt, listenerFor, policies, port, service } from "./waypoint-kit.ts";

const seed = Number(process.env["SEED"] ?? 20261121);
const CASES = 150;

suite(`policies of connections at a waypoint, on stock Envoy (SEED=${seed})`, () => {
  const cases = fc.sample(fc.record({ authorization: somePolicies, principal: fc.constantFrom(...PRINCIPALS) }), {
    seed,
    numRuns: CASES,
  });
  let envoy: StaticEnvoy;
  let echo: Server;

  suiteSetup(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-connections: skipped; ${binary.missing}`);
      return this.skip();
    }
    echo = await listening((socket) => socket.pipe(socket));
    const tcp = port({ protocol: "tcp" });
    const listeners = cases.map(({ authorization, principal }, index) =>
      listenerFor(`case-${index}`, `spiffe://${principal}`, tcpChain(service(tcp), tcp, policies(authorization))),
    );
    listeners.push(...PRINCIPALS.map((principal) => listenerFor(principal, `spiffe://${principal}`, tunnels())));
    const clusters = [clusterAt(outboundName(CART_80), portOf(echo))];
    envoy = await StaticEnvoy.start(binary, { listeners, clusters });
  });
  suiteTeardown(async () => {
    await envoy?.[Symbol.asyncDispose]();
    echo?.close();
  });

  /** Routes of tunnels, which a header chooses here, and what they say to the filters of tunnels. */
  function tunnels() {
    const routes = cases.flatMap(({ authorization }, index) =>
      PROTOCOLS.map((protocol) => ({
        match: { prefix: "/", headers: [{ name: "x-case", stringMatch: { exact: `${protocol}-${index}` } }] },
        directResponse: { status: 200 },
        typedPerFilterConfig: authorizationPerTunnel(authorization, port({ protocol })),
      })),
    );
    const Hcm = envoyApi.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;
    const router = { name: "router", typedConfig: anyOf(envoyApi.extensions.filters.http.router.v3.Router, {}) };
    const manager = {
      statPrefix: "tunnels",
      httpFilters: [...tunnelAuthorizationFilters(), router],
      routeConfig: { virtualHosts: [{ name: "all", domains: ["*"], routes }] },
    };
    return [{ name: "http", typedConfig: anyOf(Hcm, manager) }];
  }

  test("bytes pass, or do not, as the words of the policies say", async () => {
    const wrong: string[] = [];
    const count = { true: 0, false: 0 };
    for (const [index, { authorization, principal }] of cases.entries()) {
      const listener = await envoy.portOf(`case-${index}`);
      for (const sourceIp of SOURCE_IPS) {
        const passed = (await heard(listener, sourceIp, "hello")) === "hello";
        const expected = passes(authorization, {
          principal,
          sourceIp,
          destinationIp: "127.0.0.1",
          port: 80,
          http: undefined,
        });
        count[`${passed}`] += 1;
        if (passed !== expected)
          wrong.push(JSON.stringify({ passed, sourceIp, principal, authorization }).slice(0, 4_000));
      }
    }
    assert.deepEqual(wrong.slice(0, 1), [], `${wrong.length} are wrong`);
    for (const times of Object.values(count)) assert.ok(times > CASES / 4, JSON.stringify(count));
  });

  test("a tunnel opens unless what is in it would be refused whatever it is", async () => {
    const wrong: string[] = [];
    const count = { open: 0, shut: 0, certain: 0 };
    for (const [index, { authorization, principal }] of cases.entries())
      for (const [protocol, sourceIp] of SOURCE_IPS.flatMap((ip) => PROTOCOLS.map((name) => [name, ip] as const))) {
        const headers = [["x-case", `${protocol}-${index}`]] as const;
        const request = {
          port: await envoy.portOf(principal),
          from: sourceIp,
          method: "GET",
          path: "/",
          host: "cart",
          headers,
        };
        const isOpen = (await rawRequest(request)).status === 200;
        const seen = { principal, sourceIp, destinationIp: "127.0.0.1", port: 80, http: undefined };
        const isCertain = !(protocol === "tcp" ? /serverName/ : UNSEEN).test(JSON.stringify(authorization));
        const mayPass = passes(authorization, seen);
        count[isOpen ? "open" : "shut"] += 1;
        if (isCertain) count.certain += 1;
        if (isCertain ? isOpen !== mayPass : mayPass && !isOpen)
          wrong.push(JSON.stringify({ protocol, isOpen, seen, authorization }).slice(0, 4_000));
      }
    assert.deepEqual(wrong.slice(0, 1), [], `${wrong.length} are wrong`);
    for (const times of Object.values(count)) assert.ok(times > CASES / 4, JSON.stringify(count));
  });
});

const PROTOCOLS = ["tcp", "detected"] as const;
/** What a policy asks for that nobody knows of a tunnel. */
const UNSEEN = /serverName|"(hosts|methods|paths|requestPrincipals)"|"on":"(header|claim)"/;

function passes(authorization: readonly RequestPolicy[], seen: SeenRequest): boolean {
  const [denying, allowing] = ["deny", "allow"].map((action) =>
    authorization.filter((policy) => policy.action === action && !policy.dryRun),
  );
  const matches = (policy: RequestPolicy) => policyMatches(policy, seen);
  return !denying!.some(matches) && (allowing!.length === 0 || allowing!.some(matches));
}

/** What comes back, until it is as long as what was said or the connection ends. */
function heard(listener: number, localAddress: string, said: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port: listener, localAddress });
    if (said !== "") socket.write(said);
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("error", () => {});
    socket.on(
      "data",
      (chunk: Buffer) => (text += chunk.toString()).length >= said.length && said !== "" && socket.destroy(),
    );
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(text));
  });
}

async function listening(serve: Parameters<typeof createServer>[1]): Promise<Server> {
  const server = createServer({}, serve!);
  server.on("connection", (socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
