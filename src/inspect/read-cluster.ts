import { messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
import { type Bounds, listObjects } from "../kube/list-objects.ts";
import type { Selection } from "../kube/list-paths.ts";
import { PODS } from "../kube/resource-types.ts";
import { timeLimit } from "../time-limit.ts";
import type { ClusterAccess } from "./cluster-access.ts";
import { type ClusterFacts, type KindFacts, kindName, objectsOf } from "./cluster-facts.ts";
import { clusterNameOf } from "./cluster-name.ts";
import { FACT_KINDS, FACT_SELECTIONS } from "./facts-kinds.ts";
import { readKinds } from "./read-kinds.ts";
import { readPlanes } from "./read-pages.ts";
import { readRights } from "./read-rights.ts";
import { reducedObject } from "./reduced-object.ts";

/** For each answer, and for all of a cluster: a cluster that is slow keeps no other waiting for longer. */
const CALL_MS = 5_000;
const CLUSTER_MS = 30_000;

export interface ReadingOptions {
  readonly signal: AbortSignal;
  /** For each answer, in milliseconds; 5,000 by default. */
  readonly callMs?: number;
  /** For all of a cluster; 30,000 by default. */
  readonly clusterMs?: number;
  /** Told what is being done, as `reading cluster east`. */
  readonly progress?: (doing: string) => void;
}

/** Every cluster on its own: of one that does not answer it is said why. Never throws. */
export const readClusters = (
  clock: Clock,
  accesses: readonly ClusterAccess[],
  options: ReadingOptions,
): Promise<readonly ClusterFacts[]> => Promise.all(accesses.map((access) => readCluster(clock, access, options)));

/** What is known of one cluster, within bounds of time. Never throws. */
export async function readCluster(clock: Clock, access: ClusterAccess, options: ReadingOptions): Promise<ClusterFacts> {
  const { callMs = CALL_MS, clusterMs = CLUSTER_MS, signal, progress } = options;
  const named = access.context === "" ? "the current context" : `context ${access.context}`;
  progress?.(`reading the cluster of ${named}`);
  const head = { source: named, context: access.context === "" ? undefined : access.context, readAt: clock.now() };
  using limit = timeLimit(clock, clusterMs, signal);
  const bounds = { signal: limit.signal, callMs };
  const silence = await whySilent(access.api, bounds);
  if (silence !== undefined) return unreadCluster(head, silence);
  const kinds = await readKinds(FACT_SELECTIONS, (selection) => readList(access.api, selection, bounds));
  const pods = objectsOf({ kinds }, PODS);
  const planes = await readPlanes(clock, access, pods, bounds);
  const rights = await readRights(access.api, pods, planes, bounds);
  const known = { ...head, kinds, planes, measured: { clockSkewMs: access.api.aheadMs, ...rights } };
  return { ...known, cluster: clusterNameOf(known) ?? head.context ?? "current" };
}

type Head = Pick<ClusterFacts, "source" | "context" | "readAt">;

function unreadCluster(head: Head, silence: Silence): ClusterFacts {
  const { unread } = silence;
  const kinds = FACT_KINDS.map((type) => [kindName(type), { why: unread, absent: false }] as const);
  const measured = { clockSkewMs: undefined, rights: undefined };
  return { ...head, cluster: head.context ?? "current", kinds: new Map(kinds), planes: [], measured, ...silence };
}

type Silence = { readonly unread: string } & Pick<ClusterFacts, "refused">;

/** Undefined if it answers, be it that it does not say its version to us. */
async function whySilent(api: KubeApi, { signal, callMs }: Bounds): Promise<Silence | undefined> {
  try {
    await api.call({ method: "GET", path: "/version", deadlineMs: callMs }, signal);
    return undefined;
  } catch (thrown) {
    const status = thrown instanceof ApiError ? thrown.status : 0;
    if (status === 403 || status === 404) return undefined;
    return { unread: messageOf(thrown), ...(status === 401 && { refused: true }) };
  }
}

/** All objects of a selection, reduced; or why not. Never throws. */
async function readList(api: KubeApi, selection: Selection, bounds: Bounds): Promise<KindFacts> {
  const { group, plural } = selection.type;
  try {
    const objects = await listObjects(api, selection, bounds, reducedObject);
    // Every server has the core: one that says otherwise is none.
    const absent = { why: `${api.server} serves no ${plural} of ${group || "the core"}`, absent: group !== "" };
    return objects === undefined ? absent : { objects };
  } catch (thrown) {
    return { why: messageOf(thrown), absent: false };
  }
}
