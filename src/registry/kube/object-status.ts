import { isFields, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";

/** A condition of ours as the object's status has it. */
export interface FoundCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | undefined;
  /** As written; empty if it does not say. */
  readonly since: string;
}

/** As much of an object's status as it takes to know whether it is what we want it to be. */
export interface ObjectStatus {
  /** Counts changes of the spec; undefined for kinds that have none. */
  readonly generation: number | undefined;
  /** Of the types that we write. */
  readonly conditions: readonly FoundCondition[];
  /** Of all other types, as they are, where a list of conditions is written as a whole. */
  readonly others: readonly Fields[];
  /** Only if there are others': it changes with everything that anybody writes. */
  readonly resourceVersion: string | undefined;
}

/** How a service, or a workload, got on with the waypoint that it asks for. */
export const WAYPOINT_BOUND = "istio.io/WaypointBound";
/** A host that nothing but a waypoint can serve has none. */
export const WAYPOINT_MISSING = "istio.io/WaypointMissing";
export const ZTUNNEL_ACCEPTED = "ZtunnelAccepted";
export const WAYPOINT_ACCEPTED = "WaypointAccepted";

const OURS: readonly string[] = [WAYPOINT_BOUND, WAYPOINT_MISSING, ZTUNNEL_ACCEPTED, WAYPOINT_ACCEPTED];
const isOurs = (type: string): boolean => OURS.includes(type);
/** A status with more conditions than this is not touched, rather than kept. */
const CONDITIONS_MAX = 32;

/**
 * Never throws: a status that cannot be read must not take the object with it. Undefined for an object that is in no
 * API server, or whose status is beyond us: then nobody can write one.
 * @param byType true for the kinds of Kubernetes itself, whose conditions can be owned one by one. Istio's do not say so.
 * @param ours the types that we write to this kind.
 */
export function readStatus(
  metadata: Metadata,
  object: Fields,
  byType = false,
  ours: (type: string) => boolean = isOurs,
): ObjectStatus | undefined {
  if (metadata.uid === "") return undefined;
  const { generation, resourceVersion } = isFields(object["metadata"]) ? object["metadata"] : {};
  const { conditions } = isFields(object["status"]) ? object["status"] : {};
  const all = Array.isArray(conditions) ? conditions.filter(isFields) : [];
  if (all.length > CONDITIONS_MAX) return undefined;
  const others = byType ? [] : all.filter(({ type }) => typeof type !== "string" || !ours(type));
  const counted = integerIn(generation);
  // So it is with most Services.
  if (all.length === 0 && counted === undefined) return BLANK;
  return {
    generation: counted,
    conditions: all.filter(({ type }) => typeof type === "string" && ours(type)).map(readCondition),
    others,
    resourceVersion: others.length > 0 && typeof resourceVersion === "string" ? resourceVersion : undefined,
  };
}

const BLANK: ObjectStatus = { generation: undefined, conditions: [], others: [], resourceVersion: undefined };

function readCondition(condition: Fields): FoundCondition {
  const { type, status, reason, message, observedGeneration, lastTransitionTime } = condition;
  return {
    type: textIn(type),
    status: textIn(status),
    reason: textIn(reason),
    message: textIn(message),
    observedGeneration: integerIn(observedGeneration),
    since: textIn(lastTransitionTime),
  };
}

/** Conditions of any type; what is no condition is left out. */
export const readConditions = (value: unknown): readonly FoundCondition[] =>
  (Array.isArray(value) ? value.slice(0, CONDITIONS_MAX) : []).filter(isFields).map(readCondition);

export const textIn = (value: unknown): string => (typeof value === "string" ? value.slice(0, 32_768) : "");

/** Other control planes write 64-bit numbers as text. */
export function integerIn(value: unknown): number | undefined {
  const number = typeof value === "string" && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
}
