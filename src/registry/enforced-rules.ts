import type { AuthorizationPolicy } from "./kube/authorization-policy.ts";
import type { Policy } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import { compileRules, type Finding, type ReadRule, type Vocabulary } from "./policy-rules.ts";

/** What a policy does, in the words of one who enforces it. */
export interface Enforced<M> {
  readonly action: Policy["action"];
  readonly rules: readonly ReadRule<M>[];
}

/** The action and rules that deny at least what the user meant to be denied. */
export function enforcedRules<M extends object>(
  source: Pick<AuthorizationPolicy, "action" | "rules" | "errors" | "doubtful" | "id">,
  vocabulary: Vocabulary<M>,
  findings: Finding[],
): Enforced<M> {
  const { errors, doubtful, rules } = source;
  findings.push(...errors.map(({ field, message }) => error(field, `${message}; ${IN_DOUBT}`)));
  if (source.action !== "" && source.action !== "ALLOW" && source.action !== "DENY") {
    findings.push(error("spec.action", `is ${JSON.stringify(source.action)}; until it is ALLOW or DENY all is denied`));
    return { action: "deny", rules: EVERYTHING };
  }
  const action = source.action === "DENY" ? "deny" : "allow";
  if (rules === undefined) {
    findings.push(error("spec.rules", "must be a list; until it is one, nothing that it binds is let through"));
    return { action, rules: action === "deny" ? EVERYTHING : [] };
  }
  // What it is to allow, to whom, or whether it is to allow at all, is unknown: so it allows nobody.
  if (doubtful && action === "allow") return { action, rules: [] };
  // The rules may be what stands in a field that nobody knows.
  if (rules.length === 0 && errors.some(({ field }) => field === "spec")) return { action, rules: EVERYTHING };
  const { namespace } = source.id;
  return { action, rules: compileRules(rules, vocabulary, { action, namespace }, findings) };
}

/** One rule that always holds. */
export const EVERYTHING: readonly ReadRule<never>[] = [{ from: [], to: [], when: [] }];

const IN_DOUBT = "until this is fixed, the policy allows nobody, and denies to all that it may bind";

export const error = (field: string, message: string): Finding => ({ field, message, severity: "error" });

const PROBLEMS_MAX = 20;

export function problemsOf(
  kind: string,
  { id }: Pick<AuthorizationPolicy, "id">,
  findings: readonly Finding[],
): readonly Problem[] {
  const object = `${kind} ${id.namespace}/${id.name}`;
  return findings.slice(0, PROBLEMS_MAX).map(({ field, message, severity }) => ({
    object,
    origin: id.origin,
    field,
    message: `${field} ${message}.`,
    severity,
  }));
}
