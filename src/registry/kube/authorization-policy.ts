import { describe, FieldError, fieldsOf, isAbsent, isFields, type Fields } from "./fields.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { selectorOf, type Selector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

/**
 * A policy as written. Rules stay raw: one that cannot be read must not make the policy vanish, since a policy that is
 * missing allows (contract ztunnel.md 6.7). The compiler closes what it cannot read.
 */
export interface AuthorizationPolicy {
  readonly id: ObjectId;
  /** Empty if it says none, `?` if what it says is no text. */
  readonly action: string;
  readonly dryRun: boolean;
  /** True if it is for a waypoint, not for ztunnels; false also if nobody can read whether it is. */
  readonly targeted: boolean;
  /** As many of these as could be read. */
  readonly targets: readonly PolicyTarget[];
  /** True if some could not: then it is for all that a policy of its namespace may name. */
  readonly targetsLost: boolean;
  /** Undefined also if it could not be read: the policy then binds more workloads rather than fewer. */
  readonly selector: Selector | undefined;
  /** What could not be read beside the rules. */
  readonly errors: readonly Unread[];
  /** True if part of it, or its metadata, could not be read: what it denies holds, what it allows does not. */
  readonly doubtful: boolean;
  /** Anything that was under `spec.rules`; empty if there was nothing, undefined if it was no list. */
  readonly rules: readonly unknown[] | undefined;
  readonly status: ObjectStatus | undefined;
}

/** What a policy for waypoints names. */
export interface PolicyTarget {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  /** Empty unless it says one. */
  readonly namespace: string;
}

/** A field that could not be read; `message` continues its name. */
export interface Unread {
  readonly field: string;
  readonly message: string;
}

const SPEC_FIELDS = ["action", "provider", "rules", "selector", "targetRef", "targetRefs"];

export function readAuthorizationPolicy(metadata: Metadata, object: Fields): AuthorizationPolicy {
  const errors: Unread[] = [];
  const spec = tolerantSpec(object, SPEC_FIELDS, errors);
  const { action, rules } = spec;
  const selector = tolerantSelector(spec, errors);
  const targeted = isTargeted(spec, errors);
  const targets = targetsOf(spec, errors);
  return {
    id: idOf(metadata),
    action: isAbsent(action) ? "" : typeof action === "string" && action !== "" ? action.slice(0, 80) : "?",
    dryRun: metadata.annotations("istio.io/dry-run") === "true",
    targeted,
    targets,
    targetsLost: errors.some(({ field }) => field.startsWith("spec.targetRef")),
    selector,
    errors,
    doubtful: errors.length > 0,
    rules: isAbsent(rules) ? [] : Array.isArray(rules) ? (rules as readonly unknown[]) : undefined,
    status: readStatus(metadata, object),
  };
}

/** What holds of a policy whose metadata cannot be read: it may be for another revision, or not meant to allow. */
export const readDoubtfulPolicy = (bare: Metadata, object: Fields): AuthorizationPolicy => ({
  ...readAuthorizationPolicy(bare, object),
  doubtful: true,
});

export function isTargeted(spec: Fields, errors: Unread[]): boolean {
  const { targetRef, targetRefs } = spec;
  if (!isAbsent(targetRefs) && !Array.isArray(targetRefs))
    errors.push({ field: "spec.targetRefs", message: `must be a list, not ${describe(targetRefs)}` });
  if (!isAbsent(targetRef) && !isFields(targetRef))
    errors.push({ field: "spec.targetRef", message: `must be a map of fields, not ${describe(targetRef)}` });
  return isFields(targetRef) || (Array.isArray(targetRefs) && targetRefs.length > 0);
}

/** Beyond this the rest is not looked at; the API takes no more. */
const TARGETS_MAX = 16;

/** Those of `targetRefs`, or the one of `targetRef`. */
export function targetsOf({ targetRef, targetRefs }: Fields, errors: Unread[]): readonly PolicyTarget[] {
  const isList = Array.isArray(targetRefs) && targetRefs.length > 0;
  const items: readonly unknown[] = isList ? targetRefs : isFields(targetRef) ? [targetRef] : [];
  if (items.length > TARGETS_MAX)
    errors.push({
      field: "spec.targetRefs",
      message: `has ${items.length} items; at most ${TARGETS_MAX} are read, so split the policy`,
    });
  return items.slice(0, TARGETS_MAX).flatMap((item, at) => {
    const target = targetOf(item);
    if (target === undefined)
      errors.push({
        field: isList ? `spec.targetRefs[${at}]` : "spec.targetRef",
        message: "must have group, kind and name, each a text",
      });
    return target ?? [];
  });
}

function targetOf(item: unknown): PolicyTarget | undefined {
  if (!isFields(item)) return undefined;
  const { group, kind, name, namespace } = item;
  if (!isShort(kind) || !isShort(name) || ![group, namespace].every((each) => isAbsent(each) || isShort(each, 0)))
    return undefined;
  return { group: isShort(group) ? group : "", kind, name, namespace: isShort(namespace) ? namespace : "" };
}

const isShort = (value: unknown, min = 1): value is string =>
  typeof value === "string" && value.length >= min && value.length <= 253;

/** The spec of an object that must not vanish, whatever it holds; a field with a typo is one that is missing. */
export function tolerantSpec(object: Fields, known: readonly string[], errors: Unread[]): Fields {
  const { spec } = object;
  if (isAbsent(spec)) return {};
  if (!isFields(spec)) {
    errors.push({ field: "spec", message: `must be a map of fields, not ${describe(spec)}` });
    return {};
  }
  const stranger = Object.keys(spec).find((key) => !known.includes(key));
  if (stranger !== undefined)
    errors.push({ field: "spec", message: `has the field ${describe(stranger)}; only ${known.join(", ")} are known` });
  return spec;
}

/** Reads `spec.selector`; if it cannot, undefined, as for an object that binds its whole namespace. */
export function tolerantSelector(spec: Fields, errors: Unread[]): Selector | undefined {
  try {
    return readWorkloadSelector(spec);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    errors.push({ field: error.field, message: error.message });
    return undefined;
  }
}

/** An empty selector selects all, as no selector does. @throws FieldError also for fields that are no selector's. */
function readWorkloadSelector(spec: Fields): Selector | undefined {
  const selector = fieldsOf(spec["selector"], "spec.selector");
  const stranger = Object.keys(selector).find((key) => key !== "matchLabels");
  if (stranger !== undefined)
    throw new FieldError("spec.selector", `has the field ${describe(stranger)}; only matchLabels is known`);
  return selectorOf(selector["matchLabels"], "spec.selector.matchLabels");
}
