import { certificateOf, type IssuedSvid } from "./certificate.ts";
import type { Convergence, PeerState } from "./convergence.ts";
import type { DemoMesh } from "./mesh.ts";
import type { Withheld } from "./withheld.ts";
import type { GlobalService, MeshCounts } from "./view.ts";

/** What one pass over the three clusters has found; `--output json` prints it as it is. */
export interface MeshSummary {
  readonly clusters: readonly ClusterSummary[];
  /** With SPIRE: what became of the first cluster's workload while it had no entry. */
  readonly withheld?: Withheld;
  /** From the start of the process until every control plane served. */
  readonly readyMs: number;
  /** From the start of the process until every client held what all clusters share. */
  readonly convergedMs: number;
}

export interface ClusterSummary extends MeshCounts {
  readonly name: string;
  readonly svid: IssuedSvid;
  readonly peers: readonly PeerState[];
  readonly globalServices: readonly GlobalService[];
}

/** @throws MeshError if a certificate is refused, or is not the one that was asked for. */
export async function summarize(
  mesh: DemoMesh,
  convergence: Convergence,
  signal: AbortSignal,
): Promise<readonly ClusterSummary[]> {
  const clusters: ClusterSummary[] = [];
  for (const { cluster, config } of mesh.configs) {
    clusters.push({
      name: cluster,
      ...convergence.counts(cluster),
      svid: await certificateOf({ ...mesh.planes.get(cluster)!, config, spire: mesh.attestation.of(cluster) }, signal),
      peers: convergence.peers(cluster),
      globalServices: convergence.globalServices(cluster),
    });
  }
  return clusters;
}
