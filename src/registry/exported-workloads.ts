import {
  objectKey,
  serviceName,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import { isDeepStrictEqual } from "node:util";
import type { Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { Index } from "./collection/index-by.ts";
import type { Drain, DrainKey } from "./drains.ts";
import { servesHere } from "./export-counts.ts";
import { isLeft } from "./exported-services.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import type { SharedService } from "./shared-services.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

export interface ExportedWorkloadInputs {
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly byService: Index<WorkloadUid, Workload>;
  /** The local cluster's, by what it calls them itself. */
  readonly shared: Collection<ServiceName, SharedService>;
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
  readonly drains: Collection<DrainKey, Drain>;
}

/**
 * Workloads of the local cluster that serve what it shares, under its global names, for peers that reach their addresses
 * directly (contract peering.md 2.6 no. 8). Unless told otherwise they are only exported where one of our own Gateways
 * says that a peer is on our network: pods never cross networks, and a wrong label must not make it look as if they did.
 */
export function exportedWorkloads(
  graph: Graph,
  inputs: ExportedWorkloadInputs,
  options: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const node = new ExportedWorkloads(inputs, options);
  graph.add(node);
  return node;
}

/** Most meshes are not flat: then it holds nothing, whatever changes. */
class ExportedWorkloads extends CollectionNode<WorkloadUid, Workload> {
  readonly #inputs: ExportedWorkloadInputs;
  readonly #cluster: ClusterId;
  readonly #mode: RegistryOptions["flatPeering"];
  #flat = false;
  #network = DEFAULT_NETWORK;

  constructor(inputs: ExportedWorkloadInputs, { localCluster, flatPeering }: RegistryOptions) {
    super("exported-workloads", rankAbove(Object.values(inputs)), isDeepStrictEqual);
    this.#inputs = inputs;
    this.#cluster = localCluster;
    this.#mode = flatPeering;
  }

  override settle(): void {
    const { workloads } = this.#inputs;
    for (const uid of this.#modeChanged() ? this.#all() : this.#stale()) {
      const workload = this.#flat ? workloads.get(uid) : undefined;
      this.write(uid, workload && this.#exported(workload));
    }
  }

  #modeChanged(): boolean {
    const { networks, peerGateways } = this.#inputs;
    const network = networks.get(this.#cluster) ?? DEFAULT_NETWORK;
    const isHere = ([, peer]: readonly [ObjectKey, PeerGateway]) =>
      peer.refused === undefined && peer.network === network;
    const flat = this.#mode === "auto" ? [...peerGateways.entries()].some(isHere) : this.#mode === "on";
    const changed = flat !== this.#flat || network !== this.#network;
    [this.#flat, this.#network] = [flat, network];
    return changed;
  }

  #all(): Iterable<WorkloadUid> {
    const known = this.values.keys();
    return this.#flat ? new Set([...known, ...this.#uidsOf(this.#inputs.workloads.entries())]) : [...known];
  }

  *#uidsOf(entries: Iterable<readonly [WorkloadUid, Workload]>): Iterable<WorkloadUid> {
    for (const [uid, { cluster }] of entries) if (cluster === this.#cluster) yield uid;
  }

  #stale(): Iterable<WorkloadUid> {
    if (!this.#flat) return [];
    const { workloads, shared, byService, drains } = this.#inputs;
    const stale = new Set<WorkloadUid>();
    for (const { key, before, after } of workloads.batch)
      if ((after ?? before)!.cluster === this.#cluster) stale.add(key);
    for (const { key } of shared.batch) for (const { uid } of byService.get(key)) stale.add(uid);
    if (drains.batch.length > 0)
      for (const [service, { kube }] of shared.entries())
        if (kube.drain !== undefined) for (const { uid } of byService.get(service)) stale.add(uid);
    return stale;
  }

  /** Its policies and its waypoint are its own cluster's to enforce. */
  #exported(workload: Workload): Workload | undefined {
    if (workload.addresses.length === 0 || !servesHere(workload, this.#cluster, this.#network)) return undefined;
    const services = workload.services
      .flatMap(({ service, ports }) => {
        const shared = this.#inputs.shared.get(service);
        if (shared?.kube.drain !== undefined && this.#isLeft(shared)) return [];
        return (shared?.hosts ?? []).map(({ host }) => ({
          service: serviceName(shared!.kube.id.namespace, host),
          ports,
        }));
      })
      .sort((a, b) => (a.service < b.service ? -1 : 1));
    if (services.length === 0) return undefined;
    return { ...workload, services, waypoint: undefined, networkGateway: undefined, policies: [] };
  }

  #isLeft({ kube: { id } }: SharedService): boolean {
    return isLeft(this.#inputs.drains.get(`Service ${objectKey(id.cluster, id.namespace, id.name)}`));
  }
}
