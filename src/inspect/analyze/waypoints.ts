import { nearestName } from "../../nearest-name.ts";
import { KNOWN_CLASSES } from "../../registry/kube/known-classes.ts";
import { chosenWaypoint } from "../../registry/waypoints.ts";
import type { Finding } from "../finding.ts";
import { analysed } from "./codes.ts";
import { own, type Site } from "./site.ts";

/** Namespaces whose waypoint is not there, and Gateways of classes that are nearly one of ours. */
export const waypointFindings = (site: Site): readonly Finding[] => [...ofNamespaces(site), ...ofClasses(site)];

/** Of a Service that names a waypoint itself the control plane says so; of namespaces it does not, as some hold none. */
function ofNamespaces({ registry, cluster, facts }: Site): readonly Finding[] {
  const { waypoints } = registry.statusInputs;
  return own(registry.namespaces).flatMap(({ name, origin }) => {
    const user = { cluster, namespace: name, use: undefined, kind: "service" } as const;
    const chosen = chosenWaypoint(user, { namespaces: registry.namespaces, waypoints });
    // One for workloads alone guards the pods of the namespace.
    if (chosen?.refused === undefined || chosen.reason === "UnsupportedTrafficType") return [];
    return [
      analysed(
        "CWY2502",
        {
          ...{ cluster: facts.cluster, object: `Namespace ${name}`, origin },
          field: "metadata.labels[istio.io/use-waypoint]",
        },
        `it asks for waypoint ${chosen.name}, which ${chosen.refused}, so its traffic goes without`,
        { fix: "correct the label, or make that Gateway of class istio-waypoint" },
      ),
    ];
  });
}

function ofClasses({ registry, facts }: Site): readonly Finding[] {
  const names = KNOWN_CLASSES.map(({ name }) => name);
  const declared = new Set(Array.from(registry.objects.gatewayClasses.entries(), ([key]) => key.split("/")[2]));
  return own(registry.objects.gateways).flatMap(({ id, className }) => {
    const meant = nearestName(className, names);
    if (meant === undefined || names.includes(className) || declared.has(className) || className === "istio") return [];
    return [
      analysed(
        "CWY2506",
        {
          ...{ cluster: facts.cluster, object: `Gateway ${id.namespace}/${id.name}` },
          ...{ field: "spec.gatewayClassName", origin: id.origin },
        },
        `nobody makes Gateways of class ${className}`,
        { fix: `did you mean ${meant}?` },
      ),
    ];
  });
}
