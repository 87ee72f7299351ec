import type { EpochMs } from "../host.ts";
import { clusterPrefix, type ClusterId, type ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { Source } from "./collection/source.ts";
import { REMOTE_CLASS } from "./kube/gateway.ts";
import type { ObjectId } from "./kube/metadata.ts";
import type { Objects } from "./kube/objects.ts";
import type { DrainWish } from "./kube/peering-annotations.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/** What ends later is not meant; with some for the clock of whoever wrote it. */
export const DRAIN_AHEAD_MAX_MS = 24 * 3_600_000 + 5 * 60_000;

/** What asks to be drained: a Gateway that leads to a peer, or a Service of the local cluster. */
export type DrainKey = `${"Gateway" | "Service"} ${ObjectKey}`;

export interface WantedDrain extends DrainWish {
  readonly id: ObjectId;
}

/** What is made of a wish at this time; one that is over has none. */
export interface Drain {
  readonly untilMs: EpochMs;
  /**
   * `leaving`: peers are told that nothing of a Service is ready, and calls that they had begun still end here; `spared`:
   * nobody else could take its calls, so it keeps them; `far`: its end is too far away to be meant.
   */
  readonly state: "leaving" | "drained" | "spared" | "far";
}

/** Peers and services that are to get no new calls for a while (contract peering.md 6, row 9). */
export interface Drains {
  readonly wanted: Collection<DrainKey, WantedDrain>;
  /** Written from outside, where the time is known. */
  readonly states: Source<DrainKey, Drain>;
  /** What of drained peers keeps its calls as nobody else could take them, by `cluster/namespace/name`; likewise. */
  readonly spared: Source<ObjectKey, true>;
}

export function drains(
  graph: Graph,
  { gateways, services }: Pick<Objects, "gateways" | "services">,
  { localCluster }: RegistryOptions,
): Drains {
  const isOwn = ({ cluster }: { readonly cluster: ClusterId }): boolean => cluster === localCluster;
  const peers = filter(
    graph,
    "gateways-to-drain",
    gateways,
    ({ id, drain, className }) => drain !== undefined && className === REMOTE_CLASS && isOwn(id),
  );
  const own = filter(graph, "services-to-drain", services, ({ id, drain }) => drain !== undefined && isOwn(id));
  const wanted = <V extends { readonly id: ObjectId; readonly drain: DrainWish | undefined }>(
    kind: "Gateway" | "Service",
    from: Collection<ObjectKey, V>,
  ): Collection<DrainKey, WantedDrain> =>
    derive(graph, {
      name: `wanted-drains-of-${from.name}`,
      distinct: true,
      from,
      reads: {},
      to: ({ id, drain }, _reads, key) => [[`${kind} ${key}`, { ...drain!, id }] as const],
    });
  return {
    wanted: union(graph, "wanted-drains", [wanted("Gateway", peers), wanted("Service", own)]),
    states: new Source(graph, "drains"),
    spared: new Source(graph, "spared-of-drains"),
  };
}

/** True for the drain of a peer; others are of a Service. */
export const isOfGateway = (key: DrainKey): boolean => key.startsWith("Gateway ");

/** As `Service shop/cart`. */
export const drainedObject = (key: DrainKey, cluster: ClusterId): string =>
  key.replace(` ${clusterPrefix(cluster)}`, " ");

export const timeOfDrain = (untilMs: EpochMs): string => new Date(untilMs).toISOString().replace(".000Z", "Z");
