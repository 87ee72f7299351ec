import { meshListing, NONE, waypointName } from "./mesh-listing.ts";

export const workloadsCommand = meshListing({
  name: "workloads",
  aliases: ["workload", "w"],
  summary: "workloads as ztunnels get them",
  headers: ["NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL"],
  of: ({ workloads }) => workloads,
  row: ({ namespace, name, workloadIps, hostname, node, waypoint, protocol }, mesh) => [
    namespace,
    name,
    workloadIps[0] ?? hostname ?? NONE,
    node || NONE,
    waypointName(waypoint, mesh),
    protocol,
  ],
});
