import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeApi, ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { GATEWAYS, NAMESPACES, SERVICE_ENTRIES, SERVICES, WORKLOAD_ENTRIES } from "../../src/kube/resource-types.ts";
import { PEERING_LEASE, StatusWriting } from "../../src/kube/status-writing.ts";
import { clusterId } from "../../src/names.ts";
import { federatedKey } from "../../src/registry/model/federated-service.ts";
import type { FakeConnection } from "../kits/fake-api-connection.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { seededRandom, type SeededRandom } from "../sim/world.ts";
import { service } from "./mesh.ts";
import { facts, federated, peerGateway, status } from "./peers.ts";
import { namedNetwork, peeringView } from "./peering-view.ts";

const READ: readonly ResourceType[] = [NAMESPACES, GATEWAYS, SERVICES, SERVICE_ENTRIES, WORKLOAD_ENTRIES];
const ENTRIES = [SERVICE_ENTRIES, WORKLOAD_ENTRIES];
const PEERS = ["west", "north"];

/** What each peer shares now; who has not heard it knows nothing. */
type Shared = ReadonlyMap<string, ReadonlySet<string>>;

/** A registry that hears late of what is in the server, and of each peer only what that said to it. */
class Knowledge {
  readonly view = peeringView([], {}, { objects: "full" });
  readonly heard = new Set<string>();
  readonly #known = new Map<ResourceType, readonly KubeObject[]>();

  read(server: FakeApiServer): void {
    for (const type of READ) {
      const objects = server.list(type);
      const keys = new Set(objects.map(keyOf));
      for (const known of this.#known.get(type) ?? []) if (!keys.has(keyOf(known))) this.view.remove(known);
      this.#known.set(type, objects);
      this.view.apply(...objects);
    }
    for (const peer of PEERS)
      if (server.get(GATEWAYS, "istio-eastwest", gatewayOf(peer)) === undefined) this.forget(peer);
  }

  hear(peer: string, shared: Shared): void {
    this.heard.add(peer);
    const records = Array.from(shared.get(peer)!, (name) => federated(peer, { name }));
    this.view.registry.peers.federated.replace(
      `${peer}/`,
      records.map((record) => [federatedKey(record), record]),
    );
    this.view.learn(facts(peer));
    this.view.report(status(peer));
  }

  forget(peer: string): void {
    this.heard.delete(peer);
    const { peers } = this.view.registry;
    peers.federated.replace(`${peer}/`, []);
    peers.statuses.delete(clusterId(peer));
    this.view.graph.flush();
  }
}

class Replica extends Knowledge {
  readonly connection: FakeConnection;
  readonly writing: StatusWriting;

  constructor(
    host: TestHost,
    server: FakeApiServer,
    podName: string,
    /** What must not have been done: a writer takes what is thrown for a server that fails. */
    readonly wrongs: string[],
  ) {
    super();
    this.connection = server.connect();
    this.read(server);
    this.writing = new StatusWriting(host, this.#guarded(server), {
      ...{ wanted: this.view.wanted, podName, lease: PEERING_LEASE },
      ...{ systemNamespace: "istio-system", revision: "default" },
    });
    this.writing.start();
  }

  /** Notes it if an entry is deleted before the peers that it is there for have said their state, or by one who does not lead. */
  #guarded(server: FakeApiServer): KubeApi {
    const { connection } = this;
    return {
      server: connection.server,
      watch: (path, handler) => connection.watch(path, handler),
      close: () => connection.close(),
      call: (request, signal) => {
        if ((request.method === "DELETE" || request.method === "PATCH") && !this.writing.leading)
          this.wrongs.push(`written without leading: ${request.path}`);
        if (request.method === "DELETE") this.#check(server, request.path.split("/").at(-1)!);
        return connection.call(request, signal);
      },
    };
  }

  #check(server: FakeApiServer, name: string): void {
    const found = ENTRIES.flatMap((type) => server.get(type, "istio-system", name) ?? []);
    const clusters = found.flatMap(
      ({ metadata }) => metadata.annotations?.["peering.causeway.dev/clusters"]?.split(",") ?? [],
    );
    for (const peer of clusters.filter((cluster) => PEERS.includes(cluster)))
      if (!this.heard.has(peer) && this.knows(peer)) this.wrongs.push(`${name} is deleted on a guess about ${peer}`);
  }

  knows(peer: string): boolean {
    return this.view.registry.peerGateways.get(`east/istio-eastwest/${gatewayOf(peer)}` as never) !== undefined;
  }
}

const keyOf = ({ metadata: { namespace = "", name } }: KubeObject): string => `${namespace}/${name}`;
const gatewayOf = (peer: string): string => `istio-remote-peer-${peer}`;

/** What happens to a cluster and its peers. */
function happen(server: FakeApiServer, random: SeededRandom, shared: Map<string, Set<string>>): void {
  const peer = random.pick(PEERS);
  const name = random.pick(["cart", "books", "ads"]);
  const own = service(
    name,
    "10.96.0.1",
    {},
    random.chance(0.5) ? { labels: { "solo.io/service-scope": "global" } } : {},
  );
  const deeds: readonly (() => void)[] = [
    () => void shared.get(peer)!.add(name),
    () => void shared.get(peer)!.delete(name),
    () => server.put(peerGateway(peer)),
    () => server.put(peerGateway(peer)),
    () => server.remove(peerGateway(peer)),
    () => server.put(own),
    () => server.remove(own),
    () => vandalize(server, random),
  ];
  random.pick(deeds)();
}

/** Somebody edits what is not his, or deletes it. */
function vandalize(server: FakeApiServer, random: SeededRandom): void {
  const type = random.pick(ENTRIES);
  const all = server.list(type);
  if (all.length === 0) return;
  const entry = random.pick(all);
  const spec = entry["spec"] as object;
  // Fields that only others have need the book of who wrote what, which this server does not keep.
  const edit = type === SERVICE_ENTRIES ? { hosts: ["evil.example"] } : { network: "elsewhere" };
  const deeds: readonly (() => void)[] = [
    () => server.remove(entry),
    () => server.put({ ...entry, spec: { ...spec, ...edit } }),
    () => server.put({ ...entry, metadata: { ...entry.metadata, labels: {} } }),
    () => server.put({ ...entry, status: { addresses: [] } }),
  ];
  random.pick(deeds)();
}

for (let seed = 1; seed <= 3; seed++)
  test(`what Kubernetes shows of peers comes to rest as they are, and nothing goes on a guess (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const host = new TestHost();
    const { clock } = host;
    const server = new FakeApiServer(clock, { seed });
    const { faults } = server;
    for (const namespace of [namedNetwork("net1"), { ...namedNetwork(""), metadata: { name: "shop" } }])
      server.put(namespace);
    const shared = new Map(PEERS.map((peer) => [peer, new Set(["cart"])]));
    const wrongs: string[] = [];
    const replicas = ["one", "two"].map((name) => new Replica(host, server, name, wrongs));
    let deleted = 0;
    server.store.observe(
      ({ type, after }) => void (ENTRIES.some(({ kind }) => kind === type.kind) && !after && deleted++),
    );
    for (let step = 0; step < 150; step++) {
      faults.errorRate = random.pick([0, 0, 0, 0.5]);
      if (random.chance(0.7)) happen(server, random, shared);
      for (const replica of replicas) {
        if (random.chance(0.5)) replica.read(server);
        const peer = random.pick(PEERS);
        if (random.chance(0.3) && replica.knows(peer)) replica.hear(peer, shared);
      }
      if (random.chance(0.05)) {
        const at = random.below(2);
        void replicas[at]!.writing.close();
        replicas[at] = new Replica(host, server, `again-${step}`, wrongs);
      }
      await clock.pass(random.below(2_000));
    }
    faults.errorRate = 0;
    const settle = (knowledge: Knowledge): void => {
      knowledge.read(server);
      for (const peer of PEERS)
        if (server.get(GATEWAYS, "istio-eastwest", gatewayOf(peer))) knowledge.hear(peer, shared);
    };
    const rest = async (): Promise<void> => {
      for (let second = 0; second < 200; second += 5) {
        replicas.forEach(settle);
        await clock.pass(5_000);
      }
    };
    await rest();
    const fresh = new Knowledge();
    settle(fresh);
    const wanted = [...fresh.view.wanted.entries()];
    assert.deepEqual(
      wanted.filter(([, { found }]) => found === "different"),
      [],
    );
    const names = wanted.flatMap(([, { type, name, subresource }]) =>
      ENTRIES.includes(type) && !subresource ? [name] : [],
    );
    const held = ENTRIES.flatMap((type) => server.list(type).map(({ metadata }) => metadata.name));
    assert.deepEqual(held.sort(), names.sort());
    const moved: string[] = [];
    server.store.observe(({ type, after }) => {
      if (type.plural !== "leases" && type.plural !== "peerstatuses")
        moved.push(`${type.kind} ${after?.metadata.name}`);
    });
    await rest();
    assert.deepEqual(moved, [], "something is written again and again");
    assert.deepEqual(wrongs, []);
    assert.ok(deleted > 3, "hardly anything was ever removed");
  });
