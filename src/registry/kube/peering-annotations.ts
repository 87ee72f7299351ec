import type { WaypointPolicy } from "../model/federated-service.ts";
import { FieldError, isFields, type Fields } from "./fields.ts";
import { intern, type Annotations } from "./metadata.ts";
import type { Doubt } from "./traffic-labels.ts";

/** Ours: nobody has named one in public (contract peering.md 2.9). */
const WAYPOINT_POLICY = "peering.causeway.dev/waypoint-policy";
const WAYPOINT_POLICIES: readonly string[] = ["once", "source", "destination", "both"] satisfies WaypointPolicy[];

/** Undefined if nothing is said that we know. */
export function waypointPolicyOf(annotations: Annotations): WaypointPolicy | undefined {
  const text = annotations(WAYPOINT_POLICY) ?? "";
  return WAYPOINT_POLICIES.includes(text) ? (text as WaypointPolicy) : undefined;
}

export function waypointPolicyDoubts(annotations: Annotations): readonly Doubt[] {
  const text = annotations(WAYPOINT_POLICY);
  if (text === undefined || WAYPOINT_POLICIES.includes(text)) return [];
  const message = `is ${JSON.stringify(text.slice(0, 80))}, and counts as once; use ${WAYPOINT_POLICIES.join(", ")}`;
  return [{ field: `metadata.annotations[${WAYPOINT_POLICY}]`, message }];
}

/** Ours: until when a peer, or a service, is to get no new calls (contract peering.md 6, row 9). */
export const DRAIN_UNTIL = "peering.causeway.dev/drain-until";
export const DRAIN_UNTIL_FIELD = `metadata.annotations[${DRAIN_UNTIL}]`;
/** RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

export interface DrainWish {
  /** As written. */
  readonly text: string;
  /** Milliseconds since the Unix epoch; undefined if `text` is no time. */
  readonly untilMs: number | undefined;
}

/** Undefined if nothing is said. What is no text is a problem of the drain alone: what has it must not be lost for it. */
export function drainWishOf(annotations: Annotations): DrainWish | undefined {
  const text = textOr(() => annotations(DRAIN_UNTIL), "what is no text");
  if (text === undefined) return undefined;
  const ms = TIME.test(text) ? Date.parse(text) : NaN;
  return { text, untilMs: Number.isFinite(ms) ? ms : undefined };
}

function textOr(read: () => string | undefined, otherwise: string): string | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof FieldError) return otherwise;
    throw thrown;
  }
}

const NONE: ReadonlyMap<string, string> = new Map();
const HOST_PART = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
/** Of Kubernetes itself and its tools: they say nothing of what a service is called, and some hold whole objects. */
const OF_SYSTEM = /(^|\.)(kubernetes|k8s)\.io\//;
const KEPT_MAX = 64;

/** True for an annotation that aliases may be made of: the rest can hold anything. */
export const isAliasPart = (key: string, value: unknown): value is string =>
  typeof value === "string" && HOST_PART.test(value) && !OF_SYSTEM.test(key);

/** By key; of an object that has more than 64 of them the first, in code unit order. */
export function aliasAnnotations(object: Fields): ReadonlyMap<string, string> {
  const { annotations } = isFields(object["metadata"]) ? object["metadata"] : {};
  if (!isFields(annotations)) return NONE;
  const kept = Object.keys(annotations)
    .filter((key) => isAliasPart(key, annotations[key]))
    .sort()
    .slice(0, KEPT_MAX)
    .map((key) => [intern(key), intern(annotations[key] as string)] as const);
  return kept.length === 0 ? NONE : new Map(kept);
}
