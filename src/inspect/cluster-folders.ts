import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { isFields } from "../kube/fields.ts";
import { GATEWAYS, NAMESPACES } from "../kube/resource-types.ts";
import { MeshError } from "../errors.ts";
import { objectsOf, type ClusterFacts } from "./cluster-facts.ts";
import { readFacts } from "./facts-folder.ts";

/** A folder as somebody names it: `east=./clusters/one`, or only where it is. */
export interface NamedFolder {
  /** Undefined if it is for the folder to say. */
  readonly cluster: string | undefined;
  readonly folder: string;
}

export function namedFolder(text: string): NamedFolder {
  const [, cluster, folder] = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)$/.exec(text) ?? [];
  return folder === undefined ? { cluster: undefined, folder: text } : { cluster, folder };
}

/**
 * All clusters of a folder: those of a bug report, one of manifests, or one for each subfolder if there is nothing beside
 * them and at least two say that they are clusters.
 * A name says which of several is meant, or how the only one is called.
 * @throws MeshError naming the folder, if it is none, holds nothing of a cluster, or several of which none has the name.
 */
export async function readClusterFolder({ cluster, folder }: NamedFolder): Promise<readonly ClusterFacts[]> {
  const all = (await clustersWithin(folder)) ?? (await readFacts(folder));
  if (cluster === undefined) return all;
  const chosen = all.filter((facts) => facts.cluster === cluster);
  if (chosen.length > 0) return chosen;
  if (all.length > 1)
    throw new MeshError(
      "invalid",
      `${folder} holds ${all.length} clusters (${all.map((each) => each.cluster).join(", ")}), and none of them is ${cluster}: name one of these`,
    );
  return all.map((facts) => ({ ...facts, cluster }));
}

/** Undefined if the folder is not one of folders of clusters. */
async function clustersWithin(folder: string): Promise<readonly ClusterFacts[] | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const visible = entries.filter(({ name }) => !name.startsWith("."));
  const isManifest = (name: string): boolean => /\.(ya?ml|json)$/i.test(name);
  if (visible.some((entry) => entry.isFile() && isManifest(entry.name))) return undefined;
  const folders = visible.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (folders.length < 2 || folders.includes("clusters")) return undefined;
  const found = await Promise.all(folders.sort().map((name) => readFacts(join(folder, name)).catch(ifEmpty)));
  const clusters = found.flatMap((facts) => facts ?? []);
  if (clusters.filter(isCluster).length < 2) return undefined;
  return clusters.map((facts) => under(basename(resolve(folder)), facts));
}

/** A folder beside clusters may hold something else. */
function ifEmpty(thrown: unknown): undefined {
  if (!(thrown instanceof MeshError) || thrown.code !== "invalid") throw thrown;
}

/** It names its network, or has a way in. */
const isCluster = (facts: ClusterFacts): boolean =>
  facts.files?.declared !== true ||
  objectsOf(facts, NAMESPACES).some(({ metadata }) => metadata.labels?.["topology.istio.io/network"] !== undefined) ||
  objectsOf(facts, GATEWAYS).some(({ spec }) => isFields(spec) && spec["gatewayClassName"] === "istio-eastwest");

/** Files are named from the folder that was asked for, so that an editor finds them. */
function under(parent: string, facts: ClusterFacts): ClusterFacts {
  const { files } = facts;
  if (files === undefined) return facts;
  const at = (origin: string): string => `${parent}/${origin}`;
  return {
    ...facts,
    files: {
      ...files,
      origins: new Map([...files.origins].map(([object, origin]) => [object, at(origin)])),
      faults: files.faults.map((fault) => ({ ...fault, origin: at(fault.origin) })),
      unknownKinds: files.unknownKinds.map((kind) => ({ ...kind, origin: at(kind.origin) })),
    },
  };
}
