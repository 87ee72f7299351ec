import type { KubeApi } from "../kube/api.ts";
import type { ClusterConnection } from "../kube/connection.ts";
import type { RelistGate } from "../kube/relist-gate.ts";
import type { EffectiveMesh } from "../registry/kube/effective-mesh.ts";
import type { MeshConfigFollower } from "../registry/kube/mesh-config-follower.ts";

/** What is open before there is a control plane, and serves it afterwards. */
export interface KubernetesAccess {
  readonly api: KubeApi;
  /** Opens another API server. */
  readonly connect: (connection: ClusterConnection) => KubeApi;
  readonly gate: RelistGate;
  readonly meshConfig: MeshConfigFollower;
  /** Ends what follows the mesh config; idempotent. */
  readonly unfollow: () => Promise<void>;
  /** Whom to tell of changes of the mesh config, and of its problems. */
  onMeshConfig: (mesh: EffectiveMesh) => void;
  onProblems: () => void;
  /** Whether this replica is the one that writes to the cluster. */
  leads: () => boolean;
}
