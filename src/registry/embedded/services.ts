import { isIPv6 } from "node:net";
import type { KubeObject } from "../../kube/object.ts";
import { fieldsOf, listOf, textOf } from "./fields.ts";

/** The cluster IP that a manifest states itself: an address, `None`, or empty. */
export const statedClusterIp = (service: KubeObject): string =>
  textOf(fieldsOf(service["spec"])["clusterIP"]) || textOf(listOf(fieldsOf(service["spec"])["clusterIPs"])[0]);

/** True for a Service that an API server would give an address. */
export const wantsClusterIp = (service: KubeObject): boolean =>
  fieldsOf(service["spec"])["type"] !== "ExternalName" && statedClusterIp(service) === "";

/** The Service as the API server would show it: `clusterIp` and what follows from it, over nothing that it states. */
export function admittedService(service: KubeObject, clusterIp: string): KubeObject {
  const spec = fieldsOf(service["spec"]);
  if (spec["type"] === "ExternalName" || clusterIp === "") return service;
  return {
    ...service,
    spec: {
      type: "ClusterIP",
      ipFamilies: [isIPv6(clusterIp) ? "IPv6" : "IPv4"],
      ipFamilyPolicy: "SingleStack",
      clusterIPs: [clusterIp],
      ...spec,
      clusterIP: clusterIp,
    },
  };
}
