import { clusterId } from "../../src/names.ts";
import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { CONFIG_MAPS } from "../../src/kube/resource-types.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { readMeshConfig } from "../../src/registry/kube/mesh-config.ts";
import { LOCAL_KINDS, REMOTE_KINDS } from "../../src/registry/kube/watched-kinds.ts";
import { Registry } from "../../src/registry/registry.ts";
import { meshLogs } from "../../src/xds/mesh-logs.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { type KubeClient, Refused } from "./kube-client.ts";

/** Of each type, how many resources clients hold and their digest. */
export type Digests = Readonly<Record<string, string>>;

/** How soon after a change, or the end of a fault, clients must hold what is so (contract operations.md 3.3, L3). */
const SETTLED_MS = 5_000;

/** Waits until a Causeway sends just that. @returns how long it took, in milliseconds. @throws with what it sends. */
export function sends(causeway: Causeway, expected: Digests, limitMs = SETTLED_MS): Promise<number> {
  return eventually(`it sends ${JSON.stringify(expected)}`, limitMs, async () => {
    const sent = await causeway.digests();
    if (JSON.stringify(sent) === JSON.stringify(expected)) return true;
    throw new Error(`it sends ${JSON.stringify(sent)}`);
  });
}

/** A cluster as the oracle reads it. */
export interface OracleCluster {
  readonly name: string;
  readonly client: KubeClient;
}

/**
 * What clients must hold: a registry from scratch over one full list of every kind, read by another client than
 * Causeway's. The first cluster is the local one, whose mesh config counts. As `Causeway.digests`.
 */
export async function oracle(clusters: readonly OracleCluster[]): Promise<Digests> {
  const [local] = clusters;
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId(local!.name) });
  const { logs } = meshLogs(graph, registry, () => {});
  for (const [at, { name, client }] of clusters.entries()) {
    const intake = registry.intake(clusterId(name));
    for (const { type } of at === 0 ? LOCAL_KINDS : REMOTE_KINDS)
      for (const object of await listed(client, type)) intake.set(object, "");
  }
  const [config] = (await local!.client.list(CONFIG_MAPS, "istio-system")).filter(
    ({ metadata }) => metadata.name === "istio",
  );
  if (config !== undefined) registry.meshConfig.set("mesh", readMeshConfig(config).config);
  graph.flush();
  return Object.fromEntries([...logs].map(([type, { size, digest }]) => [type, `${size} ${digest}`]));
}

/** Items of a list do not say of which kind they are. A kind that is not installed has none. */
async function listed(client: KubeClient, type: ResourceType): Promise<readonly KubeObject[]> {
  for (const version of type.versions)
    try {
      const apiVersion = type.group === "" ? version : `${type.group}/${version}`;
      const objects = await client.list({ ...type, versions: [version] });
      return objects.map((object) => ({ ...object, apiVersion, kind: type.kind }));
    } catch (thrown) {
      if (!(thrown instanceof Refused && thrown.status === 404)) throw thrown;
    }
  return [];
}
