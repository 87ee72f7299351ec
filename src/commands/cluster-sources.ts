import { setMaxListeners } from "node:events";
import { type CommandCall, type Flag, listOption, textOption, UsageError } from "../command.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import type { ClusterFacts } from "../inspect/cluster-facts.ts";
import { type NamedFolder, namedFolder, readClusterFolder } from "../inspect/cluster-folders.ts";
import { isTrustManager, type LocalPlane, readLocalCluster } from "../inspect/local-cluster.ts";
import { readClusters } from "../inspect/read-cluster.ts";
import { CONTEXT_FLAGS, openContexts } from "./contexts.ts";
import { localPlanes } from "./local-planes.ts";

export const SYSTEM_NAMESPACE_FLAG: Flag = {
  flags: "-i, --istioNamespace <namespace>",
  description: "where control planes are",
  default: "istio-system",
};

/** Flags of commands that look at clusters: live, on this machine, or in folders; all of them can be given together. */
export const SOURCE_FLAGS: readonly Flag[] = [
  ...CONTEXT_FLAGS,
  {
    flags: "--directory <folder>",
    description: "a bug report, or manifests of clusters, as ./east or east=./east; may be repeated",
    repeated: true,
  },
  {
    flags: "--state <dir>",
    description: "a control plane on this machine, or the demo's three, by the folder of its state; may be repeated",
    repeated: true,
  },
  {
    flags: "--admin <url>",
    description: "a control plane by its admin port, as http://127.0.0.1:15014; may be repeated",
    repeated: true,
  },
];

export const systemNamespaceOf = ({ options }: Pick<CommandCall, "options">): string =>
  textOption(options, "istioNamespace") ?? "istio-system";

/** What sources need of their machine. */
export interface SourceTools {
  readonly clock: Clock;
  /** @throws UsageError or MeshError, naming the context. */
  open(call: CommandCall): Promise<readonly ClusterAccess[]>;
}

export const sourceTools = (clock: Clock): SourceTools => ({ clock, open: openContexts });

/** Clusters that a command line names, to be read as often as it is wanted. */
export interface Sources extends AsyncDisposable {
  /** False if all of them are folders, which say the same again. */
  readonly live: boolean;
  /** @throws MeshError naming a folder that cannot be read; of a live cluster that does not answer it is in the facts. */
  read(signal: AbortSignal): Promise<readonly ClusterFacts[]>;
}

/**
 * The current context's cluster if the command line names nothing.
 * @param folders that it names without a flag.
 * @throws UsageError or MeshError, naming the flag, the folder or the context; nothing is asked of any cluster.
 */
export async function openSources(
  tools: SourceTools,
  call: CommandCall,
  folders: readonly string[] = [],
): Promise<Sources> {
  const named = namedFolders(call, folders);
  const planes = await localPlanes(tools.clock, call);
  const accesses = throughContexts(call, named.length + planes.length > 0) ? await tools.open(call) : [];
  const { progress } = call;
  return {
    live: planes.length + accesses.length > 0,
    async read(signal) {
      // Each page that is asked for listens to it, for as long as it takes.
      setMaxListeners(0, signal);
      const parts = await Promise.all([
        readFolders(named, progress),
        readPlanes(planes, signal, progress),
        readClusters(tools.clock, accesses, { signal, progress }),
      ]);
      return parts.flat();
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all(accesses.map((access) => access.close()))),
  };
}

/** All that `openSources` names, once. */
export async function readSources(
  tools: SourceTools,
  call: CommandCall,
  folders: readonly string[] = [],
): Promise<readonly ClusterFacts[]> {
  await using sources = await openSources(tools, call, folders);
  return await sources.read(call.signal);
}

/** @throws UsageError if one is named twice: its cluster would be said to be two of one name. */
export function namedFolders({ options }: CommandCall, more: readonly string[] = []): readonly NamedFolder[] {
  const named = [...more, ...listOption(options, "directory")].map(namedFolder);
  const key = ({ cluster, folder }: NamedFolder): string => `${cluster ?? ""}=${folder}`;
  const twice = named.find((each, at) => named.findIndex((other) => key(other) === key(each)) !== at);
  if (twice !== undefined) throw new UsageError(`--directory names ${twice.folder} twice: name each once`);
  return named;
}

/** @param otherwise whether something else is named. @throws UsageError for a kubeconfig of which nobody says what is wanted. */
export function throughContexts({ options }: Pick<CommandCall, "options">, otherwise: boolean): boolean {
  if (listOption(options, "contexts").length > 0 || options["context"] !== undefined || !otherwise) return true;
  if (options["kubeconfig"] === undefined) return false;
  throw new UsageError(
    "--kubeconfig names no cluster beside --directory, --state or --admin: say which with --context, or leave it out",
  );
}

async function readFolders(
  named: readonly NamedFolder[],
  progress: CommandCall["progress"],
): Promise<readonly ClusterFacts[]> {
  const found: ClusterFacts[] = [];
  for (const folder of named) {
    progress(`reading ${folder.folder}`);
    found.push(...(await readClusterFolder(folder)));
  }
  return found;
}

/** A trust manager that is found beside control planes, as in the demo, is none. */
async function readPlanes(
  planes: readonly LocalPlane[],
  signal: AbortSignal,
  progress: CommandCall["progress"],
): Promise<readonly ClusterFacts[]> {
  // A trust manager leaves no cluster's name; alone, it is looked at all the same, to say what it is.
  const named = planes.filter(({ cluster }) => cluster !== "");
  const asked = named.length === 0 ? planes : named;
  for (const { title } of asked) progress(`reading ${title}`);
  const all = await Promise.all(asked.map((plane) => readLocalCluster(plane, "judged", signal)));
  const clusters = all.filter((facts) => !isTrustManager(facts));
  if (all.length > 0 && clusters.length === 0)
    throw new MeshError("invalid", `${all[0]!.source} is a trust manager, which has no cluster: causeway trust status`);
  const blind = clusters.find(({ kinds, unread }) => kinds.size === 0 && unread === undefined);
  if (blind === undefined) return clusters;
  throw new MeshError(
    "invalid",
    `the ${blind.source} has its cluster from an API server, which only a context shows: name it with --context`,
  );
}

/** Says of each cluster that did not answer why. @returns true if there is one. */
export function sayUnread({ printer }: Pick<CommandCall, "printer">, all: readonly ClusterFacts[]): boolean {
  const silent = all.filter(({ unread }) => unread !== undefined);
  for (const { source, unread } of silent) printer.err(`causeway: ${source} could not be read: ${unread}\n`);
  return silent.length > 0;
}
