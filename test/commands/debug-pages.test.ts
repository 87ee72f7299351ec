import assert from "node:assert/strict";
import { test } from "mocha";
import { connections } from "../../src/commands/client-view.ts";
import { ambientz, configz, debugPages, type Viewed } from "../../src/commands/debug-pages.ts";
import { policyView, serviceView, workloadView } from "../../src/commands/mesh-view.ts";
import { DebugPages } from "../../src/debug-page.ts";
import { hostname, networkId, policyName, serviceName } from "../../src/names.ts";
import type { Policy } from "../../src/registry/model/policy.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { authorization, object, pod, service, serviceEntry } from "../registry/mesh.ts";
import { client, SHOP, subscription, viewedMesh } from "./served-mesh.ts";

test("ambientz shows what ztunnels get, of the moment it was asked for", () => {
  const viewed = viewedMesh(SHOP);
  const { workloads, services, policies } = ambientz(viewed.registry);
  assert.deepEqual([...workloads].map(({ name }) => name).sort(), ["cart-1", "ledger-1", "stray"]);
  const cart = [...services].find(({ name }) => name === "cart")!;
  assert.deepEqual(
    { ...cart },
    {
      name: "cart",
      namespace: "shop",
      hostname: "cart.shop.svc.cluster.local",
      vips: ["/10.96.0.1"],
      ports: { 80: 80 },
      endpoints: {
        "east//Pod/shop/cart-1": {
          workloadUid: "east//Pod/shop/cart-1",
          service: "shop/cart.shop.svc.cluster.local",
          port: { 80: 80 },
          status: "Healthy",
        },
      },
      subjectAltNames: [],
      waypoint: { destination: "shop/w.shop.svc.cluster.local", hboneMtlsPort: 15_008 },
      canonical: true,
    },
  );
  assert.deepEqual(
    [...policies],
    [
      {
        name: "only-cart",
        namespace: "shop",
        scope: "WorkloadSelector",
        action: "Allow",
        rules: [[[{ namespaces: [{ Exact: "shop" }] }], [{ destinationPorts: [8080] }]]],
      },
    ],
  );
});

test("every field of a workload that steers traffic is shown", () => {
  const viewed = viewedMesh([pod("cart-1", "10.0.0.1")]);
  const [[, workload]] = [...viewed.registry.workloads.entries()] as unknown as [
    [string, Parameters<typeof workloadView>[0]],
  ];
  const address = { network: networkId("n1"), ip: "10.9.0.1" };
  const view = workloadView({
    ...workload,
    hostname: "example.com",
    tunnel: "hbone",
    nativeTunnel: true,
    hostNetwork: true,
    healthy: false,
    capacity: 0,
    waypoint: { destination: { kind: "address", address }, hbonePort: 15_008 },
    networkGateway: { destination: { kind: "hostname", namespace: "a", hostname: hostname("b.c") }, hbonePort: 1 },
    locality: { region: "r", zone: "z", subzone: "" },
    applicationTunnel: { protocol: "proxy", port: 15_088 },
  });
  assert.deepEqual(
    {
      waypoint: view.waypoint,
      gateway: view["networkGateway"],
      status: view.status,
      protocol: view.protocol,
      capacity: view["capacity"],
      hostname: view.hostname,
      more: [view["nativeTunnel"], view["networkMode"], view["locality"], view["applicationTunnel"]],
    },
    {
      waypoint: { destination: "n1/10.9.0.1", hboneMtlsPort: 15_008 },
      gateway: { destination: "a/b.c", hboneMtlsPort: 1 },
      status: "Unhealthy",
      protocol: "HBONE",
      capacity: 0,
      hostname: "example.com",
      more: [true, "HostNetwork", { region: "r", zone: "z", subzone: "" }, { protocol: "PROXY", port: 15_088 }],
    },
  );
});

test("every kind of match of a policy is shown", () => {
  const cidr = [{ ip: "10.0.0.0", prefixLength: 8 }];
  const strings = [{ kind: "prefix", value: "a" }, { kind: "presence" }] as const;
  const account = [{ namespace: "a", serviceAccount: "b" }];
  const match = {
    namespaces: strings,
    notNamespaces: strings,
    principals: strings,
    notPrincipals: strings,
    sourceIps: cidr,
    notSourceIps: cidr,
    destinationIps: cidr,
    notDestinationIps: cidr,
    destinationPorts: [1],
    notDestinationPorts: [2],
    serviceAccounts: account,
    notServiceAccounts: account,
  };
  const policy: Policy = {
    key: policyName("a", "b"),
    name: "b",
    namespace: "a",
    scope: "global",
    action: "deny",
    rules: [{ clauses: [{ matches: [match] }] }],
    dryRun: true,
  };
  const { rules, ...rest } = policyView(policy);
  assert.deepEqual(rest, { name: "b", namespace: "a", scope: "Global", action: "Deny", dryRun: true });
  const [[[shown]]] = rules as [[[Record<string, unknown>]]];
  assert.deepEqual(Object.keys(shown).sort(), Object.keys(match).sort());
  assert.deepEqual(shown["notPrincipals"], [{ Prefix: "a" }, { Presence: {} }]);
  assert.deepEqual(shown["notDestinationIps"], ["10.0.0.0/8"]);
});

test("a service shows ranges as ranges, its families and how to balance", () => {
  const viewed = viewedMesh(SHOP);
  const key = serviceName("shop", "cart.shop.svc.cluster.local");
  const service = [...viewed.registry.services.entries()].find(([name]) => name === key)![1];
  const range = { network: networkId(""), ip: "10.0.0.0", prefixLength: 8 };
  const loadBalancing = { mode: "failover", preference: ["network", "zone"], healthPolicy: "allow-all" } as const;
  const view = serviceView({ ...service, addresses: [range], ipFamilies: "dual", loadBalancing }, []);
  assert.deepEqual(
    [view.vips, view.endpoints, view["ipFamilies"], view["loadBalancer"]],
    [
      ["/10.0.0.0/8"],
      {},
      "Dual",
      { mode: "Failover", routingPreferences: ["Network", "Zone"], healthPolicy: "AllowAll" },
    ],
  );
});

test("connections say who is connected, from where and since when, before and after the first request", () => {
  const early = { ...client("x", []), node: undefined, identity: undefined };
  assert.deepEqual(connections([client("a", [subscription()]), early]), {
    totalClients: 2,
    clients: [
      {
        connectionId: "a.istio-system-a",
        connectedAt: "2026-11-21T05:00:00.000Z",
        address: "10.0.0.9:40000",
        identity: "spiffe://cluster.local/ns/istio-system/sa/ztunnel",
        node: "ztunnel~10.0.0.9~a.istio-system~cluster.local",
      },
      { connectionId: "x", connectedAt: "2026-11-21T05:00:00.000Z", address: "10.0.0.9:40000", identity: "", node: "" },
    ],
  });
});

test("configz shows the settings and the levels as they are now", () => {
  const { config, scopes } = viewedMesh([]);
  scopes.setLevel("ads", "debug");
  const shown = configz(config, scopes) as {
    clusterId: string;
    trustedNodeAccounts: string[];
    log: { levels: object };
  };
  assert.equal(shown.clusterId, "Kubernetes");
  assert.deepEqual(shown.trustedNodeAccounts, ["istio-system/ztunnel"]);
  assert.equal((shown.log.levels as Record<string, string>)["ads"], "debug");
});

test("every page answers JSON, over xDS too, with an empty mesh and with a full one", async () => {
  for (const viewed of [viewedMesh([], [client("a", [])]), viewedMesh(SHOP, [client("a", [subscription()])])]) {
    const pages = new DebugPages(debugPages(viewed));
    assert.ok(pages.list().length >= 20);
    for (const { name } of pages.list()) {
      const bytes = await pages.bytes(viewed.clock, `${name}?proxyID=a.istio-system`);
      assert.notEqual(JSON.parse(Buffer.from(bytes).toString("utf8")), null, name);
    }
  }
});

/** What a page answers, as JSON. */
function shown(viewed: Viewed, page: string, query = ""): unknown {
  return JSON.parse([...new DebugPages(debugPages(viewed)).slices(page, new URLSearchParams(query))].join(""));
}

test("every page that istioctl bug-report collects is there, or names the one for Envoys", () => {
  const viewed = viewedMesh(SHOP);
  const collected =
    "adsz authorizationz cachez clusterz configz endpointShardz endpointz inject krtz instancesz mcsz mesh networkz " +
    "push_status registryz resourcesz syncz telemetryz ambientz";
  const envoys = ["endpointz", "inject", "instancesz", "telemetryz"];
  for (const page of collected.split(" "))
    if (envoys.includes(page)) assert.throws(() => shown(viewed, page), /is not served; \/debug\/gatewayz/);
    else assert.notEqual(shown(viewed, page), null, page);
});

test("endpointShardz shows the endpoints of a service by cluster, and services without any", () => {
  const shards = shown(viewedMesh(SHOP), "endpointShardz");
  assert.deepEqual(shards, {
    "cart.shop.svc.cluster.local": {
      shop: {
        Shards: {
          "Kubernetes/east": [
            {
              workloadUid: "east//Pod/shop/cart-1",
              service: "shop/cart.shop.svc.cluster.local",
              port: { 80: 80 },
              status: "Healthy",
              addresses: ["10.0.0.1"],
              network: "",
            },
          ],
        },
      },
    },
    "w.shop.svc.cluster.local": { shop: { Shards: {} } },
  });
});

test("networkz shows where other networks are entered, under istiod's names", () => {
  const viewed = viewedMesh([
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      { name: "to-n2", labels: { "topology.istio.io/network": "n2" } },
      {
        spec: {
          gatewayClassName: "istio-remote",
          addresses: [{ type: "IPAddress", value: "172.18.0.9" }],
          listeners: [{ name: "cross", port: 15_008, protocol: "HBONE" }],
        },
      },
    ),
  ]);
  const [gateway, ...more] = shown(viewed, "networkz") as Record<string, unknown>[];
  assert.deepEqual(more, []);
  assert.deepEqual(
    [gateway!["Network"], gateway!["Cluster"], gateway!["Addr"], gateway!["HBONEPort"]],
    ["n2", "east", "172.18.0.9", 15_008],
  );
});

test("authorizationz has policies by namespace, and mesh what holds for all of it", () => {
  const viewed = viewedMesh(SHOP);
  const { authorization_policies: policies } = shown(viewed, "authorizationz") as {
    authorization_policies: { namespace_to_policies: Record<string, { name: string }[]>; root_namespace: string };
  };
  assert.equal(policies.root_namespace, "istio-system");
  const names = Object.entries(policies.namespace_to_policies).map(([at, all]) => [at, all.map(({ name }) => name)]);
  assert.deepEqual(names, [["shop", ["only-cart"]]]);
  assert.deepEqual(shown(viewed, "mesh"), { trustDomain: "cluster.local", rootNamespace: "istio-system" });
});

test("resourcesz counts what was read of each kind", () => {
  const kinds = shown(viewedMesh(SHOP), "resourcesz") as { kind: string; group: string; objects: number }[];
  const countOf = (name: string): number | undefined => kinds.find(({ kind }) => kind === name)?.objects;
  assert.deepEqual([countOf("Pod"), countOf("Gateway"), countOf("ServiceEntry")], [3, 1, 0]);
});

test("config_dump shows what one client holds, by the name that proxy-status has for it", () => {
  const viewed = viewedMesh(SHOP, [client("a", [subscription()]), client("b", [])]);
  const dump = shown(viewed, "config_dump", "proxyID=a.istio-system") as {
    connectionId: string;
    types: Record<string, { state: string; resources: { name: string; version: string }[] }>;
  };
  assert.equal(dump.connectionId, "a.istio-system-a");
  assert.equal(dump.types[ADDRESS_TYPE]!.state, "SYNCED");
  assert.deepEqual(dump.types[ADDRESS_TYPE]!.resources, [{ name: "10.0.0.1", version: "" }]);
  assert.throws(() => shown(viewed, "config_dump"), /name the client, as \?proxyID=/);
  assert.throws(() => shown(viewed, "config_dump", "proxyID=c.x"), /no client c.x is connected here/);
});

test("of a client that has come back, config_dump shows the stream that is newest", () => {
  const [old, fresh] = [
    client("9", []),
    { ...client("9", []), id: "10", connectedAt: client("9", []).connectedAt + 1 },
  ];
  const viewed = viewedMesh([], [old, fresh]);
  const { connectionId } = shown(viewed, "config_dump", "proxyID=9.istio-system") as { connectionId: string };
  assert.equal(connectionId, "9.istio-system-10");
});

test("adsz says what each client asked for", () => {
  const named = subscription({ wildcard: false, subscribed: 3 });
  const { clients } = shown(viewedMesh([], [client("a", [named]), client("b", [subscription()])]), "adsz") as {
    clients: { watches: unknown; metadata: unknown }[];
  };
  assert.deepEqual(
    clients.map(({ watches }) => watches),
    [{ [ADDRESS_TYPE]: 3 }, { [ADDRESS_TYPE]: "*" }],
  );
  assert.deepEqual(clients[0]!.metadata, { ISTIO_VERSION: "1.31.0" });
});

test("what a bad object lost is said on problemz, and the rest of the mesh is shown without it", () => {
  const port = (more: object) => ({ ports: [{ port: 80, ...more }], selector: {} });
  const viewed = viewedMesh([
    ...SHOP,
    service("bad-port", "10.96.0.20", port({ port: 65_536 })),
    service("bad-vip", "10.96.0.999", port({})),
    service("same-vip", "10.96.0.1", port({})),
    serviceEntry("metadata", {
      hosts: ["metadata.example"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "169.254.169.254" }],
    }),
    authorization("bad-cidr", { rules: [{ from: [{ source: { ipBlocks: ["0.0.0.0/33"] } }] }] }),
    authorization("star", { rules: [{ from: [{ source: { principals: ["a*b"] } }] }] }),
  ]);
  const problems = viewed.problems();
  for (const object of ["bad-port", "bad-vip", "same-vip", "metadata", "bad-cidr", "star"]) {
    const found = problems.filter((problem) => problem.object.endsWith(`/${object}`));
    assert.ok(found.length > 0, `${object} in ${JSON.stringify(problems, undefined, 1)}`);
    for (const { origin } of found) assert.equal(origin, "mesh.yaml:1");
  }
  const { workloads, policies } = ambientz(viewed.registry);
  assert.ok([...workloads].some(({ name }) => name === "cart-1"));
  for (const { name, action, rules } of [...policies].filter(({ name }) => name === "bad-cidr" || name === "star"))
    assert.deepEqual([action, JSON.stringify(rules).includes("0.0.0.0/33")], ["Allow", false], name);
});
