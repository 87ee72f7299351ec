import type { ChangeWatch } from "../change-watch.ts";
import type { ClusterId, NetworkId } from "../names.ts";
import type { MeshSettings } from "./model/mesh.ts";
import type { VirtualIpStore } from "./virtual-ips.ts";

/** What settles how a registry reads its clusters. */
export interface RegistryOptions {
  readonly mesh: MeshSettings;
  /** The cluster whose policies and entries hold, and whose services are the mesh's. */
  readonly localCluster: ClusterId;
  /** The local cluster's, whatever its labels say; empty to go by the labels. */
  readonly network: NetworkId;
  /** Where each cluster's control plane is, and whose label names its network; the root namespace by default. */
  readonly systemNamespace: string;
  /** Keeps allocated addresses through restarts. */
  readonly virtualIps: VirtualIpStore;
  /** Objects labelled with another revision are not ours. */
  readonly revision: string;
  /** Sends policies that are to be tried, not enforced; only to clients that know the difference (ztunnel 1.29). */
  readonly dryRunPolicies: boolean;
  /** Services of other clusters are shared where they are global; without it only local objects count (contract 5.9). */
  readonly multiNetwork: boolean;
  /** Kubernetes Services select WorkloadEntries, too (PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES). */
  readonly workloadEntrySelection: boolean;
  /** Hosts without an address get one from us (PILOT_ENABLE_IP_AUTOALLOCATE); what a status names counts anyway. */
  readonly allocateIps: boolean;
  /** Peers count, and what clusters share has its global names (ENABLE_PEERING_DISCOVERY). */
  readonly peeringDiscovery: boolean;
  /** A Namespace can take over the cluster-local names of all that it shares; without it only a Service can (contract peering.md 2.8). */
  readonly namespaceTakeover: boolean;
  /** Peers are told of single pods: always, never, or where a Gateway leads to a peer on our own network. */
  readonly flatPeering: "on" | "off" | "auto";
  /** Told of what arrives, and when it has settled. */
  readonly changes?: Pick<ChangeWatch, "arrived" | "settled"> | undefined;
}
