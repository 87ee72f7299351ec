import { meshListing, NONE, waypointName } from "./mesh-listing.ts";

export const servicesCommand = meshListing({
  name: "services",
  aliases: ["service", "svc"],
  summary: "services as ztunnels get them, and how many of their endpoints are healthy",
  headers: ["NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS"],
  of: ({ services }) => services,
  row: ({ namespace, name, vips, waypoint, endpoints }, mesh) => {
    const all = Object.values(endpoints);
    const healthy = all.filter(({ status }) => status === "Healthy");
    return [namespace, name, vipsText(vips), waypointName(waypoint, mesh), `${healthy.length}/${all.length}`];
  },
});

/** Without the network: it is the same for all rows in most meshes, and `-o json` has it. */
function vipsText(vips: readonly string[]): string {
  return vips.map((vip) => vip.slice(vip.indexOf("/") + 1)).join(",") || NONE;
}
