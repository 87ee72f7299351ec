import { requestCertificate, verifySvid } from "../ca/client.ts";
import { readFile } from "node:fs/promises";
import { demoClient } from "../commands/demo-client.ts";
import type { RunningPlane } from "../commands/running-plane.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Convergence, PeerState } from "./convergence.ts";
import type { DemoMesh } from "./mesh.ts";
import type { GlobalService, MeshCounts } from "./view.ts";

/** What one pass over the three clusters has found; `--output json` prints it as it is. */
export interface MeshSummary {
  readonly clusters: readonly ClusterSummary[];
  /** From the start of the process until every control plane served. */
  readonly readyMs: number;
  /** From the start of the process until every client held what all clusters share. */
  readonly convergedMs: number;
}

export interface ClusterSummary extends MeshCounts {
  readonly name: string;
  readonly svid: { readonly spiffeId: string; readonly notAfter: string };
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
      svid: await certificateOf(mesh.planes.get(cluster)!, config, signal),
      peers: convergence.peers(cluster),
      globalServices: convergence.globalServices(cluster),
    });
  }
  return clusters;
}

/** What a ztunnel does for a workload of its node. */
async function certificateOf(
  running: RunningPlane,
  config: Config,
  signal: AbortSignal,
): Promise<ClusterSummary["svid"]> {
  const { plane, host } = running;
  const { address, token, impersonate } = await demoClient({ ...running, config });
  const roots = await readFile(plane.rootCertificateFile, "utf8");
  const asked = impersonate && formatServiceAccountId(impersonate);
  const request = { address, roots, token, clusterId: plane.localCluster, impersonate: asked, ttlSeconds: 0, signal };
  const { spiffeId, notAfter } = verifySvid(await requestCertificate(request), host.clock.now());
  if (asked !== undefined && spiffeId !== asked)
    throw new MeshError("internal", `a certificate for ${asked} was asked for, and one for ${spiffeId} came`);
  return { spiffeId, notAfter: new Date(notAfter).toISOString() };
}
