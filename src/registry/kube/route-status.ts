import { isFields, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";
import { integerIn, readConditions, textIn, type FoundCondition } from "./object-status.ts";

/** How we call ourselves in the status of routes. */
export const MESH_CONTROLLER = "istio.io/mesh-controller";

/** What a route's status says of its parents. */
export interface RouteStatus {
  readonly generation: number | undefined;
  readonly ours: readonly FoundParent[];
  /** Of other controllers, as they are: the list is written as a whole. */
  readonly others: readonly Fields[];
  /** Only if there are others': it changes with everything that anybody writes. */
  readonly resourceVersion: string | undefined;
}

export interface FoundParent {
  /** See `parentKey`. */
  readonly key: string;
  readonly conditions: readonly FoundCondition[];
}

/** The API takes no more; a status with more is not touched. */
const PARENTS_MAX = 32;

/** Never throws. Undefined for a route that is in no API server, or whose status is beyond us. */
export function readRouteStatus(metadata: Metadata, object: Fields): RouteStatus | undefined {
  if (metadata.uid === "") return undefined;
  const { generation, resourceVersion } = isFields(object["metadata"]) ? object["metadata"] : {};
  const { parents } = isFields(object["status"]) ? object["status"] : {};
  const all = Array.isArray(parents) ? parents.filter(isFields) : [];
  if (all.length > PARENTS_MAX) return undefined;
  const others = all.filter(({ controllerName }) => controllerName !== MESH_CONTROLLER);
  return {
    generation: integerIn(generation),
    ours: all
      .filter(({ controllerName }) => controllerName === MESH_CONTROLLER)
      .map(({ parentRef, conditions }) => ({
        key: parentKey(isFields(parentRef) ? parentRef : {}),
        conditions: readConditions(conditions),
      })),
    others,
    resourceVersion: others.length > 0 && typeof resourceVersion === "string" ? resourceVersion : undefined,
  };
}

/** Equal for references that say the same, whatever of it is left to defaults. */
export const parentKey = ({ group, kind, namespace, name, sectionName, port }: Fields): string =>
  [group, kind, namespace, name, sectionName].map(textIn).join("/") + `/${integerIn(port) ?? ""}`;
