import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId, type ClusterId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { Intake } from "../../src/registry/kube/intake.ts";
import { pod, service, testMesh, type TestMesh } from "./mesh.ts";
import { eastWest, system, unready } from "./two-networks.ts";

const CLUSTERS = ["east", "north", "west"] as const;
type Name = (typeof CLUSTERS)[number];
const NAMES = ["a", "b"] as const;

/** All that a cluster holds, in the few words that this test knows. */
interface ModelCluster {
  network: string;
  readonly services: Map<string, "true" | "false" | "">;
  readonly pods: Map<string, { readonly app: string; readonly ready: boolean }>;
  gateway: { readonly network: string; readonly ips: readonly string[] } | undefined;
}
interface Model {
  readonly clusters: ReadonlyMap<Name, ModelCluster>;
  allGlobal: boolean;
}

const emptyCluster = (): ModelCluster => ({
  network: "net1",
  services: new Map(),
  pods: new Map(),
  gateway: undefined,
});
const emptyModel = (): Model => ({
  clusters: new Map(CLUSTERS.map((name) => [name, emptyCluster()])),
  allGlobal: false,
});

const octet = (name: Name): number => 1 + CLUSTERS.indexOf(name);
const serviceIp = (cluster: Name, name: string): string => `10.${octet(cluster)}.0.${name === "a" ? 1 : 2}`;

type Step =
  | { readonly kind: "network"; readonly cluster: Name; readonly network: string }
  | {
      readonly kind: "service";
      readonly cluster: Name;
      readonly name: string;
      readonly global: "true" | "false" | "" | undefined;
    }
  | {
      readonly kind: "pod";
      readonly cluster: Name;
      readonly name: string;
      readonly pod: { readonly app: string; readonly ready: boolean } | undefined;
    }
  | { readonly kind: "gateway"; readonly cluster: Name; readonly gateway: ModelCluster["gateway"] }
  | { readonly kind: "leave"; readonly cluster: Name }
  | { readonly kind: "rules"; readonly allGlobal: boolean };

const cluster = fc.constantFrom(...CLUSTERS);
const network = fc.constantFrom("net1", "net2", "net3");
const podStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("pod" as const),
  cluster,
  name: fc.constantFrom("p", "q", "r", "s"),
  pod: fc.option(fc.record({ app: fc.constantFrom(...NAMES), ready: fc.boolean() }), { nil: undefined, freq: 4 }),
});
const otherStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("network" as const), cluster, network }),
  fc.record({
    kind: fc.constant("service" as const),
    cluster,
    name: fc.constantFrom(...NAMES),
    global: fc.constantFrom("true" as const, "true" as const, "false" as const, "" as const, undefined),
  }),
  fc.record({
    kind: fc.constant("gateway" as const),
    cluster,
    gateway: fc.option(fc.record({ network, ips: fc.subarray(["1", "2", "3"]) }), { nil: undefined, freq: 5 }),
  }),
  fc.record({ kind: fc.constant("leave" as const), cluster: fc.constantFrom("north" as const, "west" as const) }),
  fc.record({ kind: fc.constant("rules" as const), allGlobal: fc.boolean() }),
);
// Pods change more often than anything else.
const step = fc.oneof(podStep, podStep, otherStep);

/** Three clusters that share all they have, from which chance goes on. */
const START: readonly Step[] = CLUSTERS.flatMap((cluster, at): readonly Step[] => [
  { kind: "network", cluster, network: at === 0 ? "net1" : "net2" },
  ...NAMES.map((name) => ({ kind: "service", cluster, name, global: "true" }) as const),
  ...["p", "q", "r"].map((name) => ({ kind: "pod", cluster, name, pod: { app: "a", ready: true } }) as const),
  { kind: "gateway", cluster, gateway: { network: "net2", ips: ["1", "2"] } },
]);

/** The objects of one step, written to the model and to the registry. */
class Player {
  readonly model = emptyModel();
  readonly #intakes = new Map<Name, Intake>();

  constructor(
    readonly mesh: TestMesh,
    steps: readonly Step[] = [],
  ) {
    for (const name of CLUSTERS) this.#intakes.set(name, mesh.registry.intake(clusterId(name)));
    for (const name of CLUSTERS) this.play({ kind: "network", cluster: name, network: "net1" });
    for (const each of steps) this.play(each);
  }

  play(step: Step): void {
    if (step.kind === "rules") {
      this.model.allGlobal = step.allGlobal;
      const serviceScopeConfigs = step.allGlobal ? [{ scope: "global" as const }] : [];
      this.mesh.registry.meshConfig.set("mesh", { serviceScopeConfigs });
      return;
    }
    const at = this.model.clusters.get(step.cluster)!;
    const intake = this.#intakes.get(step.cluster)!;
    const write = (object: KubeObject, there: boolean) => (there ? intake.set(object, "") : intake.delete(object));
    if (step.kind === "network") {
      at.network = step.network;
      write(system(step.network), true);
    } else if (step.kind === "service") {
      if (step.global === undefined) at.services.delete(step.name);
      else at.services.set(step.name, step.global);
      const labels = step.global ? { "istio.io/global": step.global } : {};
      write(service(step.name, serviceIp(step.cluster, step.name), {}, { labels }), step.global !== undefined);
    } else if (step.kind === "pod") {
      if (step.pod === undefined) at.pods.delete(step.name);
      else at.pods.set(step.name, step.pod);
      const ip = `10.${octet(step.cluster)}.1.${step.name.charCodeAt(0)}`;
      const written = pod(step.name, ip, { app: step.pod?.app ?? "" });
      write(step.pod?.ready === false ? unready(written) : written, step.pod !== undefined);
    } else if (step.kind === "gateway") {
      const ips = (step.gateway?.ips ?? []).map((last) => `192.0.${octet(step.cluster)}.${last}`);
      at.gateway = step.gateway && { ...step.gateway, ips };
      write(eastWest(step.gateway?.network ?? "net1", ips), step.gateway !== undefined);
    } else {
      const { network } = at;
      (this.model.clusters as Map<Name, ModelCluster>).set(step.cluster, { ...emptyCluster(), network });
      intake.clear();
      write(system(network), true);
    }
  }
}

/** What clients shall hold of one service, worked out from the whole model in the plainest way. */
interface Expected {
  readonly addresses: readonly string[];
  readonly names: readonly string[];
  /** By network: how many endpoints there are behind its gateways, how many are ready, and which gateways there are. */
  readonly behind: ReadonlyMap<
    string,
    { readonly all: number; readonly ready: number; readonly ways: readonly string[] }
  >;
  readonly individually: readonly string[];
}

function expected({ clusters, allGlobal }: Model, name: string): Expected | undefined {
  const isGlobal = (label: string | undefined): boolean => label === "true" || (label === "" && allGlobal);
  const [east, ...others] = CLUSTERS.map((cluster) => ({ cluster, ...clusters.get(cluster)! }));
  const own = east!.services.get(name);
  const sharing =
    own !== undefined && !isGlobal(own) ? [] : others.filter(({ services }) => isGlobal(services.get(name)));
  const having = [...(own === undefined ? [] : [east!]), ...sharing];
  if (having.length === 0) return undefined;
  const podsOf = ({ pods }: ModelCluster) => [...pods].filter(([, { app }]) => app === name);
  const away = sharing.filter(({ network }) => network !== east!.network);
  const networks = [...new Set(away.map(({ network }) => network))];
  const waysOf = (network: string): readonly string[] =>
    others.flatMap((other) =>
      other.network === network && other.gateway?.network === network ? other.gateway.ips : [],
    );
  return {
    addresses: having.map(({ cluster, network }) => `${network}/${serviceIp(cluster, name)}`).sort(),
    names: [
      ...new Set(away.flatMap((where) => podsOf(where).map(([sa]) => `spiffe://cluster.local/ns/shop/sa/${sa}`))),
    ].sort(),
    behind: new Map(
      networks.flatMap((network) => {
        const pods = away.filter((where) => where.network === network).flatMap(podsOf);
        const ways = waysOf(network);
        if (pods.length === 0 || ways.length === 0) return [];
        return [[network, { all: pods.length, ready: pods.filter(([, { ready }]) => ready).length, ways }] as const];
      }),
    ),
    individually: having
      .filter(({ network, cluster }) => cluster === "east" || network === east!.network)
      .flatMap((where) => podsOf(where).map(([pod]) => `${where.cluster}//Pod/shop/${pod}`))
      .sort(),
  };
}

function checkService({ mesh: { registry }, model }: Player, name: string): void {
  const key = `shop/${name}.shop.svc.cluster.local`;
  const found = [...registry.services.entries()].find(([service]) => service === key)?.[1];
  const wanted = expected(model, name);
  assert.equal(found === undefined, wanted === undefined, `${name} is ${wanted ? "missing" : "there"}`);
  if (!found || !wanted) return;
  assert.deepEqual(found.addresses.map(({ network, ip }) => `${network}/${ip}`).sort(), wanted.addresses);
  assert.deepEqual([...found.subjectAltNames].sort(), wanted.names);
  const endpoints = registry.workloadsByService.get(key);
  const single = endpoints.filter(({ uid }) => uid.includes("//Pod/"));
  assert.deepEqual(single.map(({ uid }) => uid).sort(), wanted.individually);
  const coalesced = endpoints.filter(({ uid }) => uid.includes("/SplitHorizonWorkload/"));
  assert.equal(single.length + coalesced.length, endpoints.length);
  assert.deepEqual(new Set(coalesced.map(({ network }) => network as string)), new Set(wanted.behind.keys()));
  for (const [network, { all, ready, ways }] of wanted.behind) {
    const there = coalesced.filter((workload) => workload.network === network);
    const sum = (healthy: boolean) =>
      there.filter((workload) => workload.healthy === healthy).reduce((total, { capacity }) => total + capacity!, 0);
    assert.equal(sum(true), ready);
    assert.ok(ready > 0 ? sum(true) + sum(false) <= all : sum(false) === all);
    for (const { networkGateway, capacity } of there) {
      const to = networkGateway!.destination;
      assert.ok(to.kind === "address" && ways.includes(to.address.ip) && capacity! > 0);
      const gateway = [...registry.workloads.entries()].find(([, { addresses }]) => addresses.includes(to.address.ip));
      assert.ok(gateway, "each gateway is a workload");
    }
  }
}

test("whatever clusters do, each service is what a count from scratch says, and what a fresh registry holds", function () {
  this.timeout(60_000);
  let shared = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.constantFrom(true, true, false)), { maxLength: 40 }), (steps) => {
      const living = new Player(testMesh([], { allocateIps: false }), START);
      for (const [each, flush] of steps) {
        living.play(each);
        if (flush) living.mesh.graph.flush();
      }
      living.mesh.graph.flush();
      for (const name of NAMES) checkService(living, name);
      const fresh = new Player(testMesh([], { allocateIps: false }), START);
      for (const [each] of steps) fresh.play(each);
      fresh.mesh.graph.flush();
      const contents = ({ mesh: { registry } }: Player) =>
        [registry.workloads, registry.services, registry.problems].map(
          (all) => new Map<string, unknown>(all.entries()),
        );
      assert.deepEqual(contents(living), contents(fresh));
      shared += [...living.mesh.registry.workloads.entries()].filter(([uid]) => uid.includes("Horizon")).length;
    }),
    { numRuns: 100 },
  );
  assert.ok(shared > 200, `only ${shared} workloads stood for others: too little was tried`);
});

test("one pod of ten thousand changes one workload, and is a step, not a count", () => {
  const living = new Player(testMesh());
  const { graph, registry } = living.mesh;
  const west = registry.intake("west" as ClusterId);
  living.play({ kind: "network", cluster: "west", network: "net2" });
  living.play({ kind: "service", cluster: "west", name: "a", global: "true" });
  living.play({ kind: "gateway", cluster: "west", gateway: { network: "net2", ips: ["1"] } });
  const ipOf = (at: number) => `10.20.${at >> 8}.${at & 255}`;
  for (let at = 0; at < 10_000; at++) west.set(pod(`a-${at}`, ipOf(at), { app: "a" }, { serviceAccountName: "a" }), "");
  graph.flush();
  const changed: string[] = [];
  for (const all of [registry.workloads, registry.services])
    all.observe((batch) => changed.push(...batch.map(({ key }) => key)));
  const capacity = () => registry.workloadsByService.get("shop/a.shop.svc.cluster.local").map((each) => each.capacity);
  assert.deepEqual(capacity(), [10_000]);
  const began = process.cpuUsage();
  for (let at = 0; at < 200; at++) {
    west.set(unready(pod(`a-${at}`, ipOf(at), { app: "a" }, { serviceAccountName: "a" })), "");
    graph.flush();
  }
  const { user, system } = process.cpuUsage(began);
  assert.deepEqual(capacity(), [9_800]);
  assert.deepEqual(changed.length, 200);
  // Counting anew takes some milliseconds each; a step takes a few hundredths of one.
  assert.ok((user + system) / 1000 / 200 < 2, `${(user + system) / 1000 / 200} ms of work for one pod`);
});
