import { lookup } from "node:dns/promises";
import { join } from "node:path";
import type { ServingCertificates } from "../ca/serving-certificate.ts";
import type { TrustBundles } from "../ca/trust-bundles.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { ClusterId, ObjectKey, WorkloadUid } from "../names.ts";
import { Turns } from "../ca/turns.ts";
import type { LookUp } from "../peering/addresses.ts";
import { PEER_QUOTA } from "../peering/allowance.ts";
import { GrpcLinks } from "../peering/dial.ts";
import { PeeringMetrics } from "../peering/metrics.ts";
import { PacedWrites } from "../peering/paced-writes.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import { Peers } from "../peering/peers.ts";
import { takesConnections } from "../peering/probe.ts";
import type { LinkTransport } from "../peering/transport.ts";
import { SnapshotStore } from "../peering/snapshot-store.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { Registry } from "../registry/registry.ts";
import { VERSION } from "../version.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import type { ClientNode } from "../xds/resource.ts";
import { Deliveries } from "./deliveries.ts";

/** The system's resolver holds one of four threads for each name, for as long as its servers are silent: files need some. */
const LOOK_UPS = { atOnceMax: 2, waitingMax: 10_000, waitMs: 60_000 };

/**
 * Where the control planes of an archive are while it is replayed: ports on this machine, 0 for one that is not there.
 * Addresses in Gateways stay what they were, and nobody outside of this machine is called.
 */
export type ReplayedPeers = (cluster: ClusterId) => number;

export interface PlanePeersOptions {
  readonly config: Config;
  /** Undefined: peers are where their Gateways say. */
  readonly replayedPeers?: ReplayedPeers;
}

const HERE = "127.0.0.1";
/** Nothing answers there. */
const NOBODY = 1;

/** The control plane whose peers these are; not asked before it is whole. */
export interface PeeredPlane {
  readonly localCluster: ClusterId;
  readonly registry: Registry;
  /** Undefined until it serves. */
  readonly certificate: ServingCertificates | undefined;
  readonly discovery: { clients(): readonly ClientStatus[] };
}

/** The control planes that Gateways of the local cluster lead to, read as `src/peering` does. */
export class PlanePeers {
  readonly #registry: Registry;
  readonly #bundles: TrustBundles;
  readonly #links: GrpcLinks;
  readonly #peers: Peers;
  readonly #paced: {
    readonly federated: PacedWrites<ObjectKey, FederatedService>;
    readonly workloads: PacedWrites<WorkloadUid, Workload>;
  };
  readonly #observing: readonly Disposable[];

  constructor(host: Host, options: PlanePeersOptions, trust: TrustBundles, plane: PeeredPlane) {
    const { config, replayedPeers: replayed } = options;
    const { localCluster: cluster, registry } = plane;
    const { stateDir, systemNamespace, peering } = config;
    this.#registry = registry;
    this.#bundles = trust;
    this.#links = new GrpcLinks(host, {
      ...{ trust, cluster, systemNamespace, dnsNameSuffices: peering.dnsNameSuffices },
      accounts: new Set(peering.accounts),
      material: () => plane.certificate?.current,
    });
    this.#paced = {
      federated: new PacedWrites(host.clock, registry.peers.federated),
      workloads: new PacedWrites(host.clock, registry.peers.workloads),
    };
    const deliveries = new Deliveries(host.clock, () => plane.discovery.clients());
    this.#peers = new Peers(host, {
      gateways: registry.peerGateways,
      statuses: registry.peers.statuses,
      metrics: new PeeringMetrics(host.metrics, cluster),
      node: nodeOf(config, cluster),
      transport: replayed === undefined ? this.#links : replayedTransport(this.#links, replayed),
      intake: { ...registry.peers, federated: this.#paced.federated, workloads: this.#paced.workloads },
      store: new SnapshotStore(host, join(stateDir, "peers")),
      quota: PEER_QUOTA,
      stale: { graceMs: peering.staleGraceMs, policy: peering.stalePolicy },
      lookUp: replayed === undefined ? lookUpIn(new Turns(host.clock, LOOK_UPS)) : () => Promise.resolve([HERE]),
      probe: replayed === undefined ? (door) => takesConnections(host.clock, door) : () => Promise.resolve(true),
      onceDelivered: (done) => deliveries.once(done),
      grants: () => Array.from(registry.peerGrants.entries(), ([, grant]) => grant),
    });
    this.#observing = [
      registry.peerGateways.observe(() => this.#trust()),
      registry.peerGrants.observe(() => this.#peers.recheck()),
      trust.observe(() => this.recheck()),
    ];
  }

  /** Resolves once what peers said before our last stop shows. The local cluster must have joined. */
  async start(): Promise<void> {
    this.#trust();
    await this.#peers.start();
  }

  /** Once there is a certificate to show. */
  dial(): void {
    this.#paced.federated.pace();
    this.#paced.workloads.pace();
    this.#peers.dial();
  }

  /** After roots or revocations changed. */
  recheck(): void {
    this.#links.recheck();
  }

  /** A control plane of this cluster has come to us. */
  entered(cluster: ClusterId): void {
    this.#peers.entered(cluster);
  }

  views(): readonly PeerView[] {
    return this.#peers.views();
  }

  whySettling(): string | undefined {
    return this.#peers.whySettling();
  }

  async close(): Promise<void> {
    for (const observing of this.#observing) observing[Symbol.dispose]();
    await this.#peers.close();
    this.#paced.federated.close();
    this.#paced.workloads.close();
  }

  /** Our root vouches for each trust domain that a Gateway of ours names (contract peering.md 2.3). */
  #trust(): void {
    const gateways = Array.from(this.#registry.peerGateways.entries(), ([, gateway]) => gateway);
    this.#bundles.replace(
      "peer/",
      gateways.flatMap(({ cluster, trustDomain, refused }) =>
        cluster === undefined || refused !== undefined
          ? []
          : [[`peer/${cluster}`, [{ trustDomain, roots: "own" }]] as const],
      ),
    );
  }
}

const replayedTransport = (links: LinkTransport, portOf: ReplayedPeers): LinkTransport => ({
  open: (target, _, receiver) => links.open({ ...target, xdsPort: portOf(target.cluster) || NOBODY }, HERE, receiver),
});

function lookUpIn(turns: Turns): LookUp {
  return async (hostname) => {
    using _turn = await turns.take();
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  };
}

/** What a peer's `proxy-status` shows of us (contract peering.md 2.3). */
function nodeOf({ podName, systemNamespace, clusterDomain }: Config, cluster: ClusterId): ClientNode {
  const ip = "127.0.0.1";
  return {
    // A node id has an address; peers have no use for ours.
    id: `istiod~${ip}~${podName}.${systemNamespace}~${systemNamespace}.svc.${clusterDomain}`,
    metadata: new Map([
      ["CLUSTER_ID", cluster],
      ["NAMESPACE", systemNamespace],
      ["ISTIO_VERSION", VERSION],
      ["INSTANCE_IPS", ip],
    ]),
  };
}
