import { problemFindings } from "../inspect/analyze/problem-findings.ts";
import type { Finding } from "../inspect/finding.ts";
import type { GatewayManifest } from "./gateways.ts";
import { ImaginedMesh } from "./imagined-mesh.ts";
import { type NamesSeen, namesSeenIn } from "./names-seen.ts";
import type { PairPlan } from "./pairs.ts";
import type { Side } from "./side.ts";
import { type Told, toldOver } from "./told.ts";

/** What a cluster's control plane has, as far as links matter to it. */
export interface Seen {
  readonly names: NamesSeen;
  /** What it would report of its objects. */
  readonly problems: readonly Finding[];
}

/** One cluster that is to read others, before and after. */
export interface Forecast {
  readonly side: Side;
  /** Its own Services, as `shop/cart`. */
  readonly own: ReadonlyMap<string, "shared" | "kept">;
  /** What each cluster tells of ports, by `cluster/namespace/name`. */
  readonly ports: ReadonlyMap<string, readonly number[]>;
  readonly before: Seen;
  readonly after: Seen;
  /** Of those that it is to read; what is read already included. */
  readonly told: readonly Told[];
}

/** What each reader of `plans` has, and would have once all of them were linked, whatever is in the way of that. */
export function forecastOf(sides: readonly Side[], plans: readonly PairPlan[]): readonly Forecast[] {
  const mesh = new ImaginedMesh(sides);
  const readers = [...new Set(plans.map(({ pair }) => pair.reader))].filter((side) => mesh.site(side) !== undefined);
  const seen = (): readonly Seen[] => readers.map((side) => seenBy(mesh, side));
  const before = seen();
  mesh.change(readers.map((side) => ({ side, come: gatewaysOf(side, plans), go: [] })));
  const after = seen();
  const ports = new Map(sides.flatMap((side) => portsTold(mesh, side)));
  return readers.map((side, at) => ({
    ...{ side, own: ownServices(mesh, side), ports, before: before[at]!, after: after[at]! },
    told: plans.flatMap(({ pair }) => {
      const link = pair.reader === side ? mesh.link(pair) : undefined;
      return link === undefined ? [] : toldOver(link, mesh);
    }),
  }));
}

export function seenBy(mesh: ImaginedMesh, side: Side): Seen {
  const site = mesh.site(side)!;
  return { names: namesSeenIn(site), problems: problemFindings(site) };
}

function ownServices(mesh: ImaginedMesh, side: Side): Forecast["own"] {
  const { registry } = mesh.site(side)!;
  return new Map(
    Array.from(registry.objects.services.entries(), ([key, { id }]) => [
      `${id.namespace}/${id.name}`,
      registry.shared.get(key) === undefined ? "kept" : "shared",
    ]),
  );
}

const portsTold = (mesh: ImaginedMesh, side: Side): readonly (readonly [string, readonly number[]])[] =>
  [...(mesh.site(side)?.registry.exports.services.entries() ?? [])].map(([key, { ports }]) => [
    key,
    ports.map(({ number }) => number),
  ]);

const gatewaysOf = (side: Side, plans: readonly PairPlan[]): readonly GatewayManifest[] =>
  plans.flatMap(({ pair, imagined }) => (pair.reader === side && imagined !== undefined ? [imagined] : []));
