import type { Config } from "../config.ts";
import type { ClusterId } from "../names.ts";
import { type Pod, podEnded } from "../registry/kube/pod.ts";
import { livePodOf } from "../registry/live-pods.ts";
import type { Registry } from "../registry/registry.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Claimed } from "../spire/status/census.ts";

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

/**
 * All who need a certificate of ours now: on each node each account whose pods a ztunnel captures, as it asks for them
 * together, and each pod of a gateway, unless those ask SPIRE themselves.
 * @param cluster what SPIRE calls our cluster.
 */
export function spireClaims(registry: Registry, config: Config, localCluster: ClusterId, cluster: string): Claimed[] {
  const byHolder = new Map<string, [Pod, ...Pod[]]>();
  for (const [key, pod] of registry.pods.entries()) {
    if (pod.cluster !== localCluster || pod.node === "" || podEnded(pod)) continue;
    const isGateway = pod.placement.labels.map.has(GATEWAY_NAME);
    if (isGateway ? config.gateways.spire !== undefined : pod.tunnel === "none") continue;
    const holder = isGateway ? key : `${pod.node}/${pod.namespace}/${pod.serviceAccount}`;
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
