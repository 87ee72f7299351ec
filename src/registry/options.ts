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
  /** Keeps allocated addresses through restarts. */
  readonly virtualIps: VirtualIpStore;
  /** Objects labelled with another revision are not ours. */
  readonly revision: string;
  /** Sends policies that are to be tried, not enforced; only to clients that know the difference (ztunnel 1.29). */
  readonly dryRunPolicies: boolean;
}
