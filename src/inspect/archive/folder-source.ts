import { MeshError } from "../../errors.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { type NamedFolder, readClusterFolder } from "../cluster-folders.ts";
import { manifestPieces } from "./manifest-pieces.ts";
import type { ReportSource } from "./report-source.ts";

/** Clusters that are folders of manifests, each with every file of its folder. @throws MeshError naming a folder that is none. */
export async function folderSources(folders: readonly NamedFolder[]): Promise<readonly ReportSource[]> {
  const found = await Promise.all(folders.map(readClusterFolder));
  return found.flat().map(folderSource);
}

function folderSource(facts: ClusterFacts): ReportSource {
  const folder = facts.source.slice("folder ".length);
  if (facts.files?.origins.size === 0 || facts.files === undefined)
    throw new MeshError(
      "invalid",
      `${folder} is of a bug report already: pack it as it is, or name what it was made of`,
    );
  return {
    title: facts.source,
    facts: () => Promise.resolve(facts),
    pieces: () => manifestPieces(folder, "manifests/0"),
    plan: () => [`the manifests in ${folder}`],
    close: () => Promise.resolve(),
  };
}
