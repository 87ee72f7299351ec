import { objectsOf, whyUnknown } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { readGenerated } from "../registry/kube/generated.ts";
import { FIELD_MANAGER } from "./changes.ts";
import { sharingOf, toldTo } from "./shared.ts";
import { readOr, type FoundGateway, type Side } from "./side.ts";

/** Gateways of one cluster that lead to those that leave. */
export interface TakenBack {
  readonly reader: Side;
  readonly ours: readonly FoundGateway[];
  /** Made by others: those are theirs to take back. */
  readonly foreign: readonly FoundGateway[];
}

export function takenBack(reader: Side, leaving: ReadonlySet<string>): TakenBack {
  const found = reader.remotes.filter(({ gateway: { leadsTo, network } }) => leaving.has(leadsTo ?? network ?? ""));
  return { reader, ours: found.filter(isOurs), foreign: found.filter((each) => !isOurs(each)) };
}

/** True if `link` has its spec: what a chart or a repository has comes back by itself. */
function isOurs({ object: { metadata } }: FoundGateway): boolean {
  const managed = metadata["managedFields"];
  const specs = (Array.isArray(managed) ? (managed as readonly unknown[]) : []).filter(
    (entry) => isFields(entry) && isFields(entry["fieldsV1"]) && "f:spec" in entry["fieldsV1"],
  );
  return specs.length > 0 && specs.every((entry) => isFields(entry) && entry["manager"] === FIELD_MANAGER);
}

/** Services that nobody would answer for any more; `unknown` says why that cannot be told. */
export interface Losses {
  readonly services: readonly string[];
  readonly unknown: string | undefined;
}

/** @param others those that were read besides: what they share goes on if they stay linked. */
export function lossesOf(reader: Side, leaving: ReadonlySet<string>, others: readonly Side[]): Losses {
  const own = sharingOf(reader);
  const answered = (key: string): boolean => own.shared.has(key) && hasReadyEndpoint(reader, key);
  const entries = generatedFor(reader);
  const linked = new Set(reader.remotes.map(({ gateway: { leadsTo, network } }) => leadsTo ?? network ?? ""));
  const staying = others.filter(({ cluster = "" }) => linked.has(cluster) && !leaving.has(cluster)).map(sharingOf);
  const ofPeers = others
    .filter(({ cluster = "" }) => leaving.has(cluster))
    .flatMap((peer) => toldTo(sharingOf(peer), own.segment).map(([key]) => key))
    .filter((key) => entries.get(key)?.some((cluster) => cluster !== reader.cluster && !leaving.has(cluster)) !== true)
    .filter((key) => staying.every(({ shared }) => !shared.has(key)));
  const ofEntries = [...entries].flatMap(([key, clusters]) =>
    clusters.some((cluster) => leaving.has(cluster)) &&
    clusters.every((cluster) => cluster === reader.cluster || leaving.has(cluster))
      ? [key]
      : [],
  );
  const services = [...new Set([...ofPeers, ...ofEntries])].filter((key) => !answered(key)).sort();
  const unread = [...leaving].filter((cluster) => others.every((side) => side.cluster !== cluster));
  const hidden = others.filter(({ cluster = "" }) => leaving.has(cluster)).flatMap(whyNotTold)[0];
  if (hidden !== undefined) return { services, unknown: hidden };
  const unknown =
    unread.length === 0 || entries.size > 0
      ? undefined
      : `what ${unread.join(", ")} shares is not known: ` +
        (whyUnknown(reader.facts, types.SERVICE_ENTRIES) ?? "no generated ServiceEntry says it, and it was not read");
  return { services, unknown };
}

/** Of Services that may not be listed nobody can say that they go on without the link. */
function whyNotTold({ facts, cluster = "" }: Side): readonly string[] {
  const why = whyUnknown(facts, types.SERVICES);
  return why === undefined ? [] : [`what ${cluster} shares is not known: ${why}`];
}

/** By `namespace/name` of a service, the clusters that share it, as the control plane has written it. */
function generatedFor({ facts }: Side): ReadonlyMap<string, readonly string[]> {
  return new Map(
    objectsOf(facts, types.SERVICE_ENTRIES).flatMap((object) => {
      const entry = readOr(object, false, readGenerated);
      const labels = object.metadata.labels ?? {};
      const [namespace, name] = [labels["solo.io/parent-service-namespace"], labels["solo.io/parent-service"]];
      if (entry?.made !== true || entry.clusters === undefined || namespace === undefined || name === undefined)
        return [];
      return [[`${namespace}/${name}`, entry.clusters] as const];
    }),
  );
}

function hasReadyEndpoint({ facts }: Side, key: string): boolean {
  return objectsOf(facts, types.ENDPOINT_SLICES).some(
    (slice) => `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_NAME]}` === key && isReady(slice),
  );
}

const SERVICE_NAME = "kubernetes.io/service-name";

function isReady({ endpoints }: KubeObject): boolean {
  const all = Array.isArray(endpoints) ? (endpoints as readonly unknown[]) : [];
  return all.some(
    (endpoint) =>
      isFields(endpoint) && !(isFields(endpoint["conditions"]) && endpoint["conditions"]["ready"] === false),
  );
}
