import type { ClusterFacts } from "../../../src/inspect/cluster-facts.ts";
import { readClusterFolder } from "../../../src/inspect/cluster-folders.ts";
import { folderOf } from "../../kits/folder.ts";
import type { ExampleCluster } from "./documented-examples.ts";

/** Clusters as they are read from a folder each. */
export async function factsOfClusters(clusters: readonly ExampleCluster[]): Promise<readonly ClusterFacts[]> {
  const files = Object.fromEntries(clusters.map(({ name, text }, at) => [`${at}/${name}/all.yaml`, text]));
  await using folder = await folderOf(files);
  const all = clusters.map(({ name }, at) => readClusterFolder({ cluster: name, folder: folder.at(`${at}/${name}`) }));
  return (await Promise.all(all)).flat();
}
