import type { Config } from "../config.ts";
import type { ClusterId } from "../names.ts";
import type { Pod } from "../registry/kube/pod.ts";
import { livePodOf } from "../registry/live-pods.ts";
import type { Registry } from "../registry/registry.ts";
import { roleOf } from "../registry/spire-coverage.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Claimed } from "../spire/status/census.ts";

/** They prove themselves by tokens where they ask for certificates here. */
const NO_ZTUNNELS: ReadonlySet<string> = new Set();

/**
 * All who need a certificate of ours now: on each node each account whose pods a ztunnel captures, as it asks for them
 * together, and each pod of a gateway, unless those ask SPIRE themselves.
 * @param cluster what SPIRE calls our cluster.
 */
export function spireClaims(registry: Registry, config: Config, localCluster: ClusterId, cluster: string): Claimed[] {
  const byHolder = new Map<string, [Pod, ...Pod[]]>();
  for (const [key, pod] of registry.pods.entries()) {
    const role = pod.cluster === localCluster ? roleOf(pod, NO_ZTUNNELS) : undefined;
    if (role === undefined || (role === "gateway" && config.gateways.spire !== undefined)) continue;
    const holder = role === "gateway" ? key : `${pod.node}/${pod.namespace}/${pod.serviceAccount}`;
    const pods = byHolder.get(holder);
    if (pods === undefined) byHolder.set(holder, [pod]);
    else pods.push(pod);
  }
  const { trustDomain } = registry.mesh;
  return Array.from(byHolder.values(), ([first, ...more]) => ({
    identity: formatServiceAccountId({ ...first, trustDomain }),
    bearer: { cluster: localCluster, node: first.node, pods: [livePodOf(first), ...more.map(livePodOf)] },
    cluster,
  }));
}
