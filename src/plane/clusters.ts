import type { ReadinessCheck } from "../admin.ts";
import type { TokenAuthenticators } from "../ca/authenticators.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { LeaderElection } from "../kube/leader-election.ts";
import type { ClusterId } from "../names.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { EmbeddedCluster } from "../registry/embedded/embedded-cluster.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import type { MeshIdentities } from "./mesh-trust.ts";
import type { TokenIssuer } from "../ca/token-issuer.ts";

/** Which of several replicas writes; what is theirs to write begins and ends with its terms. */
export type WriterElection = Pick<LeaderElection, "observe" | "start" | "close">;

/** A cluster that is folders, as its controllers have made it. */
export type EmbeddedObjects = Pick<EmbeddedCluster, "objects" | "problems" | "unknownKinds">;

/** Where the objects of the mesh come from: folders of manifests, or API servers. */
export interface Clusters {
  /** Clusters whose tokens are ours to make; none on Kubernetes. */
  readonly issuers: ReadonlyMap<ClusterId, TokenIssuer>;
  /** Who verifies the tokens of each cluster that there is now. */
  readonly tokens: TokenAuthenticators;
  /** Resolves once the registry has been given all that clients have to be told at once. @throws MeshError if never. */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Called each time that one of them changes, for those who are to trust it.
   * @param roots PEM of what verifies us and every workload; empty while that is not known, and what others were told
   * stays as it is.
   * @param lists PEM of what was revoked; empty if there are no lists.
   */
  publishTrust(roots: string, lists: string): void;
  /** Our own first; its source is empty. */
  statuses(): readonly RemoteClusterStatus[];
  readiness(): readonly ReadinessCheck[];
  /** What is wrong besides the objects themselves. */
  problems(): readonly Problem[];
  /** Those of them that have not been logged where they were found. */
  unsaidProblems(): readonly Problem[];
  /** Kinds that were found and that nothing reads. */
  unknownKinds(): readonly { readonly kind: string; readonly count: number }[];
  /** The local cluster, if it is folders: whoever wants to see it can ask nobody else. Undefined where an API server has it. */
  embedded(): EmbeddedObjects | undefined;
  /** Not begun yet; undefined where there are no replicas. @param lease its name, in our own namespace. */
  election(lease: string): WriterElection | undefined;
  /** Stops following; idempotent. */
  close(): Promise<void>;
}

export interface ClusterContext {
  readonly host: Host;
  readonly config: Config;
  /** Not flushed yet. */
  readonly graph: Graph;
  readonly registry: Registry;
  /** To be called with the mesh config, if there is one, and each time that it changes. */
  readonly noteMesh: (mesh: MeshIdentities) => void;
  /** To be called after `problems` may have changed. */
  readonly noteProblems: () => void;
}
