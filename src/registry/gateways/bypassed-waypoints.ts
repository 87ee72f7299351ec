import { objectKey, type ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { Objects } from "../kube/objects.ts";
import type { FederatedService } from "../model/federated-service.ts";
import type { RegistryOptions } from "../options.ts";
import type { SharedService } from "../shared-services.ts";
import { waypointFor, type OfferedWaypoint } from "../waypoints.ts";

/** A Service of ours whose waypoint is not on the way of all its callers of other clusters (contract peering.md 2.9). */
export interface BypassedWaypoint {
  readonly namespace: string;
  readonly name: string;
  /** The waypoint, as `shop/waypoint`. */
  readonly waypoint: string;
  /** `source`: none of them passes it; `once`: those do not that pass one of their own. */
  readonly policy: "source" | "once";
  /** Of them those known to have one, as `cluster west (shop/waypoint)`; sorted, a few. */
  readonly known: readonly string[];
  /** As `bindingsOf` has them. */
  readonly bindings: readonly string[];
}

export interface BypassInputs {
  readonly objects: Objects;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly shared: Collection<ObjectKey, SharedService>;
  /** What peers share. */
  readonly federated: Collection<ObjectKey, FederatedService>;
}

const KNOWN_MAX = 3;

export function bypassedWaypoints(
  graph: Graph,
  { objects, waypoints, shared, federated }: BypassInputs,
  { localCluster }: Pick<RegistryOptions, "localCluster">,
): Collection<ObjectKey, BypassedWaypoint> {
  const guarded = filter(graph, "federated-with-waypoints", federated, ({ waypoint }) => waypoint !== undefined);
  const theirs = new Index(graph, guarded, "service", ({ namespace, name }) => [`${namespace}/${name}`]);
  return derive(graph, {
    name: "bypassed-waypoints",
    from: filter(graph, "shared-here", shared, ({ kube }) => kube.id.cluster === localCluster),
    reads: { waypoints, namespaces: objects.namespaces, gateways: objects.gateways, theirs },
    distinct: true,
    to: ({ kube, waypointPolicy: policy }, reads, key): readonly (readonly [ObjectKey, BypassedWaypoint])[] => {
      const { cluster, namespace, name } = kube.id;
      if (kube.ofGateway || (policy !== "once" && policy !== "source")) return [];
      const waypoint = waypointFor({ cluster, namespace, use: kube.useWaypoint, kind: "service" }, reads);
      if (waypoint === undefined) return [];
      const gateway = objectKey(cluster, waypoint.namespace, waypoint.name);
      const known = reads.theirs
        .get(`${namespace}/${name}`)
        .slice(0, KNOWN_MAX)
        .map(({ cluster, waypoint }) => `cluster ${cluster} (${waypoint!.namespace}/${waypoint!.name})`);
      const bypassed: BypassedWaypoint = {
        ...{ namespace, name, policy, known },
        waypoint: `${waypoint.namespace}/${waypoint.name}`,
        bindings: [
          `Service ${namespace}/${name}`,
          `Gateway ${gateway}`,
          `GatewayClass ${reads.gateways.get(gateway)?.className ?? ""}`,
        ],
      };
      return [[key, bypassed]];
    },
  });
}

/** What a policy that binds these should say of it; undefined if there are none. */
export function bypassMessage(
  all: readonly BypassedWaypoint[],
): { readonly text: string; readonly certain: boolean } | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const names = all.slice(0, 3).map(({ namespace, name }) => `${namespace}/${name}`);
  const others = all.length > names.length ? " and others" : "";
  const whose = `Service ${names.join(", ")}${others} ${all.length === 1 ? "is" : "are"} shared with other clusters`;
  const waypoints = new Set(all.map(({ waypoint }) => waypoint));
  const waypoint = waypoints.size === 1 ? `waypoint ${first.waypoint}` : "their waypoints";
  const known = [...new Set(all.flatMap((each) => each.known))].slice(0, KNOWN_MAX);
  const how = {
    source: `callers there do not pass ${waypoint} (waypoint-policy source)`,
    once:
      `callers there that pass a waypoint of their own do not pass ${waypoint} (waypoint-policy once)` +
      (known.length === 0 ? "" : `, as those of ${known.join(", ")}`),
    mixed: `some callers there do not pass ${waypoint} (waypoint-policy once or source)`,
  }[all.every(({ policy }) => policy === first.policy) ? first.policy : "mixed"];
  const mend =
    "write the policy in their cluster, too, or annotate the Service peering.causeway.dev/waypoint-policy: destination";
  return {
    text: `${whose}, and ${how}: this policy does not hold for them; ${mend}.`,
    certain: known.length > 0 || all.some(({ policy }) => policy === "source"),
  };
}
