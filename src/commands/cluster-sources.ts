import { type CommandCall, type Flag, listOption, textOption } from "../command.ts";
import type { Clock } from "../host.ts";
import type { ClusterFacts } from "../inspect/cluster-facts.ts";
import { namedFolder, readClusterFolder } from "../inspect/cluster-folders.ts";
import { readClusters } from "../inspect/read-cluster.ts";
import { CONTEXT_FLAGS, openContexts } from "./contexts.ts";

export const SYSTEM_NAMESPACE_FLAG: Flag = {
  flags: "-i, --istioNamespace <namespace>",
  description: "where control planes are",
  default: "istio-system",
};

/** Flags of commands that look at clusters, live or in folders. */
export const SOURCE_FLAGS: readonly Flag[] = [
  ...CONTEXT_FLAGS,
  {
    flags: "--directory <folder>",
    description: "a bug report, or manifests of clusters, as ./east or east=./east; may be repeated",
    repeated: true,
  },
  SYSTEM_NAMESPACE_FLAG,
];

/**
 * The clusters that a command line names; the current context's if it names none.
 * @throws MeshError or UsageError, naming the folder or the context. Of a live cluster that does not answer it is in the facts.
 */
export async function readSources(
  clock: Clock,
  call: CommandCall,
  folders: readonly string[] = [],
): Promise<readonly ClusterFacts[]> {
  const named = [...folders, ...listOption(call.options, "directory")].map(namedFolder);
  const found: ClusterFacts[] = [];
  for (const folder of named) {
    call.progress(`reading ${folder.folder}`);
    found.push(...(await readClusterFolder(folder)));
  }
  const { contexts, context } = call.options;
  if (named.length > 0 && contexts === undefined && context === undefined) return found;
  const accesses = await openContexts(call);
  try {
    const { signal, progress } = call;
    return [...found, ...(await readClusters(clock, accesses, { signal, progress }))];
  } finally {
    await Promise.all(accesses.map((access) => access.close()));
  }
}

export const systemNamespaceOf = ({ options }: Pick<CommandCall, "options">): string =>
  textOption(options, "istioNamespace") ?? "istio-system";

/** Says of each cluster that did not answer why. @returns true if there is one. */
export function sayUnread({ printer }: Pick<CommandCall, "printer">, all: readonly ClusterFacts[]): boolean {
  const silent = all.filter(({ unread }) => unread !== undefined);
  for (const { source, unread } of silent) printer.err(`causeway: ${source} could not be read: ${unread}\n`);
  return silent.length > 0;
}
