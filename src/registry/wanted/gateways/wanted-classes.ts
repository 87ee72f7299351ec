import { GATEWAY_CLASSES } from "../../../kube/resource-types.ts";
import type { WantedObject } from "../../../kube/wanted-object.ts";
import { objectKey, type ClusterId, type ObjectKey } from "../../../names.ts";
import type { Collection } from "../../collection/collection.ts";
import { derive } from "../../collection/derive.ts";
import type { Graph } from "../../collection/graph.ts";
import { MANAGED_BY, MANAGER } from "../../kube/generated.ts";
import { KNOWN_CLASSES } from "../../kube/known-classes.ts";
import type { GatewayClass } from "../../kube/namespace.ts";
import { wantedStatus, type Verdict } from "../wanted-status.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";

/** Our classes, where they are not there yet, and that they are ours. One of another controller is left as it is. */
export function wantedClasses(
  graph: Graph,
  { objects, phase, localCluster }: GatewayInputs,
): Collection<string, WantedObject> {
  return derive(graph, {
    name: "gateway-classes-wanted",
    distinct: true,
    from: phase,
    reads: { classes: objects.gatewayClasses },
    to: (_phase, { classes }) =>
      KNOWN_CLASSES.flatMap(({ name, controllerName, description }): (readonly [string, WantedObject])[] => {
        const found = classes.get(objectKey(localCluster, "", name));
        const key = `GatewayClass ${name}`;
        if (found === undefined) {
          const labels = { [MANAGED_BY]: MANAGER };
          const at = { type: GATEWAY_CLASSES, namespace: "", name, labels };
          const fields = { spec: { controllerName, description } };
          return [[key, { ...at, fields, guard: { uid: undefined }, found: "different" }]];
        }
        const status = found.controllerName === controllerName ? statusOf(name, found) : undefined;
        return status ? [[`${key} status`, status]] : [];
      }),
  });
}

function statusOf(name: string, { status: held }: GatewayClass): WantedObject | undefined {
  if (held === undefined) return undefined;
  const id = { namespace: "", name };
  const types = new Set(VERDICTS.map(({ type }) => type));
  const status = { ...held, conditions: held.conditions.filter(({ type }) => types.has(type)) };
  return wantedStatus({ type: GATEWAY_CLASSES, id, status }, VERDICTS);
}

const VERDICTS: readonly Verdict[] = [
  { type: "Accepted", holds: true, reason: "Accepted", message: "Gateways of this class are handled by Causeway." },
  { type: "SupportedVersion", holds: true, reason: "SupportedVersion", message: "Its version of the API is read." },
];

/** Classes of our names that another controller has. */
export const foreignClasses = (
  classes: { get(key: ObjectKey): GatewayClass | undefined },
  localCluster: ClusterId,
): readonly { readonly name: string; readonly controllerName: string }[] =>
  KNOWN_CLASSES.flatMap(({ name, controllerName: own }) => {
    const controllerName = classes.get(objectKey(localCluster, "", name))?.controllerName;
    return controllerName === undefined || controllerName === own ? [] : [{ name, controllerName }];
  });
