import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import { timeText } from "./sync-view.ts";

/** What clusterz says of a cluster: istiod's first three fields, and ours. */
export interface ClusterView {
  readonly id: string;
  readonly secretName: string;
  readonly syncStatus: string;
  /** RFC 3339; empty if not known. */
  readonly since: string;
  readonly reason: string;
  readonly staleMs?: number;
  /** Which control plane says so. */
  readonly control_plane: string;
}

export function clusterView(status: RemoteClusterStatus, controlPlane: string): ClusterView {
  const { cluster, source, state, since, reason, staleMs } = status;
  return {
    id: cluster,
    secretName: source,
    syncStatus: state,
    since: timeText(since),
    reason,
    ...(staleMs !== undefined && { staleMs }),
    control_plane: controlPlane,
  };
}
