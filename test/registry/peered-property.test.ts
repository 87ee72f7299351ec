import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { federatedKey, type FederatedService } from "../../src/registry/model/federated-service.ts";
import type { PeerStatus } from "../../src/registry/model/peer.ts";
import { pod, service } from "./mesh.ts";
import { facts, federated, peered, peerGateway, status, type PeeredMesh } from "./peers.ts";
import { eastWest, system, unready } from "./two-networks.ts";

const NAMES = ["a", "b"] as const;
const PEERS = ["north", "west"] as const;
/** East is ours; south is read by a remote secret. */
const READ = ["east", "south"] as const;
type Name = (typeof NAMES)[number];

interface ModelService {
  readonly shared: boolean;
  readonly takeover: boolean;
  readonly ports: readonly number[];
}

/** All that there is, in the few words that this test knows. */
interface Model {
  readonly services: Map<string, ModelService>;
  readonly pods: Map<string, { readonly app: Name; readonly ready: boolean }>;
  readonly records: Map<string, FederatedService>;
  readonly gateways: Set<string>;
  readonly facts: Set<string>;
  readonly statuses: Map<string, Partial<PeerStatus>>;
}

type Step =
  | {
      readonly kind: "service";
      readonly at: (typeof READ)[number];
      readonly name: Name;
      readonly service: ModelService | undefined;
    }
  | {
      readonly kind: "pod";
      readonly at: (typeof READ)[number];
      readonly name: string;
      readonly pod: { readonly app: Name; readonly ready: boolean } | undefined;
    }
  | {
      readonly kind: "record";
      readonly at: (typeof PEERS)[number];
      readonly name: Name;
      readonly said: Partial<FederatedService> | undefined;
    }
  | { readonly kind: "gateway" | "facts"; readonly at: (typeof PEERS)[number]; readonly there: boolean }
  | { readonly kind: "status"; readonly at: (typeof PEERS)[number]; readonly said: Partial<PeerStatus> };

const ports = fc.subarray([80, 81, 82], { minLength: 1 });
const peer = fc.constantFrom(...PEERS);
const name = fc.constantFrom(...NAMES);
const read = fc.constantFrom(...READ);
const there = fc.constantFrom(true, true, false);
const said = fc
  .record({
    ports,
    ready: fc.nat(3),
    takeover: fc.boolean(),
    createdMs: fc.nat(5),
    waypointPolicy: fc.constantFrom("once" as const, "destination" as const),
  })
  .map(({ ports, ...rest }): Partial<FederatedService> => ({
    ...rest,
    total: 3,
    ports: ports.map((number) => ({ number, name: "", protocol: "", targetPort: number })),
  }));
const states: readonly Partial<PeerStatus>[] = [
  {},
  { state: "stale", staleness: "within-grace" },
  { state: "stale", staleness: "within-grace", dataPlane: "closed" },
  { state: "stale", staleness: "unhealthy" },
  { state: "stale", staleness: "remove" },
];
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("service" as const),
    at: read,
    name,
    service: fc.option(fc.record({ shared: there, takeover: fc.boolean(), ports }), { nil: undefined, freq: 3 }),
  }),
  fc.record({
    kind: fc.constant("pod" as const),
    at: read,
    name: fc.constantFrom("p", "q", "r"),
    pod: fc.option(fc.record({ app: name, ready: fc.boolean() }), { nil: undefined, freq: 4 }),
  }),
  fc.record({
    kind: fc.constant("record" as const),
    at: peer,
    name,
    said: fc.option(said, { nil: undefined, freq: 4 }),
  }),
  fc.record({
    kind: fc.constant("record" as const),
    at: peer,
    name,
    said: fc.option(said, { nil: undefined, freq: 4 }),
  }),
  fc.record({ kind: fc.constantFrom("gateway" as const, "facts" as const), at: peer, there }),
  fc.record({ kind: fc.constant("status" as const), at: peer, said: fc.constantFrom(...states) }),
);

/** Everybody shares everything, from which chance goes on. */
const START: readonly Step[] = [
  ...PEERS.flatMap((at): readonly Step[] => [
    { kind: "gateway", at, there: true },
    { kind: "facts", at, there: true },
    { kind: "status", at, said: {} },
    { kind: "record", at, name: "a", said: { takeover: true } },
  ]),
  ...READ.map((at): Step => ({
    kind: "service",
    at,
    name: "a",
    service: { shared: true, takeover: true, ports: [80] },
  })),
  ...READ.map((at): Step => ({ kind: "pod", at, name: "p", pod: { app: "a", ready: true } })),
];

const identity = (cluster: string, app: string): string => `spiffe://cluster.local/ns/shop/sa/${cluster}-${app}`;
const recordOf = (at: string, name: Name, said: Partial<FederatedService>): FederatedService =>
  federated(at, { name, identities: [identity(at, name)], ...said });

/** The objects and records of one step, written to the model and to the registry. */
class Player {
  readonly model: Model = {
    services: new Map(),
    pods: new Map(),
    records: new Map(),
    gateways: new Set(),
    facts: new Set(),
    statuses: new Map(),
  };
  readonly mesh: PeeredMesh = peered([], [], { allocateIps: false });

  constructor(steps: readonly Step[] = []) {
    this.mesh.applyTo("south", system("net-south"), eastWest("net-south", ["198.51.100.9"]));
    for (const each of [...START, ...steps]) this.play(each);
  }

  play(step: Step): void {
    const { peers } = this.mesh.registry;
    const { model } = this;
    const cluster = clusterId(step.at);
    if (step.kind === "service" || step.kind === "pod") return this.#playObject(step);
    if (step.kind === "record") {
      const record = recordOf(step.at, step.name, step.said ?? {});
      put(model.records, `${step.at}/${step.name}`, step.said && record);
      if (step.said) peers.federated.set(federatedKey(record), record);
      else peers.federated.delete(federatedKey(record));
    } else if (step.kind === "status") {
      model.statuses.set(step.at, step.said);
      peers.statuses.set(cluster, status(step.at, step.said));
    } else if (step.kind === "facts") {
      member(model.facts, step.at, step.there);
      if (step.there) peers.facts.set(cluster, facts(step.at));
      else peers.facts.delete(cluster);
    } else {
      member(model.gateways, step.at, step.there);
      const gateway = peerGateway(step.at, { addresses: [`192.0.2.${1 + PEERS.indexOf(step.at)}`] });
      if (step.there) this.mesh.intake.set(gateway, "");
      else this.mesh.intake.delete(gateway);
    }
  }

  #playObject(step: Extract<Step, { readonly kind: "service" | "pod" }>): void {
    const intake = step.at === "east" ? this.mesh.intake : this.mesh.registry.intake(clusterId(step.at));
    const octet = 1 + READ.indexOf(step.at);
    if (step.kind === "service") {
      put(this.model.services, `${step.at}/${step.name}`, step.service);
      const { shared = false, takeover = false, ports = [80] } = step.service ?? {};
      const labels = {
        ...(shared ? { "solo.io/service-scope": "global" } : {}),
        ...(takeover ? { "solo.io/service-takeover": "true" } : {}),
      };
      const written = service(
        step.name,
        `10.${octet}.0.${step.name === "a" ? 1 : 2}`,
        { ports: ports.map((port) => ({ port })) },
        { labels },
      );
      return step.service === undefined ? intake.delete(written) : intake.set(written, "");
    }
    put(this.model.pods, `${step.at}/${step.name}`, step.pod);
    const app = step.pod?.app ?? "a";
    const account = { serviceAccountName: `${step.at}-${app}` };
    const written = pod(step.name, `10.${octet}.1.${step.name.charCodeAt(0)}`, { app }, account);
    if (step.pod === undefined) intake.delete(written);
    else intake.set(step.pod.ready ? written : unready(written), "");
  }
}

function put<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function member(set: Set<string>, key: string, there: boolean): void {
  if (there) set.add(key);
  else set.delete(key);
}

/** What clients shall hold of one name: endpoints by cluster as `ready of all`, identities, ports. */
interface Expected {
  readonly endpoints: ReadonlyMap<string, string>;
  readonly names: readonly string[];
  readonly ports: ReadonlySet<number>;
}

/** Worked out from the whole model in the plainest way; `kind` is the global name or the cluster-local one. */
function expected(model: Model, name: Name, kind: "global" | "local"): Expected | undefined {
  const own = model.services.get(`east/${name}`);
  const counted = PEERS.flatMap((at) => {
    const record = model.records.get(`${at}/${name}`);
    const { staleness, dataPlane } = model.statuses.get(at) ?? {};
    if (!record || !model.gateways.has(at) || !model.facts.has(at) || staleness === "remove") return [];
    return [{ at, record, away: staleness === "unhealthy" || dataPlane === "closed" }];
  });
  const remote = model.services.get(`south/${name}`);
  const takesOver = own === undefined ? counted.some(({ record }) => record.takeover) : own.shared && own.takeover;
  const hasOwn = own !== undefined && (own.shared || kind === "local");
  const hasRemote = remote?.shared === true && (kind === "global" || own === undefined || own.shared);
  const peers = kind === "global" || takesOver ? counted : [];
  if (!hasOwn && !hasRemote && peers.length === 0) return undefined;
  const podsOf = (at: string) =>
    [...model.pods].filter(([key, { app }]) => key.startsWith(`${at}/`) && app === name).map(([, each]) => each);
  const text = (all: readonly { readonly ready: boolean }[]) =>
    `${all.filter(({ ready }) => ready).length} of ${all.length}`;
  const endpoints = new Map<string, string>();
  if (hasOwn && podsOf("east").length > 0) endpoints.set("east", text(podsOf("east")));
  if (hasRemote && podsOf("south").length > 0) endpoints.set("south", text(podsOf("south")));
  for (const { at, record, away } of peers) endpoints.set(at, away ? "0" : `${record.ready}`);
  const names = peers.map(({ at }) => identity(at, name));
  if (hasRemote && podsOf("south").length > 0) names.push(identity("south", name));
  const base = own ?? remote;
  const declared = [
    ...(hasOwn ? own.ports : []),
    ...(kind === "global" && hasRemote ? remote.ports : []),
    ...peers.flatMap(({ record }) => record.ports.map(({ number }) => number)),
    // Of a name that clusters share in istiod's way the first says what its ports are.
    ...(kind === "local" && peers.length === 0 && !hasOwn ? (base?.ports ?? []) : []),
  ];
  return { endpoints, names: names.sort(), ports: new Set(declared) };
}

/** Of single pods as `ready of all`, of what stands for others their capacity while it is healthy. */
function seenEndpoints(all: readonly Workload[]): ReadonlyMap<string, string> {
  const found = new Map<string, { ready: number; all: number; single: boolean }>();
  for (const { cluster, healthy, capacity, addresses, uid } of all) {
    const count = found.get(cluster) ?? {
      ready: 0,
      all: 0,
      single: addresses.length > 0 || uid.startsWith("net-south/"),
    };
    found.set(cluster, count);
    count.all += capacity ?? 1;
    if (healthy) count.ready += capacity ?? 1;
  }
  return new Map(
    [...found].map(([cluster, { ready, all, single }]) => [
      cluster,
      single && cluster === "east" ? `${ready} of ${all}` : `${ready}`,
    ]),
  );
}

function check({ mesh, model }: Player, name: Name, kind: "global" | "local"): number {
  const key = `shop/${name}.shop.${kind === "global" ? "mesh.internal" : "svc.cluster.local"}`;
  const found = mesh.service(key);
  const wanted = expected(model, name, kind);
  assert.equal(found === undefined, wanted === undefined, `${key} is ${wanted ? "missing" : "there"}`);
  if (!found || !wanted) return 0;
  const brief = new Map(
    [...wanted.endpoints].map(([cluster, text]) => [cluster, cluster === "east" ? text : text.split(" ")[0]!]),
  );
  assert.deepEqual(new Map([...seenEndpoints(mesh.endpoints(key))].sort()), new Map([...brief].sort()), key);
  assert.deepEqual([...found.subjectAltNames], [...new Set(wanted.names)], key);
  assert.deepEqual(new Set(found.ports.map(({ servicePort }) => servicePort)), wanted.ports, key);
  for (const { cluster, services } of mesh.endpoints(key).filter(({ cluster }) => PEERS.includes(cluster as never))) {
    const bound = services.find(({ service }) => service === key)!.ports.map(({ servicePort }) => servicePort);
    assert.deepEqual(
      bound,
      model.records.get(`${cluster}/${name}`)!.ports.map(({ number }) => number),
    );
  }
  return wanted.endpoints.size;
}

test("whatever peers and clusters do, each name is what a count from scratch says, and what a fresh registry holds", function () {
  this.timeout(120_000);
  let pooled = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.constantFrom(true, true, false)), { maxLength: 40 }), (steps) => {
      const living = new Player();
      living.mesh.graph.flush();
      for (const [each, flush] of steps) {
        living.play(each);
        if (flush) living.mesh.graph.flush();
      }
      living.mesh.graph.flush();
      for (const name of NAMES) for (const kind of ["global", "local"] as const) pooled += check(living, name, kind);
      const fresh = new Player(steps.map(([each]) => each));
      fresh.mesh.graph.flush();
      const contents = ({ mesh: { registry } }: Player) =>
        [registry.workloads, registry.services, registry.problems].map(
          (all) => new Map<string, unknown>(all.entries()),
        );
      assert.deepEqual(contents(living), contents(fresh));
    }),
    { numRuns: 150 },
  );
  assert.ok(pooled > 1_000, `only ${pooled} clusters were behind names: too little was tried`);
});

test("one record of ten thousand changes one workload, whoever else has the service", () => {
  const peers = Array.from({ length: 50 }, (_each, at) => `peer-${at}`);
  const mesh = peered(peers);
  const all = peers.flatMap((at) =>
    Array.from({ length: 200 }, (_each, service) => federated(at, { name: `s-${service}` })),
  );
  mesh.hear(...all);
  assert.equal(mesh.aggregates().length, 10_000);
  const changed: string[] = [];
  for (const each of [mesh.registry.workloads, mesh.registry.services])
    each.observe((batch) => changed.push(...batch.map(({ key }) => key)));
  const began = process.cpuUsage();
  for (let at = 0; at < 100; at++) mesh.hear({ ...all[at * 97]!, ready: 2 });
  const { user, system: kernel } = process.cpuUsage(began);
  assert.equal(changed.length, 100);
  assert.ok(changed.every((key) => key.includes("/SplitHorizonWorkload/")));
  assert.ok((user + kernel) / 1000 / 100 < 5, `${(user + kernel) / 1000 / 100} ms of work for one record`);
});
