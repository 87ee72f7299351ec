import { describe, isFields, type Fields } from "./kube/fields.ts";
import type { Policy } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";

/** What the user should know about one field; `message` continues the field's name. */
export type Finding = Pick<Problem, "field" | "message" | "severity">;
type Action = Policy["action"];

/** Something a rule can look at: read by whoever enforces it, or `l7` and for waypoints only. */
export type Attribute<M> = ReadableAttribute<M> | "l7";

export interface ReadableAttribute<M> {
  /** Undefined if the value means nothing. */
  readonly read: (value: unknown, namespace: string) => unknown;
  /** A match on values that `read` returned. */
  readonly match: (values: readonly unknown[]) => M;
  /** Continues "is <value>, ". */
  readonly expects: string;
}

/** Everything that one who enforces rules can look at; `M` has no required fields. */
export interface Vocabulary<M> {
  /** Fields of `from[].source`. */
  readonly source: ReadonlyMap<string, Attribute<M>>;
  /** Fields of `to[].operation`. */
  readonly operation: ReadonlyMap<string, Attribute<M>>;
  /** For `values` and `notValues` of a `when` with this key; undefined if nobody knows the key. */
  readonly condition: (key: string) => ReadonlyMap<string, ReadableAttribute<M>> | "l7" | undefined;
}

/** Holds if one of `from`, one of `to` and each of `when` does; an empty list always does. */
export interface ReadRule<M> {
  readonly from: readonly M[];
  readonly to: readonly M[];
  readonly when: readonly { readonly key: string; readonly match: M }[];
}

/**
 * Rules of an AuthorizationPolicy in the words of `vocabulary`. Where these do not have what is written, or nobody can
 * read it, an ALLOW loses the rule and a DENY loses the condition: both let less through. A match with nothing in it is
 * never made, since ztunnel holds that it matches nothing (contract ztunnel.md 5.7).
 */
export function compileRules<M extends object>(
  rules: readonly unknown[],
  vocabulary: Vocabulary<M>,
  source: { readonly action: Action; readonly namespace: string },
  findings: Finding[],
): readonly ReadRule<M>[] {
  const context: Context<M> = { ...source, vocabulary, findings };
  return rules.flatMap((rule, at) => compileRule(rule, `spec.rules[${at}]`, context) ?? []);
}

interface Judge {
  readonly action: Action;
  readonly findings: Finding[];
}

interface Context<M> extends Judge {
  readonly namespace: string;
  readonly vocabulary: Vocabulary<M>;
}

/** `everything` is a condition that always holds, `nothing` one that makes an ALLOW rule go. */
type Effect = "everything" | "nothing";
const RULE_FIELDS: readonly string[] = ["from", "to", "when"];

function compileRule<M extends object>(rule: unknown, field: string, context: Context<M>): ReadRule<M> | undefined {
  const anything: ReadRule<M> = { from: [], to: [], when: [] };
  if (!isFields(rule))
    return unreadable(field, "must be a map with from, to and when", context) === "nothing" ? undefined : anything;
  const { source, operation } = context.vocabulary;
  const strangers = Object.keys(rule)
    .filter((key) => !RULE_FIELDS.includes(key))
    .map((key) => unreadable(field, unknownField(key), context));
  const from = alternatives(rule["from"], `${field}.from`, "source", source, context);
  const to = alternatives(rule["to"], `${field}.to`, "operation", operation, context);
  const when = whens(rule["when"], `${field}.when`, context);
  if (strangers.includes("nothing") || from === "nothing" || to === "nothing" || when === "nothing") return undefined;
  return { from, to, when };
}

const unknownField = (key: string): string => `has the field ${describe(key)}, which is not known`;

function unreadable(field: string, message: string, { action, findings }: Judge): Effect {
  const effect =
    action === "allow"
      ? "the rule that holds it allows nothing"
      : "the policy denies whatever its value, so more than asked";
  findings.push({ field, message: `${message}; ${effect}`, severity: "error" });
  return action === "allow" ? "nothing" : "everything";
}

/** L7: only a waypoint sees it. */
function beyondL4(field: string, { action, findings }: Judge): Effect {
  const effect =
    action === "allow"
      ? "the rule that holds it allows nothing"
      : "the rule denies without looking at it, so more than asked";
  findings.push({
    field,
    message: `needs HTTP, which ztunnel does not read: ${effect}; attach the policy to a waypoint with targetRefs`,
    severity: "warning",
  });
  return action === "allow" ? "nothing" : "everything";
}

/** `from` or `to`: one of its items suffices, none if anything does. Absent and empty are the same, as they are to Kubernetes. */
function alternatives<M extends object>(
  value: unknown,
  field: string,
  key: "source" | "operation",
  attributes: ReadonlyMap<string, Attribute<M>>,
  context: Context<M>,
): readonly M[] | "nothing" {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return anythingOr(unreadable(field, "must be a list", context));
  if (value.length === 0) return [];
  const items = value.map((item: unknown, at): Item<M> => {
    const path = `${field}[${at}]`;
    if (!isFields(item) || !isFields(item[key]) || Object.keys(item).length !== 1)
      return unreadable(path, `must have ${key}, a map, and nothing else`, context);
    return matchOf(item[key], `${path}.${key}`, attributes, context);
  });
  if (items.includes("nothing")) return "nothing";
  if (items.includes("everything")) return [];
  const matches = items.filter((item): item is M => typeof item === "object");
  return matches.length === 0 ? "nothing" : matches;
}

const anythingOr = (effect: Effect): readonly never[] | "nothing" => (effect === "nothing" ? "nothing" : []);

type Item<M> = M | Effect | "never";

/** One source or operation: all that it names. `never` is an ALLOW's item that nothing fulfils. */
function matchOf<M extends object>(
  fields: Fields,
  field: string,
  attributes: ReadonlyMap<string, Attribute<M>>,
  context: Context<M>,
): Item<M> {
  let match: M | undefined;
  let never = false;
  for (const [key, values] of Object.entries(fields)) {
    if (Array.isArray(values) && values.length === 0) continue;
    const part = attributeOf(key, values, `${field}.${key}`, attributes.get(key), context);
    if (part === "nothing") return "nothing";
    if (part === "never") never = true;
    else if (part !== "everything") match = { ...match, ...part };
  }
  if (never) return "never";
  // An empty source allows nothing at ztunnel either.
  return match ?? (context.action === "deny" ? "everything" : "never");
}

function attributeOf<M extends object>(
  key: string,
  values: unknown,
  field: string,
  attribute: Attribute<M> | undefined,
  context: Context<M>,
): Item<M> {
  if (!attribute) return unreadable(field, "is not a known field", context);
  if (attribute === "l7") return beyondL4(field, context);
  if (!Array.isArray(values)) return unreadable(field, "must be a list", context);
  const read = values.map((value: unknown) => attribute.read(value, context.namespace));
  const kept = read.filter((value) => value !== undefined);
  if (kept.length === values.length) return attribute.match(kept);
  const bad = values.findIndex((_value, at) => read[at] === undefined);
  return missingValue(`${field}[${bad}]`, `is ${describe(values[bad])}, ${attribute.expects}`, {
    ...context,
    negated: key.startsWith("not"),
    without: kept.length === 0 ? undefined : attribute.match(kept),
  });
}

interface MissingValue<M> extends Judge {
  readonly negated: boolean;
  /** The attribute with the values that could be read. */
  readonly without: M | undefined;
}

/** Leaving out a value narrows a list and widens a negated one; only what lets less through is done. */
function missingValue<M>(field: string, message: string, context: MissingValue<M>): Item<M> {
  const { action, negated, without, findings } = context;
  const narrows = action === "allow" ? !negated : negated;
  const effect =
    action === "allow"
      ? negated
        ? "what it was to exempt is unknown, so this part allows nothing"
        : "it allows nobody"
      : negated
        ? "it exempts nobody"
        : "what it was to deny is unknown, so more than asked is denied";
  findings.push({ field, message: `${message}; ${effect}`, severity: "error" });
  if (narrows) return without ?? (action === "allow" ? "never" : "everything");
  return action === "allow" ? "never" : "everything";
}

/** Each `when` is a condition of its own. */
function whens<M extends object>(value: unknown, field: string, context: Context<M>): ReadRule<M>["when"] | "nothing" {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return anythingOr(unreadable(field, "must be a list", context));
  const all = value.map((item: unknown, at): Effect | ReadRule<M>["when"][number] => {
    const path = `${field}[${at}]`;
    if (!isFields(item) || typeof item["key"] !== "string") return unreadable(path, "must have a key", context);
    const { key, ...fields } = item;
    const stranger = Object.keys(fields).find((each) => !WHEN_FIELDS.includes(each));
    if (stranger !== undefined) return unreadable(path, unknownField(stranger), context);
    const attributes = context.vocabulary.condition(key as string);
    if (attributes === "l7") return beyondL4(`${path}.key`, context);
    if (!attributes) return unreadable(`${path}.key`, `is ${describe(key)}, which no waypoint knows`, context);
    const match = matchOf(fields, path, attributes, context);
    if (match === "never") return "nothing";
    return typeof match === "object" ? { key: key as string, match } : match;
  });
  return all.includes("nothing") ? "nothing" : all.filter((each) => typeof each === "object");
}

const WHEN_FIELDS: readonly string[] = ["values", "notValues"];
