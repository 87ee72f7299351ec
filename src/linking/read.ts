import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import { type ClusterFacts, type KindFacts, kindName, whyUnknown } from "../inspect/cluster-facts.ts";
import { inTurns } from "../inspect/in-turns.ts";
import { readKinds } from "../inspect/read-kinds.ts";
import { reducedObject } from "../inspect/reduced-object.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import { listObjects } from "../kube/list-objects.ts";
import type { Selection } from "../kube/list-paths.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { REMOTE_SECRETS } from "../registry/kube/remote-secrets.ts";
import { timeLimit } from "../time-limit.ts";

/** For each answer, and for all of a cluster: one that is slow must not take the whole time of a command. */
const CALL_MS = 5_000;
const CLUSTER_MS = 20_000;
const AT_ONCE = 6;

const GATEWAY_PODS = "gateway.networking.k8s.io/gateway-name";

/** What it takes to say where a cluster is, whom it believes, and what it shares; `system` is its system namespace. */
export const linkSelections = (system: string): readonly Selection[] => [
  ...exposeSelections(system),
  { type: types.NODES },
  { type: types.SERVICES },
  { type: types.PODS, labelSelector: GATEWAY_PODS },
  { type: types.CONFIG_MAPS, namespace: system, fieldSelector: "metadata.name=istio" },
  { type: types.CONFIG_MAPS, namespace: system, fieldSelector: "metadata.name=istio-ca-root-cert" },
  { type: types.SECRETS, namespace: system, fieldSelector: "metadata.name=cacerts" },
  { type: types.SEGMENTS, namespace: system },
];

export const exposeSelections = (system: string): readonly Selection[] => [
  { type: types.NAMESPACES },
  { type: types.GATEWAYS },
  { type: types.PODS, namespace: system, labelSelector: "app=istiod" },
];

/** What it takes to say what would come of a link, or of taking it back: all that a control plane would judge by. */
export const forecastSelections = (system: string): readonly Selection[] => [
  ...linkSelections(system),
  ...[
    types.PODS,
    types.ENDPOINT_SLICES,
    types.SERVICE_ENTRIES,
    types.WORKLOAD_ENTRIES,
    types.GATEWAY_CLASSES,
    types.PEER_GRANTS,
  ].map((type) => ({ type })),
];

/** What says which generated entries are of nobody. */
export const repairSelections = (system: string): readonly Selection[] => [
  ...exposeSelections(system),
  { type: types.SERVICES },
  { type: types.SERVICE_ENTRIES, namespace: system },
  { type: types.WORKLOAD_ENTRIES, namespace: system },
  { type: types.SECRETS, namespace: system, labelSelector: REMOTE_SECRETS },
];

export const nameOfContext = (context: string): string =>
  context === "" ? "the current context" : `context ${context}`;

/**
 * Reads all clusters before anything is done to one. A kind that may not be read, or that a server does not have, is
 * known as such.
 * @throws MeshError naming the context of a cluster that does not answer, or that does not show what all else rests on.
 */
export async function readSides(
  clock: Clock,
  accesses: readonly ClusterAccess[],
  selections: readonly Selection[],
  signal: AbortSignal,
): Promise<readonly ClusterFacts[]> {
  return inTurns(accesses, AT_ONCE, async ({ context, api }) => {
    using limit = timeLimit(clock, CLUSTER_MS, signal);
    const kinds = await readReachable(api, selections, limit.signal).catch((thrown: unknown) => {
      const late = limit.signal.aborted && !signal.aborted ? ` within ${CLUSTER_MS / 1000} s` : "";
      const why = `the cluster of ${nameOfContext(context)} cannot be read${late}: ${messageOf(thrown)}`;
      throw new MeshError(MeshError.from(thrown).code, `${why}${/[.?!]$/.test(why) ? "" : "."} ${UNCHANGED}`);
    });
    requireSeen(nameOfContext(context), kinds);
    const measured = { clockSkewMs: undefined, rights: undefined };
    const head = { cluster: "", source: nameOfContext(context), context: context || undefined };
    return { ...head, readAt: clock.now(), kinds, planes: [], measured };
  });
}

const UNCHANGED = "Nothing was changed, in no cluster";
/** Of a cluster that hides these it would be said that it is not linked, has no way in and no network. */
const REQUIRED = [types.GATEWAYS, types.NAMESPACES];

/** @throws MeshError `denied`, with each right that is missing. */
function requireSeen(context: string, kinds: ReadonlyMap<string, KindFacts>): void {
  const hidden = REQUIRED.filter((type) => kinds.has(kindName(type)) && whyUnknown({ kinds }, type) !== undefined);
  const [first] = hidden;
  if (first === undefined) return;
  const rights = hidden.map((type) => `list ${kindName(type)}`).join(" and ");
  const why = `with ${context} one may not ${rights}, so nothing can be said of the cluster: ${whyUnknown({ kinds }, first)}`;
  throw new MeshError(
    "denied",
    `${why}. Ask for these rights in all namespaces, or take another context. ${UNCHANGED}`,
  );
}

async function readReachable(
  api: KubeApi,
  selections: readonly Selection[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, KindFacts>> {
  // Who cannot be reached at all says so once, and not for each kind.
  await api.call({ method: "GET", path: "/version", deadlineMs: CALL_MS }, signal).catch(unlessAnswered);
  return readKinds(selections, (selection) => readList(api, selection, signal));
}

function unlessAnswered(thrown: unknown): void {
  if (!(thrown instanceof ApiError) || ![403, 404].includes(thrown.status)) throw thrown;
}

/** @throws ApiError if there is no answer. */
async function readList(api: KubeApi, selection: Selection, signal: AbortSignal): Promise<KindFacts> {
  try {
    const objects = await listObjects(api, selection, { signal, callMs: CALL_MS }, withoutKeys);
    if (objects === undefined) return { why: `${api.server} serves no ${kindName(selection.type)}`, absent: true };
    return { objects };
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || ![401, 403].includes(thrown.status)) throw thrown;
    return { why: messageOf(thrown), absent: false };
  }
}

/** Of a Secret which clusters it is for, and which certificates are in it, but no key and no token; of pods what is ours to know. */
function withoutKeys(object: KubeObject): KubeObject {
  if (object.kind === "Pod") return reducedObject(object);
  if (object.kind !== "Secret") return object;
  const { data, ...secret } = object;
  const entries = Object.entries(isFields(data) ? data : {});
  const kept = entries.map(([key, value]): readonly [string, string] => {
    const text = typeof value === "string" ? Buffer.from(value, "base64").toString() : "";
    return [key, (text.match(CERTIFICATE) ?? []).join("\n")];
  });
  return { ...secret, data: Object.fromEntries(kept) } as unknown as KubeObject;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
