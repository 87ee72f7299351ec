import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { Intake } from "../../src/registry/kube/intake.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

const CLUSTERS = ["east", "west"] as const;
type Cluster = (typeof CLUSTERS)[number];
interface ModelService {
  readonly scope: string;
  readonly takeover: boolean;
  readonly tier: string;
  readonly named: boolean;
  readonly headless: boolean;
}
interface ModelPod {
  readonly app: string;
  readonly ready: boolean;
  readonly node: string;
  readonly port: number;
}

/** All that the two clusters hold, by what makes it; undefined is not there. */
interface Model {
  readonly services: Map<string, ModelService | undefined>;
  readonly pods: Map<string, ModelPod | undefined>;
  readonly nodes: Map<string, string | undefined>;
  readonly networks: Map<string, string>;
  scope: string;
  label: string;
  segment: boolean;
  peer: string | undefined;
  allGlobal: boolean;
}

type Step = (model: Model) => void;
const names = fc.constantFrom("a", "b");
const cluster = fc.constantFrom(...CLUSTERS, "east" as const);
const scope = fc.constantFrom("global", "global", "segment", "cluster", "global-only", "");
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 4 });
const aService: fc.Arbitrary<ModelService> = fc.record({
  scope,
  takeover: fc.boolean(),
  tier: fc.constantFrom("gold", "gold", ""),
  named: fc.boolean(),
  headless: fc.constantFrom(false, false, false, true),
});
const aPod: fc.Arbitrary<ModelPod> = fc.record({
  app: names,
  ready: fc.boolean(),
  node: fc.constantFrom("n1", "n2"),
  port: fc.constantFrom(8080, 8080, 8081),
});
const put =
  <V>(into: (model: Model) => Map<string, V>, key: string, value: V): Step =>
  (model) =>
    void into(model).set(key, value);
const podStep = fc
  .tuple(cluster, fc.constantFrom("p", "q", "r", "s"), maybe(aPod))
  .map(([where, name, value]) => put(({ pods }) => pods, `${where}/${name}`, value));
const otherStep = fc.oneof(
  fc
    .tuple(cluster, names, maybe(aService))
    .map(([where, name, value]) => put(({ services }) => services, `${where}/${name}`, value)),
  fc
    .tuple(fc.constantFrom("n1", "n2"), maybe(fc.constantFrom("eu", "us")))
    .map(([name, value]) => put(({ nodes }) => nodes, name, value)),
  fc
    .tuple(cluster, fc.constantFrom("net1", "net2"))
    .map(([where, value]) => put(({ networks }) => networks, where, value)),
  scope.map(
    (scope): Step =>
      (model) =>
        void (model.scope = scope),
  ),
  fc.constantFrom("blue", "red", "").map(
    (label): Step =>
      (model) =>
        void (model.label = label),
  ),
  fc.boolean().map(
    (segment): Step =>
      (model) =>
        void (model.segment = segment),
  ),
  maybe(fc.constantFrom("net1", "net2")).map(
    (peer): Step =>
      (model) =>
        void (model.peer = peer),
  ),
  fc.boolean().map(
    (all): Step =>
      (model) =>
        void (model.allGlobal = all),
  ),
);
const step = fc.oneof(podStep, podStep, otherStep);

/** Every object of the model, absent ones with what is enough to delete them. */
function objectsOf(model: Model): readonly (readonly [Cluster, KubeObject, there: boolean])[] {
  const all: (readonly [Cluster, KubeObject, boolean])[] = [];
  const add = (where: Cluster, object: KubeObject, there = true): void => void all.push([where, object, there]);
  const scoped = (text: string): object => (text === "" ? {} : { "solo.io/service-scope": text });
  for (const [where, network] of model.networks) {
    const segment = where === "east" && model.label !== "" ? { "admin.solo.io/segment": model.label } : {};
    add(
      where as Cluster,
      object("v1", "Namespace", {
        namespace: undefined,
        name: "istio-system",
        labels: { "topology.istio.io/network": network, ...segment },
      }),
    );
  }
  add("east", object("v1", "Namespace", { namespace: undefined, name: "shop", labels: scoped(model.scope) }));
  const spec = { domain: "blue.example", aliases: [{ pattern: "{labels['tier']}.alias.example" }] };
  add(
    "east",
    object("admin.solo.io/v1alpha1", "Segment", { namespace: "istio-system", name: "blue" }, { spec }),
    model.segment,
  );
  for (const [name, region] of model.nodes)
    add(
      "east",
      object("v1", "Node", { namespace: undefined, name, labels: { "topology.kubernetes.io/region": region ?? "" } }),
      region !== undefined,
    );
  for (const [key, value] of model.services) add(...serviceOf(key, value));
  for (const [key, value] of model.pods) add(...podOf(key, value));
  add("east", peerOf(model.peer ?? "none"), model.peer !== undefined);
  return all;
}

function serviceOf(key: string, value: ModelService | undefined): readonly [Cluster, KubeObject, boolean] {
  const [where, name] = key.split("/") as [Cluster, string];
  const labels = {
    ...(value?.scope ? { "solo.io/service-scope": value.scope } : {}),
    ...(value?.takeover ? { "solo.io/service-takeover": "true" } : {}),
    ...(value?.tier ? { tier: value.tier } : {}),
  };
  const ip = value?.headless === true ? "None" : `10.${where === "east" ? 1 : 2}.0.${name === "a" ? 1 : 2}`;
  const ports = [{ name: "http", port: 80, targetPort: value?.named === true ? "web" : 9000 }];
  const creationTimestamp = `2026-01-0${name === "a" ? 1 : 2}T00:00:00Z`;
  return [where, service(name, ip, { ports }, { labels, creationTimestamp }), value !== undefined];
}

function podOf(key: string, value: ModelPod | undefined): readonly [Cluster, KubeObject, boolean] {
  const [where, name] = key.split("/") as [Cluster, string];
  const written = pod(
    name,
    `10.${where === "east" ? 1 : 2}.1.${name.charCodeAt(0)}`,
    { app: value?.app ?? "" },
    { nodeName: value?.node, containers: [{ ports: [{ name: "web", containerPort: value?.port ?? 1 }] }] },
  );
  const conditions = [{ type: "Ready", status: value?.ready === true ? "True" : "False" }];
  return [
    where,
    { ...written, status: { ...(written["status"] as object), conditions } } as KubeObject,
    value !== undefined,
  ];
}

const peerOf = (network: string): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "peer", labels: { "topology.istio.io/network": network, "topology.istio.io/cluster": "north" } },
    {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ value: "192.0.2.1" }],
        listeners: [{ name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } }],
      },
    },
  );

const emptyModel = (): Model => ({
  services: new Map(
    ["a", "b"].map((name) => [
      `east/${name}`,
      { scope: "global", takeover: false, tier: "gold", named: true, headless: false },
    ]),
  ),
  pods: new Map(["p", "q"].map((name) => [`east/${name}`, { app: "a", ready: true, node: "n1", port: 8080 }])),
  nodes: new Map([["n1", "eu"]]),
  networks: new Map(CLUSTERS.map((name) => [name, "net1"])),
  scope: "",
  label: "blue",
  segment: true,
  peer: undefined,
  allGlobal: false,
});

/** Writes the whole model; what did not change is no change to the registry. */
function play(mesh: TestMesh, intakes: ReadonlyMap<Cluster, Intake>, model: Model, reverse = false): void {
  const all = objectsOf(model);
  for (const [where, object, there] of reverse ? all.toReversed() : all)
    if (there) intakes.get(where)!.set(object, "");
    else intakes.get(where)!.delete(object);
  mesh.registry.meshConfig.set("mesh", { serviceScopeConfigs: model.allGlobal ? [{ scope: "global" }] : [] });
  mesh.graph.flush();
}

const intakesOf = ({ registry }: TestMesh): ReadonlyMap<Cluster, Intake> =>
  new Map(CLUSTERS.map((name) => [name, registry.intake(clusterId(name))]));

const sorted = <V>(entries: Iterable<readonly [string, V]>): readonly (readonly [string, V])[] =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
const stateOf = ({ exports, shared, peerGateways, problems }: Registry): unknown => {
  const all: readonly { entries(): Iterable<readonly [string, unknown]> }[] = [
    exports.services,
    exports.facts,
    exports.workloads,
    shared,
    peerGateways,
    problems,
  ];
  return all.map((each) => sorted(each.entries()));
};

/** What peers shall hear, worked out from the model in the plainest way. */
function expected(model: Model): unknown {
  const network = model.networks.get("east");
  const domain = model.segment && model.label === "blue" ? "blue.example" : "mesh.internal";
  const scopeOf = ({ scope }: ModelService): string =>
    (scope || model.scope).replace("-only", "") || (model.allGlobal ? "global" : "");
  const shared = [...model.services]
    .filter(
      ([key, value]) =>
        key.startsWith("east/") && value && !value.headless && ["global", "segment"].includes(scopeOf(value)),
    )
    .map(([key, value]) => ({ name: key.slice(5), ...value! }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const podsOf = (name: string) =>
    [...model.pods].flatMap(([key, value]) =>
      key.startsWith("east/") && value?.app === name ? [{ ...value, name: key.slice(5) }] : [],
    );
  const services = shared.map((each) => {
    const pods = podsOf(each.name);
    const ready = pods.filter(({ ready }) => ready);
    const targets = new Set(pods.map(({ port }) => port));
    const places = ready.flatMap(({ node }) => model.nodes.get(node) ?? []);
    return {
      name: each.name,
      scope: scopeOf(each),
      ready: ready.length,
      total: pods.length,
      identities: pods.map(({ name }) => `spiffe://cluster.local/ns/shop/sa/${name}`).sort(),
      localities: [...new Set(places)]
        .sort()
        .map((region) => [region, places.filter((place) => place === region).length]),
      target: each.named ? (targets.size === 1 ? [...targets][0] : 0) : 9000,
      takeover: each.takeover || each.scope === "global-only",
    };
  });
  const first = shared.find(({ tier }) => tier === "gold");
  const hostsOf = (name: string): readonly string[] => [
    `shop/${name}.shop.${domain}`,
    ...(domain === "blue.example" && name === first?.name ? ["shop/gold.alias.example"] : []),
  ];
  const flat = model.peer === network ? shared : [];
  const workloads = flat
    .flatMap(({ name }) =>
      podsOf(name).map((each) => [`east//Pod/shop/${each.name}`, [...hostsOf(name)].sort()] as const),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return { services, workloads, facts: [network, domain] };
}

function found({ exports }: Registry): unknown {
  const facts = exports.facts.get(clusterId("east"))!;
  return {
    services: sorted(exports.services.entries()).map(
      ([, { name, scope, ready, total, identities, localities, ports, takeover }]) => ({
        name,
        scope,
        ready,
        total,
        identities,
        localities: localities.map(({ region, ready }) => [region, ready]),
        target: ports[0]?.targetPort,
        takeover,
      }),
    ),
    workloads: sorted(exports.workloads.entries()).map(([uid, { services }]) => [
      uid,
      services.map(({ service }) => service),
    ]),
    facts: [facts.network, facts.domain],
  };
}

const lostAliases = ({ problems }: Registry): number =>
  [...problems.entries()].filter(([, { message }]) => message.includes("does not have the alias gold.alias")).length;

test("after any steps peers are told what the objects say: as the plainest reading has it, and a registry that never saw another", () => {
  let [services, flats, ties] = [0, 0, 0];
  fc.assert(
    fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 }), (rounds) => {
      const model = emptyModel();
      const mesh = testMesh();
      const intakes = intakesOf(mesh);
      play(mesh, intakes, model);
      for (const steps of rounds) {
        for (const each of steps) each(model);
        play(mesh, intakes, model);
        assert.deepEqual(found(mesh.registry), expected(model));
        services += mesh.registry.exports.services.size;
        flats += mesh.registry.exports.workloads.size;
        ties += lostAliases(mesh.registry);
      }
      const fresh = testMesh();
      play(fresh, intakesOf(fresh), model, true);
      assert.deepEqual(stateOf(mesh.registry), stateOf(fresh.registry));
    }),
    { numRuns: 100 },
  );
  // Chance must have led where it matters.
  for (const [what, count] of Object.entries({ services, flats, ties })) assert.ok(count > 10, `${what}: ${count}`);
});
