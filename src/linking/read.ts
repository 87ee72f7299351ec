import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import { type ClusterFacts, type KindFacts, kindName, whyUnknown } from "../inspect/cluster-facts.ts";
import { inTurns } from "../inspect/in-turns.ts";
import { ApiError, type KubeApi, pathOf, type ResourceType } from "../kube/api.ts";
import { isFields, type Fields } from "../kube/fields.ts";
import type { Selection } from "../kube/list-paths.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { REMOTE_SECRETS } from "../registry/kube/remote-secrets.ts";
import { timeLimit } from "../time-limit.ts";

/** For each answer, and for all of a cluster: one that is slow must not take the whole time of a command. */
const CALL_MS = 5_000;
const CLUSTER_MS = 20_000;
const PAGES_MAX = 1_000;
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

/** What says which services would be left with nobody to answer. */
export const unlinkSelections = (system: string): readonly Selection[] => [
  ...linkSelections(system),
  { type: types.ENDPOINT_SLICES },
  { type: types.SERVICE_ENTRIES, namespace: system },
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
    const kinds = await readKinds(api, selections, limit.signal).catch((thrown: unknown) => {
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

async function readKinds(
  api: KubeApi,
  selections: readonly Selection[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, KindFacts>> {
  // Who cannot be reached at all says so once, and not for each kind.
  await api.call({ method: "GET", path: "/version", deadlineMs: CALL_MS }, signal).catch(unlessAnswered);
  const lists = await inTurns(selections, AT_ONCE, (selection) => readList(api, selection, signal));
  const kinds = new Map<string, KindFacts>();
  for (const [at, { type }] of selections.entries()) {
    const known = kinds.get(kindName(type));
    kinds.set(kindName(type), known === undefined ? lists[at]! : joined(known, lists[at]!));
  }
  return kinds;
}

function unlessAnswered(thrown: unknown): void {
  if (!(thrown instanceof ApiError) || ![403, 404].includes(thrown.status)) throw thrown;
}

/** Two selections of one kind: what is known of both; or why one of them is not. */
function joined(one: KindFacts, other: KindFacts): KindFacts {
  if (!("objects" in one)) return one;
  if (!("objects" in other)) return other;
  const nameOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
  return { objects: [...new Map([...one.objects, ...other.objects].map((each) => [nameOf(each), each])).values()] };
}

/** @throws ApiError if there is no answer. */
async function readList(api: KubeApi, selection: Selection, signal: AbortSignal): Promise<KindFacts> {
  const { type } = selection;
  for (const version of type.versions) {
    try {
      return { objects: await listOf(api, selection, version, signal) };
    } catch (thrown) {
      if (!(thrown instanceof ApiError) || ![401, 403, 404].includes(thrown.status)) throw thrown;
      if (thrown.status !== 404) return { why: messageOf(thrown), absent: false };
    }
  }
  return { why: `${api.server} serves no ${kindName(type)}`, absent: true };
}

async function listOf(
  api: KubeApi,
  { type, namespace, labelSelector, fieldSelector }: Selection,
  version: string,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> {
  const query = new URLSearchParams({ limit: `${type.pageObjects ?? 500}` });
  if (labelSelector !== undefined) query.set("labelSelector", labelSelector);
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  const objects: KubeObject[] = [];
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const path = `${pathOf(type, version, namespace)}?${query.toString()}`;
    const answer = await api.call({ method: "GET", path, deadlineMs: CALL_MS }, signal);
    if (!isFields(answer) || !Array.isArray(answer["items"])) throw noList(api, path);
    for (const item of answer["items"] as readonly unknown[])
      if (isFields(item) && isFields(item["metadata"])) objects.push(reduced(type, version, item));
    const next = isFields(answer["metadata"]) ? answer["metadata"]["continue"] : undefined;
    if (typeof next !== "string" || next === "") return objects;
    query.set("continue", next);
  }
  throw new ApiError("exhausted", `${api.server} has more than ${PAGES_MAX} pages of ${type.plural}`, 0, "");
}

const noList = (api: KubeApi, path: string): ApiError =>
  new ApiError("unavailable", `GET ${path} at ${api.server} did not answer with a list`, 0, "");

function reduced(type: ResourceType, version: string, item: Fields): KubeObject {
  const apiVersion = type.group === "" ? version : `${type.group}/${version}`;
  const object = { ...item, apiVersion, kind: type.kind } as unknown as KubeObject;
  return type.kind === "Secret" ? withoutKeys(object) : object;
}

/** Which clusters a remote secret is for, and which certificates are in another one: no key, no token. */
function withoutKeys({ data, ...secret }: KubeObject): KubeObject {
  const entries = Object.entries(isFields(data) ? data : {});
  const kept = entries.map(([key, value]): readonly [string, string] => {
    const text = typeof value === "string" ? Buffer.from(value, "base64").toString() : "";
    return [key, (text.match(CERTIFICATE) ?? []).join("\n")];
  });
  return { ...secret, data: Object.fromEntries(kept) } as unknown as KubeObject;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
