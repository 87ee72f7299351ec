import { describe, isFields, type Fields } from "./kube/fields.ts";
import type { Policy, PolicyClause, PolicyMatch, PolicyRule } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import { CONDITIONS, OPERATION, SOURCE, type Attribute } from "./policy-attributes.ts";

/** What the user should know about one field; `message` continues the field's name. */
export type Finding = Pick<Problem, "field" | "message" | "severity">;
type Action = Policy["action"];

/**
 * Rules of an AuthorizationPolicy as L4 rules. Where ztunnel cannot evaluate what is written, or nobody can read it, an
 * ALLOW loses the rule and a DENY loses the condition: both let less through. A match with nothing in it is never made,
 * since ztunnel holds that it matches nothing (contract ztunnel.md 5.7).
 */
export function compileRules(
  rules: readonly unknown[],
  action: Action,
  namespace: string,
  findings: Finding[],
): readonly PolicyRule[] {
  return rules.flatMap((rule, at) => compileRule(rule, `spec.rules[${at}]`, { action, namespace, findings }) ?? []);
}

interface Context {
  readonly action: Action;
  readonly namespace: string;
  readonly findings: Finding[];
}

/** `everything` is a condition that always holds, `nothing` one that makes an ALLOW rule go. */
type Condition = PolicyClause | "everything" | "nothing";
const RULE_FIELDS: readonly string[] = ["from", "to", "when"];

function compileRule(rule: unknown, field: string, context: Context): PolicyRule | undefined {
  const conditions: Condition[] = [];
  if (!isFields(rule)) conditions.push(unreadable(field, "must be a map with from, to and when", context));
  else {
    for (const key of Object.keys(rule))
      if (!RULE_FIELDS.includes(key)) conditions.push(unreadable(field, unknownField(key), context));
    conditions.push(
      ...alternatives(rule["from"], `${field}.from`, "source", SOURCE, context),
      ...alternatives(rule["to"], `${field}.to`, "operation", OPERATION, context),
      ...whens(rule["when"], `${field}.when`, context),
    );
  }
  if (conditions.includes("nothing")) return undefined;
  return { clauses: conditions.filter((condition) => typeof condition === "object") };
}

const unknownField = (key: string): string => `has the field ${describe(key)}, which is not known`;

function unreadable(field: string, message: string, { action, findings }: Context): Condition {
  const effect =
    action === "allow"
      ? "the rule that holds it allows nothing"
      : "the policy denies whatever its value, so more than asked";
  findings.push({ field, message: `${message}; ${effect}`, severity: "error" });
  return action === "allow" ? "nothing" : "everything";
}

/** L7: only a waypoint sees it. */
function beyondL4(field: string, { action, findings }: Context): Condition {
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

/** `from` or `to`: one of its items suffices. Absent and empty are the same, as they are to Kubernetes. */
function alternatives(
  value: unknown,
  field: string,
  key: "source" | "operation",
  attributes: ReadonlyMap<string, Attribute>,
  context: Context,
): readonly Condition[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return [unreadable(field, "must be a list", context)];
  if (value.length === 0) return [];
  const items = value.map((item: unknown, at): Item => {
    const path = `${field}[${at}]`;
    if (!isFields(item) || !isFields(item[key]) || Object.keys(item).length !== 1)
      return unreadable(path, `must have ${key}, a map, and nothing else`, context) as Item;
    return matchOf(item[key], `${path}.${key}`, attributes, context);
  });
  if (items.includes("nothing")) return ["nothing"];
  if (items.includes("everything")) return ["everything"];
  const matches = items.filter((item) => typeof item === "object");
  return [matches.length === 0 ? "nothing" : { matches }];
}

type Item = PolicyMatch | "everything" | "nothing" | "never";

/** One source or operation: all that it names. `never` is an ALLOW's item that nothing fulfils. */
function matchOf(fields: Fields, field: string, attributes: ReadonlyMap<string, Attribute>, context: Context): Item {
  let match: PolicyMatch = {};
  let never = false;
  for (const [key, values] of Object.entries(fields)) {
    if (Array.isArray(values) && values.length === 0) continue;
    const part = attributeOf(key, values, `${field}.${key}`, attributes.get(key), context);
    if (part === "nothing") return "nothing";
    if (part === "never") never = true;
    else if (part !== "everything") match = { ...match, ...part };
  }
  if (never) return "never";
  if (Object.keys(match).length > 0) return match;
  if (context.action === "deny") return "everything";
  // An empty source allows nothing at ztunnel either.
  return "never";
}

function attributeOf(
  key: string,
  values: unknown,
  field: string,
  attribute: Attribute | undefined,
  context: Context,
): Item {
  if (!attribute) return unreadable(field, "is not a known field", context) as Item;
  if (attribute === "l7") return beyondL4(field, context) as Item;
  if (!Array.isArray(values)) return unreadable(field, "must be a list", context) as Item;
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

interface MissingValue extends Context {
  readonly negated: boolean;
  /** The attribute with the values that could be read. */
  readonly without: PolicyMatch | undefined;
}

/** Leaving out a value narrows a list and widens a negated one; only what lets less through is done. */
function missingValue(field: string, message: string, context: MissingValue): Item {
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

const WHEN_FIELDS: readonly string[] = ["key", "values", "notValues"];

/** Each `when` is a condition of its own. */
function whens(value: unknown, field: string, context: Context): readonly Condition[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return [unreadable(field, "must be a list", context)];
  return value.map((item: unknown, at): Condition => {
    const path = `${field}[${at}]`;
    if (!isFields(item) || typeof item["key"] !== "string") return unreadable(path, "must have a key", context);
    const stranger = Object.keys(item).find((key) => !WHEN_FIELDS.includes(key));
    if (stranger !== undefined) return unreadable(path, unknownField(stranger), context);
    const attributes = CONDITIONS.get(item["key"]);
    if (!attributes) return beyondL4(`${path}.key`, context);
    const fields = Object.fromEntries(Object.entries(item).filter(([key]) => key !== "key"));
    const match = matchOf(fields, path, attributes, context);
    if (match === "never") return "nothing";
    return typeof match === "object" ? { matches: [match] } : match;
  });
}
