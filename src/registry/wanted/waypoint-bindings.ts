import { SERVICE_ENTRIES, SERVICES, WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { serviceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { WAYPOINT_BOUND, WAYPOINT_MISSING } from "../kube/object-status.ts";
import type { ServiceEntry } from "../kube/service-entry.ts";
import { useWaypointOf } from "../kube/traffic-labels.ts";
import { assignedTo, hostsInNeed } from "../virtual-ips.ts";
import { chosenWaypoint, type WaypointReads, type WaypointUser } from "../waypoints.ts";
import type { StatusInputs } from "./status-inputs.ts";
import { wantedStatus, type StatusFields, type Verdict } from "./wanted-status.ts";

type Statuses = Collection<string, WantedObject>;

/** Whether each Service that asks for a waypoint has it (contract ztunnel.md 5.6). */
export function serviceStatuses(graph: Graph, { objects, waypoints, localCluster }: StatusInputs): Statuses {
  return derive(graph, {
    name: "service-statuses",
    from: objects.services,
    reads: { namespaces: objects.namespaces, waypoints },
    distinct: true,
    to: ({ id, status, external, ofGateway, useWaypoint: use }, reads) => {
      if (status === undefined || id.cluster !== localCluster) return [];
      const user = { cluster: id.cluster, namespace: id.namespace, use, kind: "service" } as const;
      const verdicts = external || ofGateway ? [] : bindingOf(user, reads);
      const wanted = wantedStatus({ type: SERVICES, id, status }, verdicts);
      return wanted ? [[`Service ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

/** Likewise, and the addresses that were allocated to its hosts (contract ztunnel.md 5.5). */
export function serviceEntryStatuses(graph: Graph, inputs: StatusInputs): Statuses {
  const { objects, waypoints, virtualIps, localCluster, allocateIps } = inputs;
  return derive(graph, {
    name: "service-entry-statuses",
    from: objects.serviceEntries,
    reads: { namespaces: objects.namespaces, waypoints, virtualIps },
    distinct: true,
    to: (entry, reads) => {
      const { id, status, useWaypoint: use } = entry;
      if (status === undefined || id.cluster !== localCluster) return [];
      const user = { cluster: id.cluster, namespace: id.namespace, use, kind: "service" } as const;
      const binding = bindingOf(user, reads);
      const verdicts = [...binding, ...missingWaypoint(entry, binding)];
      const addresses = addressesOf(entry, reads.virtualIps, allocateIps);
      const wanted = wantedStatus({ type: SERVICE_ENTRIES, id, status }, verdicts, addresses);
      return wanted ? [[`ServiceEntry ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

export function workloadEntryStatuses(graph: Graph, { objects, waypoints, localCluster }: StatusInputs): Statuses {
  return derive(graph, {
    name: "workload-entry-statuses",
    from: objects.workloadEntries,
    reads: { namespaces: objects.namespaces, waypoints },
    distinct: true,
    to: ({ id, status, entry }, reads) => {
      if (status === undefined || id.cluster !== localCluster) return [];
      const use = useWaypointOf(entry.labels, id.namespace);
      const user = { cluster: id.cluster, namespace: id.namespace, use, kind: "workload" } as const;
      const wanted = wantedStatus({ type: WORKLOAD_ENTRIES, id, status }, bindingOf(user, reads));
      return wanted ? [[`WorkloadEntry ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

function bindingOf(user: WaypointUser, reads: WaypointReads): readonly Verdict[] {
  const chosen = chosenWaypoint(user, reads);
  if (chosen === undefined) return [];
  const { name, refused, reason } = chosen;
  // A waypoint for a whole namespace may well be for its services only.
  if (reason === "UnsupportedTrafficType" && user.kind === "workload" && user.use === undefined) return [];
  if (refused === undefined) return [verdict(true, "WaypointAccepted", `Its traffic goes through waypoint ${name}.`)];
  return [verdict(false, reason, `It asks for waypoint ${name}, which ${refused}; its traffic goes without.`)];
}

const verdict = (holds: boolean, reason: string, message: string): Verdict => ({
  type: WAYPOINT_BOUND,
  holds,
  reason,
  message,
});

/** Nobody but a waypoint can tell which host of a wildcard a connection is for. */
function missingWaypoint({ hosts }: ServiceEntry, binding: readonly Verdict[]): readonly Verdict[] {
  const wildcard = hosts.find((host) => host.startsWith("*"));
  if (wildcard === undefined || binding.some(({ holds }) => holds)) return [];
  const message = `Host ${wildcard} is a wildcard, which only a waypoint can serve; label the entry istio.io/use-waypoint.`;
  return [{ type: WAYPOINT_MISSING, holds: true, reason: "NoWaypointForWildcardService", message }];
}

type VirtualIps = { get(name: ReturnType<typeof serviceName>): readonly string[] | undefined };

/** What was assigned stays; of an entry that needs no address any more, what we assigned is withdrawn. */
function addressesOf(entry: ServiceEntry, virtualIps: VirtualIps, allocateIps: boolean): StatusFields {
  const { id, assigned } = entry;
  const addresses = hostsInNeed(entry, allocateIps).flatMap((host) => {
    const own = assignedTo(entry, host);
    const ips = own.length > 0 ? own : (virtualIps.get(serviceName(id.namespace, host)) ?? []);
    return ips.map((value) => ({ value, host }));
  });
  const text = (pairs: readonly string[]): string => JSON.stringify([...pairs].sort());
  const found =
    text(addresses.map(({ host, value }) => `${host} ${value}`)) ===
    text(assigned.map(({ host, ip }) => `${host} ${ip}`));
  return { fields: addresses.length > 0 ? { addresses } : {}, found };
}
