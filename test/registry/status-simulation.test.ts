import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeApi, ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import { StatusWriting } from "../../src/kube/status-writing.ts";
import type { WantedObject } from "../../src/kube/wanted-object.ts";
import type { FakeConnection } from "../kits/fake-api-connection.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { seededRandom, type SeededRandom } from "../sim/world.ts";
import { authorization, object, service, serviceEntry } from "./mesh.ts";
import { wantedMesh } from "./wanted-mesh.ts";

const { AUTHORIZATION_POLICIES, CONFIG_MAPS, GATEWAYS, HTTP_ROUTES, NAMESPACES, SERVICES, SERVICE_ENTRIES } = types;
const READ: readonly ResourceType[] = [
  ...[NAMESPACES, GATEWAYS, SERVICES, SERVICE_ENTRIES],
  ...[AUTHORIZATION_POLICIES, HTTP_ROUTES],
];
const ROOTS = "PEM";

type Mesh = ReturnType<typeof wantedMesh>;

/** Makes a registry hold what the server holds now. */
function read(server: FakeApiServer, mesh: Mesh): void {
  for (const type of READ) {
    const objects = server.list(type);
    const keys = new Set(objects.map(({ metadata: { namespace = "", name } }) => `${namespace}/${name}`));
    for (const known of mesh.known.get(type) ?? [])
      if (!keys.has(`${known.metadata.namespace ?? ""}/${known.metadata.name}`)) mesh.remove(known);
    mesh.known.set(type, objects);
    mesh.apply(...objects);
  }
}

/** A control plane that hears late of what happens, as watches do, and writes while it leads. */
class Replica {
  readonly mesh = wantedMesh();
  readonly connection: FakeConnection;
  readonly writing: StatusWriting;

  constructor(
    host: TestHost,
    server: FakeApiServer,
    podName: string,
    /** What must not have been done: a writer takes what is thrown for a server that fails. */
    readonly wrongs: string[],
  ) {
    this.connection = server.connect();
    this.mesh.roots.set("roots", ROOTS);
    read(server, this.mesh);
    const { wanted } = this.mesh;
    this.writing = new StatusWriting(host, this.#watched(), {
      ...{ wanted, podName },
      ...{ systemNamespace: "istio-system", revision: "default" },
    });
    this.writing.start();
  }

  /** Notes it if anything but the lease is written by one who does not lead. */
  #watched(): KubeApi {
    const { connection } = this;
    return {
      server: connection.server,
      watch: (path, handler) => connection.watch(path, handler),
      close: () => connection.close(),
      call: (request, signal) => {
        if (request.method === "PATCH" && !this.writing.leading)
          this.wrongs.push(`written without leading: ${request.path}`);
        return connection.call(request, signal);
      },
    };
  }
}

/** What people do to a cluster. */
class People {
  constructor(
    readonly server: FakeApiServer,
    readonly random: SeededRandom,
  ) {
    for (const name of ["istio-system", "shop"]) server.put(namespaceOf(name));
    for (let act = 0; act < 20; act++) this.act();
  }

  act(): void {
    const { random } = this;
    const name = `o${random.below(3)}`;
    const labels = random.chance(0.6) ? { "istio.io/use-waypoint": random.pick(["wp", "gone", "none"]) } : {};
    const deeds: readonly (() => void)[] = [
      () => this.#put(AUTHORIZATION_POLICIES, authorization(name, this.#policy())),
      () => this.#put(AUTHORIZATION_POLICIES, authorization(name, this.#policy())),
      () => this.#put(SERVICES, service(name, "10.96.0.1", {}, { labels })),
      () => this.#put(SERVICE_ENTRIES, serviceEntry(name, this.#hosts(), { labels })),
      () => this.#put(GATEWAYS, this.#gateway()),
      () => this.#put(HTTP_ROUTES, this.#route(name)),
      () => this.#gossipOfParents(name),
      () => this.server.put(namespaceOf(`ns-${random.below(4)}`)),
      () =>
        this.server.remove(
          random.pick([authorization(name, {}), service(name, ""), serviceEntry(name, {}), this.#route(name)]),
        ),
      () => this.#gossip(name),
    ];
    random.pick(deeds)();
  }

  /** Another controller has a condition of its own, and writes it all the time: versions grow, and our writes collide. */
  #gossip(name: string): void {
    const type = this.random.pick([AUTHORIZATION_POLICIES, SERVICES]);
    const held = this.server.get(type, "shop", name);
    if (held === undefined) return;
    const { conditions = [], ...rest } = (held["status"] ?? {}) as {
      readonly conditions?: readonly { type: string }[];
    };
    const others = conditions.filter((condition) => condition.type !== "Gossip");
    const gossip = { type: "Gossip", status: "True", reason: `News${this.random.below(1000)}` };
    this.server.put({ ...held, status: { ...rest, conditions: [...others, gossip] } });
  }

  /** The same of a route: another controller's word of another parent. */
  #gossipOfParents(name: string): void {
    const held = this.server.get(HTTP_ROUTES, "shop", name);
    if (held === undefined) return;
    const { parents = [] } = (held["status"] ?? {}) as { readonly parents?: readonly { controllerName: string }[] };
    const others = parents.filter(({ controllerName }) => controllerName !== "example.com/edge");
    const conditions = [{ type: "Gossip", status: "True", reason: `News${this.random.below(1000)}` }];
    const gossip = { parentRef: { name: "edge" }, controllerName: "example.com/edge", conditions };
    this.server.put({ ...held, status: { parents: [...others, gossip] } });
  }

  #put(type: ResourceType, draft: KubeObject): void {
    const { namespace, name } = draft.metadata;
    const held = this.server.get(type, namespace, name);
    const generation = Number(held?.metadata["generation"] ?? 0) + 1;
    const status = draft["status"] ?? held?.["status"];
    this.server.put({ ...draft, metadata: { ...draft.metadata, generation }, ...(status !== undefined && { status }) });
  }

  #policy(): Record<string, unknown> {
    const { random } = this;
    return random.pick([
      { rules: [{}] },
      { action: random.pick(["DENY", "AUDIT", "CUSTOM"]) },
      { rules: [{ to: [{ operation: { methods: ["GET"] } }] }] },
      { selector: { matchLabels: { app: "ghost" } } },
      { targetRefs: [{ group: "", kind: "Service", name: `o${random.below(4)}` }] },
    ]);
  }

  #route(name: string): KubeObject {
    const { random } = this;
    const service = (): Record<string, unknown> => ({ group: "", kind: "Service", name: `o${random.below(4)}` });
    const parentRefs = random.pick([[service()], [{ name: "edge" }, service()], [{ name: "edge" }]]);
    const rules = [{ backendRefs: [{ name: `o${random.below(4)}`, port: 80 }] }];
    return object("gateway.networking.k8s.io/v1", "HTTPRoute", { name }, { spec: { parentRefs, rules } });
  }

  #hosts(): Record<string, unknown> {
    const { random } = this;
    const hosts = random.pick([["a.example"], ["a.example", "b.example"], ["c.example"], ["*.example"]]);
    return {
      hosts,
      resolution: random.pick(["STATIC", "NONE"]),
      ...(random.chance(0.2) && { addresses: ["10.9.9.9"] }),
    };
  }

  #gateway(): KubeObject {
    const addresses = this.random.chance(0.7) ? [{ type: "IPAddress", value: "10.0.0.9" }] : [];
    return object("gateway.networking.k8s.io/v1", "Gateway", { name: "wp" }, { spec: {}, status: { addresses } });
  }
}

const namespaceOf = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

/** What one who begins now wants, by key. */
function oracle(server: FakeApiServer): ReadonlyMap<string, WantedObject> {
  const mesh = wantedMesh();
  mesh.roots.set("roots", ROOTS);
  read(server, mesh);
  return new Map(mesh.wanted.entries());
}

for (let seed = 1; seed <= 3; seed++)
  test(`statuses settle, and stay, whatever happens to the server, the leader and its writes (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const host = new TestHost();
    const { clock } = host;
    const server = new FakeApiServer(clock, { seed });
    const people = new People(server, random);
    const wrongs: string[] = [];
    const replicas = ["one", "two"].map((name) => new Replica(host, server, name, wrongs));
    const terms = new Set<string>();
    const { faults } = server;
    for (let step = 0; step < 100; step++) {
      faults.down = random.chance(faults.down ? 0.5 : 0.02);
      faults.latencyMs = random.pick([1, 1, 50, 1_500, 4_000]);
      faults.errorRate = random.pick([0, 0, 0, 0.3, 0.7]);
      for (const { connection, writing } of replicas)
        connection.revoked = random.chance(connection.revoked ? 0.9 : writing.leading ? 0.05 : 0.02);
      // In good times a leader leads for ever.
      if (step % 30 === 15) for (const { connection, writing } of replicas) connection.revoked = writing.leading;
      if (random.chance(0.03)) {
        const at = random.below(2);
        void replicas[at]!.writing.close();
        replicas[at] = new Replica(host, server, `again-${step}`, wrongs);
      }
      for (let part = 0; part < 4; part++) {
        if (random.chance(0.6)) people.act();
        for (const { mesh } of replicas) if (random.chance(0.5)) read(server, mesh);
        await clock.pass(random.below(1_000));
        for (const { writing } of replicas) if (writing.leading) terms.add(writing.identity);
      }
    }
    Object.assign(faults, { down: false, latencyMs: 1, errorRate: 0 });
    for (const { connection } of replicas) connection.revoked = false;
    for (let second = 0; second < 240; second += 5) {
      for (const { mesh } of replicas) read(server, mesh);
      await clock.pass(5_000);
    }
    const wanted = oracle(server);
    const wrong = [...wanted].filter(([, { found }]) => found === "different");
    assert.deepEqual(wrong, [], "statuses are not as they should be");
    for (const { found, namespace, name } of wanted.values())
      if (found === "unseen")
        assert.deepEqual(server.get(CONFIG_MAPS, namespace, name)?.["data"], { "root-cert.pem": ROOTS });
    // Nothing moves any more, but for the lease.
    const moved: string[] = [];
    server.store.observe(
      ({ type, after }) => type.plural !== "leases" && moved.push(`${type.kind} ${after?.metadata.name}`),
    );
    for (let second = 0; second < 1_200; second += 60) {
      for (const { mesh } of replicas) read(server, mesh);
      await clock.pass(60_000);
    }
    assert.deepEqual(moved, [], "something is written again and again");
    assert.deepEqual(wrongs, []);
    assert.ok(terms.size > 1, "one replica led all the time, so nothing was tried");
    for (const kind of ["AuthorizationPolicy", "HTTPRoute"])
      assert.ok(host.metric(`status_writes_total{kind=${kind},result=written}`) > 0, kind);
  });

test("two replicas that both believed to lead would write the same bytes", async () => {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const people = new People(server, seededRandom(7));
  for (let act = 0; act < 50; act++) people.act();
  const [one, two] = [oracle(server), oracle(server)];
  assert.ok(one.size > 5);
  assert.deepEqual(one, two);
});
