import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { networkId } from "../../../src/names.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { federatedKey, type FederatedService } from "../../../src/registry/model/federated-service.ts";
import type { BackendName, ProxyEndpoint } from "../../../src/registry/model/proxy-backend.ts";
import { gatewayOf } from "../../../src/registry/model/proxy-service.ts";
import type { Workload } from "../../../src/registry/model/workload.ts";
import { choices } from "../../kits/ztunnel-choice.ts";
import { object, pod, service, serviceEntry } from "../mesh.ts";
import { federated } from "../peers.ts";
import { eastWest, system, unready } from "../two-networks.ts";
import {
  ambientPod,
  gatewayMesh,
  node,
  waypoint,
  WAYPOINT,
  waypointPod,
  waypointService,
  type GatewayMesh,
} from "./gateway-mesh.ts";

/** One thing that may be there in several forms, and one of these. */
type Step =
  | { readonly kind: "object"; readonly cluster: string; readonly object: KubeObject; readonly there: boolean }
  | { readonly kind: "record"; readonly record: FederatedService; readonly there: boolean };

const there = fc.constantFrom(true, true, true, false);
const objectStep = (cluster: string, made: fc.Arbitrary<KubeObject>): fc.Arbitrary<Step> =>
  fc.record({ kind: fc.constant("object" as const), cluster: fc.constant(cluster), object: made, there });

const labelled = fc.subarray([
  ["istio.io/use-waypoint", "w"],
  ["istio.io/global", "true"],
  ["solo.io/service-takeover", "true"],
] as const);
const ports = fc.subarray(
  [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "tcp", port: 81 },
    { name: "dns", port: 82, protocol: "UDP" },
    { name: "named", port: 83, targetPort: "web" },
  ],
  { minLength: 1 },
);
const services = fc
  .tuple(
    fc.constantFrom("a", "b"),
    labelled,
    ports,
    fc.constantFrom(undefined, "PreferClose", "PreferSameNode"),
    fc.boolean(),
    fc.constantFrom("once", "source", "destination"),
  )
  .map(([name, labels, ports, trafficDistribution, publishNotReadyAddresses, policy]) =>
    service(
      name,
      name === "a" ? "10.1.0.1" : "10.1.0.2",
      { ports, publishNotReadyAddresses, ...(trafficDistribution && { trafficDistribution }) },
      {
        labels: Object.fromEntries(labels),
        annotations: { "peering.causeway.dev/waypoint-policy": policy },
      },
    ),
  );
const NODES = ["n1", "n2", "n3", "n4"] as const;
const pods = fc
  .tuple(fc.nat(5), fc.constantFrom("a", "b"), fc.constantFrom(...NODES), fc.boolean(), fc.boolean(), fc.boolean())
  .map(([at, app, nodeName, ready, ambient, named]) => {
    const containers = named ? [{ name: "c", ports: [{ name: "web", containerPort: 7000 + at }] }] : [];
    const spec = { nodeName, serviceAccountName: app, containers };
    const { metadata } = ambientPod("", "");
    const annotations = ambient ? metadata.annotations : {};
    const made = pod(`p-${at}`, `10.0.0.${at + 1}`, { app }, spec, { annotations });
    return ready ? made : unready(made);
  });
const gateways = fc
  .tuple(
    fc.constantFrom("service", "all", "all", "none"),
    fc.constantFrom(
      [],
      [{ type: "IPAddress", value: "10.1.0.9" }],
      [{ type: "Hostname", value: "w.shop.svc.cluster.local" }],
    ),
  )
  .map(([traffic, addresses]) =>
    waypoint(
      { labels: { "istio.io/waypoint-for": traffic } },
      {
        spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
        status: { addresses },
      },
    ),
  );
const entries = fc
  .tuple(
    fc.subarray(["x.com", "y.com", "*.z.com"], { minLength: 1 }),
    labelled,
    fc.boolean(),
    fc.constantFrom("STATIC", "DNS", "NONE"),
  )
  .map(([hosts, labels, addressed, resolution]) =>
    serviceEntry(
      "e",
      {
        hosts,
        ...(addressed && { addresses: ["10.2.0.1", "10.2.0.0/24"] }),
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution,
        endpoints: [
          { address: "10.7.0.1", weight: 3 },
          { address: "10.0.0.1" },
          ...(resolution === "DNS" ? [{ address: "n.example.com" }] : []),
        ],
      },
      { labels: Object.fromEntries(labels) },
    ),
  );
const namespaces = labelled.map((labels) =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels: Object.fromEntries(labels) }),
);
const records = fc
  .record({
    name: fc.constantFrom("a", "b"),
    ready: fc.nat(2),
    identities: fc.constantFrom([], ["spiffe://cluster.local/ns/shop/sa/a"]),
    waypoint: fc.constantFrom(undefined, {
      namespace: "shop",
      name: "w",
      identity: "spiffe://cluster.local/ns/shop/sa/w",
    }),
    waypointPolicy: fc.constantFrom("once" as const, "destination" as const),
    takeover: fc.boolean(),
    localities: fc.constantFrom([], [{ region: "r", zone: "a", ready: 2 }]),
  })
  .map((said) => federated("west", { total: 2, ...said }));

const step: fc.Arbitrary<Step> = fc.oneof(
  objectStep("east", services),
  objectStep("east", pods),
  objectStep("east", pods),
  objectStep("east", gateways),
  objectStep("east", entries),
  objectStep("east", namespaces),
  objectStep("east", fc.constant(eastWest("net1", []))),
  objectStep("south", services),
  objectStep("south", pods),
  fc.record({ kind: fc.constant("record" as const), record: records, there }),
);

const BASE: readonly KubeObject[] = [
  node("n1", "r", "a"),
  node("n2", "r", "b"),
  node("n3", "s", "a"),
  waypointService,
  waypointPod("w-1", "10.0.9.1"),
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels: { "istio.io/use-waypoint": "w" } }),
  waypoint(),
];

const GLOBAL = { labels: { "istio.io/global": "true" } };
const shared = (ip: string): KubeObject => service("a", ip, { ports: [{ name: "http", port: 80 }] }, GLOBAL);
const put = (cluster: string, object: KubeObject): Step => ({ kind: "object", cluster, object, there: true });
/** All clusters share one service, from which chance goes on. */
const START: readonly Step[] = [
  put("east", shared("10.1.0.1")),
  ...NODES.map((nodeName, at) => put("east", pod(`p-${at}`, `10.0.0.${at + 1}`, { app: "a" }, { nodeName }))),
  put("east", eastWest("net1", [])),
  put("south", shared("10.3.0.1")),
  put("south", pod("p-0", "10.0.0.1", { app: "a" })),
  { kind: "record", record: federated("west", { name: "a" }), there: true },
];

class Player {
  readonly mesh: GatewayMesh = gatewayMesh(BASE, { allocateIps: false });

  constructor(steps: readonly Step[]) {
    this.mesh.hear("west", {});
    this.mesh.applyTo("south", system("net3"), eastWest("net3", ["192.0.2.5"]));
    for (const each of [...START, ...steps]) this.play(each);
    this.mesh.graph.flush();
  }

  play(step: Step): void {
    const { peers } = this.mesh.registry;
    if (step.kind === "record") {
      if (step.there) peers.federated.set(federatedKey(step.record), step.record);
      else peers.federated.delete(federatedKey(step.record));
    } else {
      const intake = step.cluster === "east" ? this.mesh.intake : this.mesh.intakeOf(step.cluster);
      if (step.there) intake.set(step.object, "");
      else intake.delete(step.object);
    }
  }
}

const contents = ({ configs }: GatewayMesh): unknown =>
  Object.fromEntries(
    Object.entries(configs).map(([name, collection]) => [
      name,
      [...(collection as { entries(): Iterable<readonly [string, unknown]> }).entries()].sort(([a], [b]) =>
        a < b ? -1 : 1,
      ),
    ]),
  );

/** What holds for all configurations that Envoy and its encoders can make sense of. */
function checkSound({ configs }: GatewayMesh): void {
  const known = (gateway: string, backend: BackendName | undefined): void => {
    const key = `${gateway} ${backend}`;
    assert.ok(backend === undefined || (configs.backends.get(key) && configs.endpoints.get(key)), `no backend ${key}`);
  };
  const taken = new Set<string>();
  const take = (place: string): void => {
    assert.ok(!taken.has(place), `${place} is there twice`);
    taken.add(place);
  };
  for (const [key, { gateway, authorities, ports }] of configs.services.entries()) {
    assert.equal(gatewayOf(key), gateway);
    for (const { number, backend } of ports) {
      known(gateway, backend);
      for (const authority of authorities) take(`${gateway} ${authority}:${number}`);
    }
  }
  for (const [, { gateway, hostname, ports }] of configs.eastWestRoutes.entries())
    for (const { number, direct, waypoint } of ports) {
      take(`${gateway} ${hostname}:${number}`);
      known(gateway, direct);
      known(gateway, waypoint);
    }
  assert.deepEqual(
    [...configs.endpoints.entries()].map(([key]) => key).sort(),
    [...configs.backends.entries()].map(([key]) => key).sort(),
  );
  for (const [, { groups }] of configs.endpoints.entries()) {
    const all = groups.flat();
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    for (const group of groups) assert.ok(group.length > 0);
    for (const endpoint of all) checkEndpoint(endpoint);
  }
}

function checkEndpoint({ weight, way, id }: ProxyEndpoint): void {
  assert.ok(Number.isInteger(weight) && weight >= 1, `${id} has weight ${weight}`);
  const identities = way.kind === "plain" || way.kind === "named" ? [] : [way.identity];
  if (way.kind === "double-tunnel") identities.push(way.gatewayIdentity);
  for (const { names, trustDomain } of identities) {
    assert.ok(names.length > 0, `${id} expects nobody`);
    for (const name of names) assert.ok(name.startsWith(`spiffe://${trustDomain}/`), name);
  }
}

/** Of what ztunnel would choose from, where there is somebody to expect. */
function checkChoices({ registry, configs }: GatewayMesh): number {
  let checked = 0;
  const caller = { network: networkId("net1"), cluster: "east", locality: { region: "r", zone: "a", subzone: "" } };
  for (const [, { gateway, service: name, ports }] of configs.services.entries()) {
    const served = registry.services.get(name);
    if (gateway !== WAYPOINT || served === undefined) continue;
    const balancing = served.loadBalancing;
    const preference = (balancing?.preference ?? []).filter((scope) => scope !== "node" && scope !== "subzone");
    const asked = { ...served, loadBalancing: balancing && { ...balancing, preference } };
    for (const { number, backend } of ports) {
      const reachable = {
        ...registry,
        workloadsByService: {
          get: (key: string): readonly Workload[] => {
            const all = registry.workloadsByService.get(key);
            return served.subjectAltNames.length > 0 ? all : all.filter(({ network }) => network === "net1");
          },
        },
      };
      const chosen = choices(reachable, asked, number, caller).map(({ workload }) => workload.uid);
      const [first = []] = configs.endpoints.get(`${gateway} ${backend}`)!.groups;
      assert.deepEqual(first.map(({ id }) => id).sort(), [...chosen].sort(), `${name} ${number}`);
      checked += chosen.length > 0 ? 1 : 0;
    }
  }
  return checked;
}

test("whatever comes and goes, gateways are told what makes sense, what ztunnels would do, and what a fresh start tells them", () => {
  let chosen = 0;
  let entered = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 24 }), fc.array(step, { maxLength: 6 }), (before, after) => {
      const player = new Player(before);
      for (const each of after) {
        player.play(each);
        player.mesh.graph.flush();
        checkSound(player.mesh);
      }
      checkSound(player.mesh);
      chosen += checkChoices(player.mesh);
      entered += player.mesh.configs.eastWestRoutes.size;
      assert.deepEqual(contents(player.mesh), contents(new Player([...before, ...after]).mesh));
    }),
    { numRuns: 100 },
  );
  assert.ok(chosen > 50 && entered > 10, `${chosen} choices and ${entered} routes were looked at`);
});
