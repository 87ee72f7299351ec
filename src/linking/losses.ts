import { objectsOf, whyUnknown } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { ALIASES, PARENT, PARENT_NAMESPACE, readGenerated } from "../registry/kube/generated.ts";
import { ImaginedMesh } from "./imagined-mesh.ts";
import { type End, type NamesSeen, namesSeenIn, serviceOf } from "./names-seen.ts";
import { readOr, type Side } from "./side.ts";
import type { TakenBack } from "./taking-back.ts";

/** A service that would lose clusters which answer to it. */
export interface Loss {
  /** As `shop/cart`. */
  readonly service: string;
  /** What callers say, aliases included: the names that the loss is about. */
  readonly names: readonly string[];
  /** By cluster, what goes; of one that was not read nobody knows how much. */
  readonly from: readonly (readonly [cluster: string, End | undefined])[];
  /** Those that would still answer; empty if nobody. */
  readonly left: readonly (readonly [cluster: string, End | undefined])[];
}

/** What callers of one cluster would lose with its links. */
export interface Losses {
  readonly reader: Side;
  /** Of those with nobody left `left` is empty. */
  readonly services: readonly Loss[];
  /** Why that cannot be told; undefined if it can. */
  readonly unknown: string | undefined;
}

/**
 * What would be lost if `taken` were taken back: what the control planes have of each other today, within what grants and
 * Workspaces leave, against what they would have then; and of clusters that were not read, what was generated for them.
 * @param leaving by reader, whom it is to read no more.
 */
export function lossesOf(
  sides: readonly Side[],
  taken: readonly TakenBack[],
  leaving: ReadonlyMap<Side, ReadonlySet<string>>,
): readonly Losses[] {
  const mesh = new ImaginedMesh(sides);
  const due = taken.filter(({ ours }) => ours.length > 0);
  const names = (): readonly NamesSeen[] =>
    due.map(({ reader }) => {
      const site = mesh.site(reader);
      return site === undefined ? new Map() : namesSeenIn(site);
    });
  const before = names();
  mesh.change(due.map(({ reader: side, ours }) => ({ side, come: [], go: ours.map(({ object }) => object) })));
  const after = names();
  return due.map(({ reader }, at) => {
    const gone = leaving.get(reader)!;
    const others = sides.filter((side) => side !== reader);
    const entries = generatedFor(reader);
    const seen = { reader, gone, others, entries, before: before[at]!, after: after[at]! };
    const services = [...ofPeers(seen), ...ofEntries(seen)].sort((a, b) => (a.service < b.service ? -1 : 1));
    return { reader, services, unknown: whyUnsure(seen) };
  });
}

interface Seen {
  readonly reader: Side;
  readonly gone: ReadonlySet<string>;
  readonly others: readonly Side[];
  readonly entries: ReadonlyMap<string, Generated>;
  readonly before: NamesSeen;
  readonly after: NamesSeen;
}

/** Of clusters that were read: each service once, with its names that would lead nowhere, else with those that lead to fewer. */
function ofPeers(seen: Seen): readonly Loss[] {
  const byService = new Map<string, Loss[]>();
  for (const [key, { global }] of seen.before) {
    const loss = lossOf(seen, key);
    if (loss !== undefined) byService.set(serviceOf(global), [...(byService.get(serviceOf(global)) ?? []), loss]);
  }
  return [...byService.values()].map((losses) => {
    const whole = losses.filter(({ left }) => left.length === 0);
    const told = whole.length > 0 ? whole : losses;
    return { ...told[0]!, names: told.flatMap(({ names }) => names) };
  });
}

/** Of one name; undefined if as many clusters answer to it as before. */
function lossOf({ reader, others, entries, gone, before, after }: Seen, key: string): Loss | undefined {
  const { global, ends } = before.get(key)!;
  const now = after.get(key)?.ends;
  const from = [...ends].filter(([cluster]) => cluster !== reader.cluster && now?.has(cluster) !== true);
  if (from.length === 0) return undefined;
  const service = serviceOf(global);
  // Of a cluster that was not asked only what was generated for it tells.
  const unasked = (entries.get(service)?.clusters ?? []).filter(
    (cluster) => cluster !== reader.cluster && !gone.has(cluster) && others.every((side) => side.cluster !== cluster),
  );
  const left = [
    ...[...(now ?? [])].filter(([, { healthy }]) => healthy > 0),
    ...unasked.map((cluster) => [cluster, undefined] as const),
  ];
  return { service, names: [global.host], from, left };
}

/** Of clusters that were not read. */
function ofEntries({ reader, others, entries, gone, after }: Seen): readonly Loss[] {
  const answered = new Set(
    [...after.values()]
      .filter(({ ends }) => [...ends.values()].some(({ healthy }) => healthy > 0))
      .map(({ global }) => serviceOf(global)),
  );
  const unread = (cluster: string): boolean => gone.has(cluster) && others.every((side) => side.cluster !== cluster);
  return [...entries].flatMap(([service, { clusters, hosts }]): readonly Loss[] => {
    const from = clusters.filter(unread).map((cluster) => [cluster, undefined] as const);
    const stays = clusters.some((cluster) => cluster !== reader.cluster && !gone.has(cluster));
    return from.length === 0 || stays || answered.has(service) ? [] : [{ service, names: hosts, from, left: [] }];
  });
}

function whyUnsure({ reader, gone, others, entries }: Seen): string | undefined {
  const hidden = others
    .filter(({ cluster = "" }) => gone.has(cluster))
    // Of Services that may not be listed nobody can say that they go on without the link.
    .flatMap(({ facts, cluster }) => {
      const why = whyUnknown(facts, types.SERVICES);
      return why === undefined ? [] : [`what ${cluster} shares is not known: ${why}`];
    });
  if (hidden[0] !== undefined) return hidden[0];
  const unread = [...gone].filter((cluster) => others.every((side) => side.cluster !== cluster));
  if (unread.length === 0 || entries.size > 0) return undefined;
  const why =
    whyUnknown(reader.facts, types.SERVICE_ENTRIES) ?? "no generated ServiceEntry says it, and it was not read";
  return `what ${unread.join(", ")} shares is not known: ${why}`;
}

interface Generated {
  readonly clusters: readonly string[];
  readonly hosts: readonly string[];
}

/** By `namespace/name` of a service, what the control plane has written of it. */
function generatedFor({ facts, system }: Side): ReadonlyMap<string, Generated> {
  return new Map(
    objectsOf(facts, types.SERVICE_ENTRIES).flatMap((object) => {
      if (object.metadata.namespace !== system) return [];
      const entry = readOr(object, false, readGenerated);
      const labels = object.metadata.labels ?? {};
      const [namespace, name] = [labels[PARENT_NAMESPACE], labels[PARENT]];
      if (entry?.made !== true || entry.clusters === undefined || namespace === undefined || name === undefined)
        return [];
      return [[`${namespace}/${name}`, { clusters: entry.clusters, hosts: hostsOf(object) }] as const];
    }),
  );
}

/** The name that it is for, and then its aliases. */
function hostsOf(object: KubeObject): readonly string[] {
  const spec = isFields(object["spec"]) ? object["spec"] : {};
  const hosts = Array.isArray(spec["hosts"]) ? spec["hosts"].map(String) : [];
  const aliases = object.metadata.annotations?.[ALIASES] ?? "";
  return [...hosts, ...aliases.split(",").filter((alias) => alias !== "")];
}
