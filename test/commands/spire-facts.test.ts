import assert from "node:assert/strict";
import { test } from "mocha";
import { IdentityRecords } from "../../src/ca/identity-records.ts";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import type { Viewed } from "../../src/commands/debug-pages.ts";
import { spireFacts } from "../../src/commands/spire-facts.ts";
import { loadConfig } from "../../src/config.ts";
import type { Environment, Options } from "../../src/command.ts";
import type { ObjectKey } from "../../src/names.ts";
import type { SpireView } from "../../src/plane/spire.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import type { ProxyGateway } from "../../src/registry/model/proxy-gateway.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { agent, server } from "../spire/status/good-facts.ts";
import { client, NOW, viewedMesh } from "./served-mesh.ts";

const viewed = (options: Options, more: Partial<Viewed> = {}, environment: Environment = {}): Viewed => ({
  ...viewedMesh([]),
  config: loadConfig(options, environment, { listenAddress: "127.0.0.1", stateDir: ".causeway" }),
  ...more,
});

const SPIRE = {
  identity: "spire",
  spireServer: "10.9.0.1:8081",
  spireAgent: "/run/agent.sock",
  trustDomain: "east.test",
};

test("bundles are our own first, then federated ones by name, each with its roots, its source and its trouble", async () => {
  const [old, fresh, west] = await Promise.all(
    ["CN=old", "CN=fresh", "CN=west"].map((name) => TestAuthority.create(name)),
  );
  const [a, b, c] = [derOf(old!.root), derOf(fresh!.root), derOf(west!.root)];
  const view: SpireView = {
    ...{ identity: "spire", trustDomain: "east.test", server: server(), agent: agent(), own: undefined, problems: [] },
    bundles: {
      own: { trustDomain: "east.test", roots: [a, b], tainted: [a], sequence: 2n ** 60n },
      federated: [{ trustDomain: "west.test", roots: [c] }],
    },
    said: {
      saidAt: (name) => (name === "east.test" ? NOW - 1_000 : undefined),
      refused: new Map([["north.test", "it cannot be read"]]),
      source: (name) => (name === "east.test" ? "SPIRE's server" : "SPIRE's agent"),
    },
  };
  const { bundles } = spireFacts(viewed(SPIRE, { spire: () => view }), NOW);
  assert.deepEqual(
    bundles.map(({ trustDomain, roots, ...rest }) => [trustDomain, roots.map(({ subject }) => subject), rest]),
    [
      [
        "east.test",
        ["CN=old", "CN=fresh"],
        { sequence: 2n ** 60n, source: "SPIRE's server", saidAt: NOW - 1_000, refused: undefined, unread: undefined },
      ],
      [
        "north.test",
        [],
        {
          sequence: undefined,
          source: "SPIRE's agent",
          saidAt: undefined,
          refused: "it cannot be read",
          unread: undefined,
        },
      ],
      [
        "west.test",
        ["CN=west"],
        { sequence: undefined, source: "SPIRE's agent", saidAt: undefined, refused: undefined, unread: undefined },
      ],
    ],
  );
  assert.deepEqual(
    bundles[0]!.roots.map(({ tainted, sha256 }) => [tainted, sha256]),
    [
      [true, fingerprintOf(a)],
      [false, fingerprintOf(b)],
    ],
  );
});

test("delegates are the gateways that are told to be; who has shown a certificate of that name has proven it", () => {
  const graph = new Graph();
  const gateways = new Source<ObjectKey, ProxyGateway>(graph, "gateways");
  const gateway = { namespace: "shop", name: "waypoint", serviceAccount: "waypoint", trustDomain: "east.test" };
  gateways.set("east/shop/waypoint" as ObjectKey, gateway as ProxyGateway);
  graph.flush();
  const identity = { trustDomain: "east.test", namespace: "shop", serviceAccount: "waypoint" };
  const clients = [
    { ...client("a", []), identity },
    { ...client("b", []), identity, via: "token" as const },
    client("ztunnel", []),
  ];
  const more = { proxyLogs: { gateways, of: () => undefined }, clients: () => clients };
  const spiffeId = "spiffe://east.test/ns/shop/sa/waypoint";
  const admin = viewed({ ...SPIRE, gatewaySpireAdmin: "/run/admin.sock" }, more);
  assert.deepEqual(spireFacts(admin, NOW).delegates, [{ who: "Gateway shop/waypoint", spiffeId, proven: 1 }]);
  assert.deepEqual(spireFacts(viewed({ ...SPIRE, gatewaySpire: "csi" }, more), NOW).delegates, []);
});

test("where nobody here signs ztunnels are delegates, by the accounts that may ask for others", () => {
  const external = { identity: "external", spireAgent: "/run/agent.sock", trustDomain: "east.test" };
  const { delegates } = spireFacts(viewed(external), NOW);
  assert.deepEqual(delegates, [
    { who: "ztunnels (istio-system/ztunnel)", spiffeId: "spiffe://east.test/ns/istio-system/sa/ztunnel", proven: 0 },
  ]);
});

test("refused identities are those that have no certificate since", () => {
  const identities = new IdentityRecords();
  const refused = { at: NOW, why: "no entry", node: "n1" };
  for (const name of ["cart", "web"]) identities.refused(`spiffe://east.test/ns/shop/sa/${name}`, refused);
  const issued = { at: NOW, until: NOW + 1, signer: "SPIRE", entries: ["e"], node: "n1" };
  identities.issued("spiffe://east.test/ns/shop/sa/cart", issued);
  const { issuances } = viewedMesh([]);
  const facts = spireFacts(viewed(SPIRE, { issuances: { ...issuances, identities } }), NOW);
  assert.deepEqual(facts.refused, [{ spiffeId: "spiffe://east.test/ns/shop/sa/web", ...refused }]);
});

test("an authority of SPIRE's is that of the signer, with its problems", () => {
  const fault = {
    object: "SPIRE's authority for us",
    origin: "",
    field: "",
    message: "late",
    severity: "warning",
  } as const;
  const described = { kind: "", key: undefined, trustDomain: "east.test", notAfter: NOW + 5, chain: [], roots: [] };
  const more = { signer: () => described, problems: () => [fault, { ...fault, object: "Service a/b" }] };
  const { authority } = spireFacts(viewed({ ...SPIRE, identity: "spire-downstream" }, more), NOW);
  assert.deepEqual([authority?.notAfter, authority?.faults], [NOW + 5, [fault]]);
  assert.equal(spireFacts(viewed(SPIRE, more), NOW).authority, undefined);
});
