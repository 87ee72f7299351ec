import { policyName, type ObjectKey, type PolicyName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { AuthorizationPolicy } from "./kube/authorization-policy.ts";
import type { Selector } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import type { Policy, PolicyRule } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { compileRules, type Finding } from "./policy-rules.ts";

/** A policy as ztunnel gets it, whom it selects, and what it cannot do. */
export interface CompiledPolicy {
  readonly namespace: string;
  readonly policy: Policy | undefined;
  /** Set only if `policy` attaches to the workloads it selects. */
  readonly selector: Selector | undefined;
  readonly problems: readonly Problem[];
}

/** Policies of the local cluster (contract ztunnel.md 5.7). What cannot be evaluated here denies more, never less. */
export function compiledPolicies(
  graph: Graph,
  objects: Objects,
  options: RegistryOptions,
): Collection<ObjectKey, CompiledPolicy> {
  return derive(graph, {
    name: "compiled-policies",
    from: objects.authorizationPolicies,
    reads: {},
    to: (policy, _reads, key) => (policy.id.cluster === options.localCluster ? [[key, compile(policy, options)]] : []),
  });
}

export function authorizationPolicies(
  graph: Graph,
  compiled: Collection<ObjectKey, CompiledPolicy>,
): Collection<PolicyName, Policy> {
  return derive(graph, {
    name: "authorizations",
    from: compiled,
    reads: {},
    to: ({ policy }) => (policy ? [[policy.key, policy] as const] : []),
  });
}

function compile(source: AuthorizationPolicy, { mesh, dryRunPolicies }: RegistryOptions): CompiledPolicy {
  const { namespace, name } = source.id;
  const none = (findings: readonly Finding[]): CompiledPolicy => ({
    namespace,
    policy: undefined,
    selector: undefined,
    problems: problemsOf(source, findings),
  });
  if (source.targeted) return none([]);
  if (source.dryRun && !dryRunPolicies) return none([]);
  if (source.action === "AUDIT" || source.action === "CUSTOM")
    return none([
      error("spec.action", `is ${source.action}, which ztunnel cannot do; the policy has no effect, use a waypoint`),
    ]);
  const findings: Finding[] = [];
  const { action, rules } = enforced(source, findings);
  const scope = source.selector ? "selector" : namespace === mesh.rootNamespace ? "global" : "namespace";
  const key = policyName(namespace, name);
  const policy: Policy = { key, name, namespace, scope, action, rules, dryRun: source.dryRun };
  return { namespace, policy, selector: source.selector, problems: problemsOf(source, findings) };
}

const EVERYTHING: readonly PolicyRule[] = [{ clauses: [] }];

/** The action and rules that deny at least what the user meant to be denied. */
function enforced(source: AuthorizationPolicy, findings: Finding[]): Pick<Policy, "action" | "rules"> {
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
  return { action, rules: compileRules(rules, action, source.id.namespace, findings) };
}

const IN_DOUBT = "until this is fixed, the policy allows nobody, and denies to all that it may bind";

const error = (field: string, message: string): Finding => ({ field, message, severity: "error" });

const PROBLEMS_MAX = 20;

function problemsOf({ id }: AuthorizationPolicy, findings: readonly Finding[]): readonly Problem[] {
  const object = `AuthorizationPolicy ${id.namespace}/${id.name}`;
  return findings.slice(0, PROBLEMS_MAX).map(({ field, message, severity }) => ({
    object,
    origin: id.origin,
    field,
    message: `${field} ${message}.`,
    severity,
  }));
}
