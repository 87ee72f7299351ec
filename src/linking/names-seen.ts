import type { Site } from "../inspect/analyze/site.ts";
import type { GlobalHost } from "../registry/global-merge.ts";

/** What one cluster adds to a name; nothing if none of it is ready. */
export interface End {
  readonly endpoints: number;
  readonly healthy: number;
}

/** A name that clusters share, as callers of one of them have it. */
export interface NameSeen {
  readonly global: GlobalHost;
  /** By cluster: those that answer to it, or would once something of theirs is ready. */
  readonly ends: ReadonlyMap<string, End>;
}

/** By `namespace/host`. */
export type NamesSeen = ReadonlyMap<string, NameSeen>;

export function namesSeenIn({ registry }: Pick<Site, "registry">): NamesSeen {
  const { globalCandidates } = registry;
  const endsOf = ({ host }: GlobalHost): ReadonlyMap<string, End> =>
    new Map(
      globalCandidates.of(host).flatMap(({ cluster, endpoints, healthy, excluded }) => {
        // What is drained, or has nothing ready, comes back by itself.
        const away = excluded?.reason === "no ready pods" || excluded?.reason === "drained";
        return excluded === undefined || away
          ? [[cluster as string, { endpoints, healthy: away ? 0 : healthy }] as const]
          : [];
      }),
    );
  return new Map(
    Array.from(globalCandidates.inputs.offers.hosts.entries(), ([key, global]) => [
      key as string,
      { global, ends: endsOf(global) },
    ]),
  );
}

/** How many a cluster has ready, as `3 ready`, or that nobody knows. */
export const readyText = ({ healthy }: End, known: boolean): string =>
  known ? `${healthy === 0 ? "none" : healthy} ready` : "readiness not known";

/** As `shop/cart`. */
export const serviceOf = ({ namespace, name }: Pick<GlobalHost, "namespace" | "name">): string =>
  `${namespace}/${name}`;

/** As `a, b and c`. */
export const listText = (texts: readonly string[]): string =>
  texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
