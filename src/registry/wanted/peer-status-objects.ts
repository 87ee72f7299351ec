import { GATEWAYS, PEER_STATUSES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { MANAGED_BY, MANAGER } from "../kube/generated.ts";
import type { PeerStatus } from "../model/peer.ts";
import { timeText } from "./peer-conditions.ts";
import { peerCounts, type PeerCounts } from "./peer-counts.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/**
 * What the status of a Gateway has no room for, beside it, under its name, and gone with it (contract peering.md 2.14).
 * These are not watched: they are written when they change, and from time to time.
 */
export function peerStatusObjects(graph: Graph, inputs: PeeringViewInputs): Collection<string, WantedObject> {
  return derive(graph, {
    name: "peer-status-objects",
    distinct: true,
    from: inputs.peerGateways,
    reads: { gateways: inputs.objects.gateways, statuses: inputs.peers.statuses, counts: peerCounts(graph, inputs) },
    to: ({ namespace, name, cluster, refused }, { gateways, statuses, counts }, key) => {
      const uid = gateways.get(key)?.uid ?? "";
      const status = cluster && statuses.get(cluster);
      const counted = cluster && counts.get(cluster);
      if (uid === "" || refused !== undefined || status === undefined || counted === undefined) return [];
      const wanted: WantedObject = {
        type: PEER_STATUSES,
        namespace,
        name,
        labels: { [MANAGED_BY]: MANAGER },
        owner: { apiVersion: `${GATEWAYS.group}/${GATEWAYS.versions[0]}`, kind: GATEWAYS.kind, name, uid },
        fields: { status: statusOf(status, counted) },
        found: "unseen",
      };
      return [[`PeerStatus ${namespace}/${name}`, wanted] as const];
    },
  });
}

function statusOf({ cluster, state, sinceMs, lastError }: PeerStatus, { imported, exported }: PeerCounts): object {
  return {
    ...{ cluster, state, imported, exported },
    ...(state === "stale" && { staleSince: timeText(sinceMs) }),
    ...(lastError !== undefined && {
      lastError: { reason: lastError.reason, message: lastError.message, time: timeText(lastError.atMs) },
    }),
  };
}
