import { MeshError } from "../../../src/errors.ts";
import type { MessageChannel, MessageReceiver } from "../../../src/grpc/method.ts";
import { clusterId, type ServiceName } from "../../../src/names.ts";
import { PEER_QUOTA } from "../../../src/peering/allowance.ts";
import { PeerAdmission } from "../../../src/peering/admission.ts";
import { ExportLogs } from "../../../src/peering/export.ts";
import { PeeringMetrics } from "../../../src/peering/metrics.ts";
import { Peers } from "../../../src/peering/peers.ts";
import type { PeerSnapshot, SnapshotStore } from "../../../src/peering/snapshot-store.ts";
import type { StaleOptions } from "../../../src/peering/staleness.ts";
import type { LinkTransport } from "../../../src/peering/transport.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { Graph } from "../../../src/registry/collection/graph.ts";
import type { Intake } from "../../../src/registry/kube/intake.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { meshLogs } from "../../../src/xds/mesh-logs.ts";
import type { PeerGate, PeerProof } from "../../../src/xds/peer-gate.ts";
import { XdsServer } from "../../../src/xds/server.ts";
import type { ModelCluster, ModelWorld } from "./model.ts";
import { Connection, type Net, type Party } from "./net.ts";
import { objectsOf } from "./objects.ts";
import { Process } from "./process.ts";

/** What outlives the processes of one site. */
export class Disk {
  readonly snapshots = new Map<string, string>();
  virtualIps: ReadonlyMap<ServiceName, number> = new Map();

  wipe(): void {
    this.snapshots.clear();
    this.virtualIps = new Map();
  }

  /** As the real one, but for files: what is kept has been text. */
  get store(): SnapshotStore {
    const { snapshots } = this;
    const all = {
      load: (peer: string) => {
        const text = snapshots.get(peer);
        return Promise.resolve(text === undefined ? undefined : (JSON.parse(text) as PeerSnapshot));
      },
      save: (peer: string, snapshot: PeerSnapshot) =>
        Promise.resolve(void snapshots.set(peer, JSON.stringify(snapshot))),
      forget: (peer: string) => Promise.resolve(void snapshots.delete(peer)),
      keepOnly: (peers: ReadonlySet<string>) => {
        for (const peer of [...snapshots.keys()]) if (!peers.has(peer)) snapshots.delete(peer);
        return Promise.resolve();
      },
      settled: () => Promise.resolve(),
    };
    return all as unknown as SnapshotStore;
  }
}

export interface PlaneOptions {
  readonly net: Net;
  readonly world: ModelWorld;
  readonly disk: Disk;
  readonly stale: StaleOptions;
  readonly seed: number;
  readonly transport: (process: Process) => LinkTransport;
  /** Something that must not be: what is thrown in a stream ends only that. */
  readonly onDefect: (message: string) => void;
  /** Whether data gets to this address from here. */
  readonly reaches: (ip: string) => boolean;
}

/** What a stream brings to who opened it. */
export interface StreamEvents {
  connected(): void;
  received(bytes: Uint8Array): void;
  ended(error: MeshError | undefined): void;
}

export interface OpenStream {
  write(bytes: Uint8Array): void;
  close(): void;
}

/** One process of a control plane: all that is real, over a network and a disk that are not. */
export class Plane {
  readonly process: Process;
  readonly registry: Registry;
  readonly peers: Peers;
  readonly admission: PeerAdmission;
  readonly startedMs: number;
  readonly #options: PlaneOptions;
  readonly #model: ModelCluster;
  readonly #graph = new Graph();
  readonly #intake: Intake;
  readonly #server: XdsServer;
  /** As text, by what tells objects apart. */
  readonly #texts = new Map<string, string>();
  #objects: ReadonlyMap<string, KubeObject> = new Map();
  #serving = false;
  /** Control planes that were let in, and have not left. */
  readonly #guests = new Set<{ readonly cluster: string; readonly key: string }>();

  constructor(model: ModelCluster, options: PlaneOptions) {
    const { net, disk, stale, seed, transport, reaches } = options;
    this.#options = options;
    this.#model = model;
    this.startedMs = net.clock.elapsedMs();
    const cluster = clusterId(model.name);
    const process = (this.process = new Process(model.name, net.clock, seed, options.onDefect));
    const graph = this.#graph;
    const mesh = { trustDomain: model.trustDomain, rootNamespace: "istio-system", clusterDomain: "cluster.local" };
    const virtualIps = {
      load: () => disk.virtualIps,
      save: (slots: ReadonlyMap<ServiceName, number>) => void (disk.virtualIps = slots),
    };
    const registry = (this.registry = new Registry(graph, { mesh, localCluster: cluster, virtualIps }));
    this.#intake = registry.intake(cluster);
    const changed = (): void => this.#server.changed();
    const { logs } = meshLogs(graph, registry, changed);
    const controlPlane = JSON.stringify({ Component: "istiod", ID: model.name, Info: { version: "1" } });
    const debug = { systemNamespace: "istio-system", page: () => Promise.resolve(new Uint8Array()) };
    this.#server = new XdsServer(process, { logs, debug, controlPlane });
    this.admission = new PeerAdmission(process, {
      ...{ localCluster: cluster, served: "any", accounts: new Set(["istio-system/istiod"]) },
      trust: { verify: () => fail("certificates are not looked at here"), observe: () => ({ [Symbol.dispose]() {} }) },
      ...{ gateways: registry.peerGateways, grants: registry.peerGrants, facts: registry.peers.facts },
      exports: new ExportLogs(graph, process.clock, registry.exports, changed),
      whyNotJoined: () => undefined,
    });
    this.peers = new Peers(process, {
      ...{ gateways: registry.peerGateways, statuses: registry.peers.statuses, intake: registry.peers },
      metrics: new PeeringMetrics(process.metrics, cluster),
      node: nodeOf(model.name),
      transport: transport(process),
      ...{ store: disk.store, quota: PEER_QUOTA, stale },
      lookUp: () => Promise.reject(new Error("there are no names here")),
      probe: ({ host }) => Promise.resolve(reaches(host)),
      onceDelivered: (done) => void process.clock.after(250, () => done(true)),
      grants: () => Array.from(registry.peerGrants.entries(), ([, grant]) => grant),
    });
    registry.peerGrants.observe(() => this.peers.recheck());
  }

  /** True once clients are sent here. */
  get ready(): boolean {
    return this.#serving && !this.process.ended && this.peers.whySettling() === undefined;
  }
  get serving(): boolean {
    return this.#serving && !this.process.ended;
  }

  /** As a control plane starts: its own cluster, what it knew of peers, and only then its port and its links. */
  async start(): Promise<void> {
    this.follow();
    const graph = this.#graph;
    graph.onDirty = () => void this.process.clock.after(0, () => graph.flush());
    graph.flush();
    await this.peers.start();
    graph.flush();
    this.#serving = true;
    this.peers.dial();
  }

  /** Reads what the model of its cluster says now. */
  follow(): void {
    const before = this.#objects;
    this.#objects = objectsOf(this.#model, this.#options.world);
    for (const [key, object] of this.#objects) {
      const text = JSON.stringify(object);
      if (this.#texts.get(key) !== text) this.#intake.set(object, "");
      this.#texts.set(key, text);
    }
    for (const [key, object] of before)
      if (!this.#objects.has(key)) {
        this.#texts.delete(key);
        this.#intake.delete(object);
      }
  }

  /** Ends as a process does that was asked to. */
  async stop(): Promise<void> {
    await this.peers.close();
    this.kill();
  }

  /** Ends as a process does that was not. */
  kill(): void {
    const { net } = this.#options;
    this.process.end();
    for (const connection of [...net.connections]) if (connection.has(this.process)) connection.abandon(this.process);
  }

  /** Takes a stream of a control plane that proves to be `proof`, or of a client of this cluster. */
  take(from: Party, proof: PeerProof | undefined, events: StreamEvents): OpenStream {
    const { net } = this.#options;
    let receiver: MessageReceiver | undefined;
    const early: Uint8Array[] = [];
    const connection = new Connection(net, from, this.process, {
      client: () => events.ended(undefined),
      server: () => receiver?.closed(),
    });
    const channel = channelOf(connection, from.site, events);
    const [method] = this.#server.methods(proof && this.#admissionOf(proof));
    const open = async (): Promise<void> => {
      try {
        receiver = await method!.open(channel);
        for (const bytes of early) receiver.message(bytes);
      } catch (thrown) {
        channel.end(MeshError.from(thrown));
      }
    };
    connection.send("client", () => void open());
    return {
      write: (bytes) =>
        connection.send("client", () => {
          if (receiver === undefined) early.push(bytes);
          else receiver.message(bytes);
        }),
      close: () => connection.close("client"),
    };
  }

  #admissionOf(proof: PeerProof) {
    const peers: PeerGate = {
      recognise: () => proof,
      enter: (...all) => {
        const held = new Set(this.#guests.values());
        const visit = this.admission.enter(...all);
        // A cluster's name is of one authority at a time, whoever comes.
        const { cluster } = visit.caller;
        if ([...held].some((guest) => guest.cluster === cluster && guest.key !== proof.authority.key))
          this.#options.onDefect(`${cluster} was let in by ${this.#model.name} while another was there as that`);
        const guest = { cluster, key: proof.authority.key };
        this.#guests.add(guest);
        return {
          ...visit,
          leave: () => {
            this.#guests.delete(guest);
            visit.leave();
          },
        };
      },
    };
    const authenticator = { authenticate: () => fail("only control planes come here") };
    return { authenticator, whyNot: () => undefined, peers };
  }
}

function channelOf(connection: Connection, remoteAddress: string, events: StreamEvents): MessageChannel {
  let bytesWritten = 0;
  return {
    credentials: { authorization: undefined, clusterId: undefined, certificateChain: [], remoteAddress },
    get bytesWritten() {
      return bytesWritten;
    },
    sendHeaders: () => connection.send("server", () => events.connected()),
    send: (parts) => {
      const bytes = Buffer.concat(parts);
      bytesWritten += bytes.length;
      connection.send("server", () => events.received(bytes));
      return true;
    },
    end: (error) => {
      connection.send("server", () => {
        connection.close("client");
        events.ended(error === undefined ? undefined : MeshError.from(error));
      });
      connection.close("server");
    },
  };
}

function fail(why: string): never {
  throw new Error(why);
}

/** What a control plane of `cluster` says that it is. */
export const nodeOf = (cluster: string) => ({
  id: `istiod~127.0.0.1~istiod-${cluster}.istio-system~istio-system.svc.cluster.local`,
  metadata: new Map([
    ["CLUSTER_ID", cluster],
    ["NAMESPACE", "istio-system"],
    ["INSTANCE_IPS", "127.0.0.1"],
  ]),
});
