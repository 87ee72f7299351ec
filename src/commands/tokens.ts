import type { TokenSubject } from "../ca/token-issuer.ts";
import type { Config, ManifestCluster } from "../config.ts";
import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import { type ClusterId, objectKey } from "../names.ts";
import { Graph } from "../registry/collection/graph.ts";
import { MemoryAssignmentStore } from "../registry/embedded/assignment-store.ts";
import { EmbeddedCluster } from "../registry/embedded/embedded-cluster.ts";
import { podEnded, type Pod } from "../registry/kube/pod.ts";
import { Registry } from "../registry/registry.ts";

/** The subject of a token that is bound to a pod. */
export function boundTo({ namespace, serviceAccount, name, uid, node }: Pod): TokenSubject {
  return { namespace, serviceAccount, pod: { name, uid, node } };
}

/** Pods of a cluster that have not ended, in the order of their names. */
export function livePodsOf(registry: Registry, cluster: ClusterId): readonly Pod[] {
  return [...registry.pods.entries()]
    .filter(([, pod]) => pod.cluster === cluster && !podEnded(pod))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, pod]) => pod);
}

/** A pod by name, of those that `folder` makes. @throws MeshError `absent`, naming those that there are. */
export function podNamed(pods: readonly Pod[], folder: string, namespace: string, name: string): Pod {
  const found = pods.find((pod) => pod.namespace === namespace && pod.name === name);
  if (found !== undefined) return found;
  const there = pods.filter((pod) => pod.namespace === namespace).map((pod) => pod.name);
  const hint = there.length === 0 ? `the namespace has none` : `there are ${there.slice(0, 10).join(", ")}`;
  throw new MeshError(
    "absent",
    `no pod ${namespace}/${name} runs in ${folder}; ${hint}; --manifests <dir> names another folder`,
  );
}

/**
 * @throws MeshError `absent` if the folder has no such account, naming those that there are. A namespace has its
 * `default`, and a pod its account, without an object that says so.
 */
export function requireAccount(
  registry: Registry,
  { cluster, folder }: ManifestCluster,
  namespace: string,
  account: string,
): void {
  const objects = Array.from(registry.objects.serviceAccounts.entries(), ([, { id }]) => id);
  const pods = livePodsOf(registry, cluster).map((pod) => ({ namespace: pod.namespace, name: pod.serviceAccount }));
  const there = [...objects, ...pods].filter((known) => known.namespace === namespace).map(({ name }) => name);
  const known = there.length > 0 || registry.namespaces.get(objectKey(cluster, "", namespace)) !== undefined;
  const accounts = [...new Set(known ? ["default", ...there] : [])].sort();
  if (accounts.includes(account)) return;
  const hint = known ? `there are ${accounts.slice(0, 10).join(", ")}` : "there is no such namespace";
  const message = `no service account ${namespace}/${account} is in ${folder}; ${hint}`;
  throw new MeshError("absent", `${message}; --manifests <dir> names another folder`);
}

/**
 * The mesh of one folder as it is now, followed no further. Nothing is written: a control plane beside us may have the
 * state folder, and pods' names and uids are the same for both.
 * @throws MeshError as `EmbeddedCluster.start`.
 */
export async function readMesh(host: Host, config: Config, { cluster, folder }: ManifestCluster): Promise<Registry> {
  const { trustDomain, clusterDomain, systemNamespace: rootNamespace, revision } = config;
  const graph = new Graph();
  const mesh = { trustDomain, clusterDomain, rootNamespace };
  const registry = new Registry(graph, { mesh, localCluster: cluster, revision });
  const intake = registry.intake(cluster);
  const embedded = new EmbeddedCluster(host, {
    cluster,
    folder,
    sink: intake,
    knows: (kind, apiVersion) => intake.known(kind, apiVersion),
    store: new MemoryAssignmentStore(),
    clusterDomain,
  });
  await embedded.start();
  graph.flush();
  await embedded.close();
  return registry;
}
