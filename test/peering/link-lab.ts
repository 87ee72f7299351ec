import { clusterId, networkId, type ClusterId } from "../../src/names.ts";
import { PEER_QUOTA, type PeerQuota } from "../../src/peering/allowance.ts";
import { PeeringMetrics } from "../../src/peering/metrics.ts";
import type { PeerSurroundings } from "../../src/peering/opened-peer.ts";
import { Peers } from "../../src/peering/peers.ts";
import type { Door } from "../../src/peering/probe.ts";
import type { SnapshotStore } from "../../src/peering/snapshot-store.ts";
import type { StaleOptions } from "../../src/peering/staleness.ts";
import type { LinkFailure, LinkReceiver, LinkStream, LinkTransport } from "../../src/peering/transport.ts";
import type { PeerTarget } from "../../src/peering/peer.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { federatedKey, type FederatedService } from "../../src/registry/model/federated-service.ts";
import type { ClusterFacts, PeerGateway, PeerStatus } from "../../src/registry/model/peer.ts";
import type { PeerGrant } from "../../src/registry/model/peer-grant.ts";
import { peerSources } from "../../src/registry/peer-sources.ts";
import { objectKey } from "../../src/names.ts";
import {
  ADDRESS_TYPE,
  type DeltaRequest,
  FSDS_TYPE,
  type Resource,
  SGDS_TYPE,
  type TypeUrl,
} from "../../src/xds/resource.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { decodeDeltaResponse } from "../../src/xds/wire.ts";
import { TestHost } from "../kits/test-host.ts";

export const EAST = clusterId("east");
export const WEST = clusterId("west");
const METRIC = "source=east,peer=west";

/** One call, seen from the peer that takes it. */
export class Call {
  readonly requests: DeltaRequest[] = [];
  paused = false;
  closed = false;
  #nonce = 0;

  constructor(
    readonly target: PeerTarget,
    readonly ip: string,
    readonly receiver: LinkReceiver,
  ) {}

  get stream(): LinkStream {
    return {
      send: (request) => void this.requests.push(request),
      pause: () => (this.paused = true),
      resume: () => (this.paused = false),
      close: () => (this.closed = true),
    };
  }
  /** What the link said that it holds when it began. */
  held(typeUrl: TypeUrl): readonly string[] {
    return [...this.requests.find((request) => request.typeUrl === typeUrl)!.initialVersions.keys()];
  }
  /** ACKs and NACKs. */
  get answers(): readonly DeltaRequest[] {
    return this.requests.filter(({ nonce }) => nonce !== "");
  }

  connected(): void {
    this.receiver.connected();
  }
  ended(failure: LinkFailure = { reason: "Disconnected", message: "the peer went away" }): void {
    if (this.closed) return;
    this.closed = true;
    this.receiver.ended(failure);
  }
  say(typeUrl: TypeUrl, resources: readonly Resource[], removed: readonly string[] = []): void {
    if (this.closed) return;
    const update = decodeDeltaResponse(Buffer.concat(resources.map(({ record }) => record)));
    this.receiver.received({ ...update, typeUrl, nonce: String(++this.#nonce), removed }, 1_000);
  }
  /** @param atMs when, by the peer's clock. */
  changed(service: FederatedService, atMs: number): void {
    this.say(FSDS_TYPE, [encodeFederatedService(service, atMs)]);
  }
  /** All of a state: of each type what is given, and its end. */
  sayAll(services: readonly FederatedService[] = [], epoch = "1", facts: ClusterFacts | undefined = factsOf()): void {
    const end = snapshotEnd(epoch, 1_700_000_000_000);
    this.say(SGDS_TYPE, [...(facts === undefined ? [] : [encodeClusterFacts(facts)]), end]);
    this.say(FSDS_TYPE, [...services.map((service) => encodeFederatedService(service, 0)), end]);
    this.say(ADDRESS_TYPE, [end]);
  }
}

export interface LabOptions {
  readonly stale?: StaleOptions;
  readonly quota?: Partial<PeerQuota>;
  readonly store?: PeerSurroundings["store"];
  readonly lookUp?: PeerSurroundings["lookUp"];
  readonly probe?: (door: Door) => Promise<boolean>;
}

/** Cluster east, with peers that do as the test says. */
export class LinkLab {
  readonly host = new TestHost();
  readonly graph = new Graph();
  readonly gateways = new Source<ReturnType<typeof objectKey>, PeerGateway>(this.graph, "gateways");
  readonly sources = peerSources(this.graph);
  readonly calls: Call[] = [];
  readonly peers: Peers;
  grants: readonly PeerGrant[] = [];

  constructor({ stale, quota, store, lookUp, probe }: LabOptions = {}) {
    const transport: LinkTransport = {
      open: (target, ip, receiver) => {
        const call = new Call(target, ip, receiver);
        this.calls.push(call);
        return call.stream;
      },
    };
    this.graph.onDirty = () => void this.host.clock.after(0, () => this.graph.flush());
    this.peers = new Peers(this.host, {
      gateways: this.gateways,
      statuses: this.sources.statuses,
      metrics: new PeeringMetrics(this.host.metrics, EAST),
      node: { id: "istiod~127.0.0.1~istiod.istio-system~istio-system.svc.cluster.local", metadata: new Map() },
      transport,
      intake: this.sources,
      store: store ?? forgetful,
      quota: { ...PEER_QUOTA, ...quota },
      stale: stale ?? { graceMs: 1_800_000, policy: "retain" },
      lookUp: lookUp ?? (() => Promise.reject(new Error("no such name"))),
      probe: probe ?? (() => Promise.resolve(true)),
      onceDelivered: (done) => void this.host.clock.after(250, () => done(true)),
      grants: () => this.grants,
    });
  }

  /** With a link to west that dials. */
  static async linked(options: LabOptions = {}): Promise<LinkLab> {
    const lab = new LinkLab(options);
    lab.link(gatewayOf());
    lab.graph.flush();
    await lab.peers.start();
    lab.peers.dial();
    await lab.host.clock.pass(0);
    return lab;
  }

  /** With west live, sharing these. */
  static async live(services: readonly FederatedService[], options: LabOptions = {}): Promise<LinkLab> {
    const lab = await LinkLab.linked(options);
    lab.call.connected();
    lab.call.sayAll(services);
    await lab.pass(0);
    return lab;
  }

  link(gateway: PeerGateway): void {
    this.gateways.set(gateway.gateway, gateway);
  }
  unlink(gateway: PeerGateway = gatewayOf()): void {
    this.gateways.delete(gateway.gateway);
  }
  /** The last one. */
  get call(): Call {
    return this.calls.at(-1)!;
  }
  get status(): PeerStatus {
    return this.sources.statuses.get(WEST)!;
  }
  /** What shows of the peer's services. */
  get services(): readonly string[] {
    return Array.from(this.sources.federated.entries(), ([key, { ready }]) => `${key} ${ready}`).sort();
  }
  metric(name: string, more = ""): number {
    return this.host.metric(`${name}{${METRIC}${more}}`);
  }
  /** Waits until the link dials again, and takes its call. */
  async reconnect(): Promise<void> {
    while (this.call.closed) await this.pass(100);
    this.call.connected();
  }
  async pass(ms: number): Promise<void> {
    await this.host.clock.pass(ms);
    this.graph.flush();
  }
}

const forgetful = {
  load: () => Promise.resolve(undefined),
  save: () => Promise.resolve(),
  forget: () => Promise.resolve(),
  keepOnly: () => Promise.resolve(),
  settled: () => Promise.resolve(),
} as unknown as SnapshotStore;

export const gatewayOf = (more: Partial<PeerGateway> = {}): PeerGateway => ({
  gateway: objectKey(EAST, "istio-eastwest", "istio-remote-peer-west"),
  namespace: "istio-eastwest",
  name: "istio-remote-peer-west",
  generation: 1,
  cluster: WEST,
  network: networkId("west-net"),
  trustDomain: "west.local",
  hosts: [{ kind: "ip", ip: "10.0.0.1" }],
  xdsPort: 15012,
  hbonePort: undefined,
  serviceAccount: "istio-eastwest",
  locality: undefined,
  preferred: undefined,
  refused: undefined,
  ...more,
});

export const factsOf = (more: Partial<ClusterFacts> = {}): ClusterFacts => ({
  cluster: WEST,
  network: networkId("west-net"),
  trustDomain: "west.local",
  segment: "",
  domain: "mesh.internal",
  aliasesDigest: "",
  doors: [],
  version: "1",
  features: [],
  roots: [],
  ...more,
});

export const serviceOf = (name: string, more: Partial<FederatedService> = {}): FederatedService => ({
  cluster: WEST,
  namespace: "bank",
  name,
  scope: "global",
  segment: "",
  ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
  ready: 1,
  total: 1,
  identities: [`spiffe://west.local/ns/bank/sa/${name}`],
  localities: [],
  waypoint: undefined,
  waypointPolicy: "once",
  takeover: false,
  distribution: undefined,
  labels: [],
  annotations: [],
  createdMs: 0,
  ...more,
});

/** As logs and statuses name it. */
export const keyOf = (service: FederatedService): string => federatedKey(service);
export type { ClusterId };
