import { policyName, type ObjectKey, type PolicyName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { AuthorizationPolicy } from "./kube/authorization-policy.ts";
import type { Selector } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import type { Policy, PolicyClause, PolicyMatch, PolicyRule } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { enforcedRules, error, problemsOf } from "./enforced-rules.ts";
import { L4_VOCABULARY } from "./policy-attributes.ts";
import type { Finding, ReadRule } from "./policy-rules.ts";

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
    problems: problemsOf("AuthorizationPolicy", source, findings),
  });
  if (source.targeted) return none([]);
  if (source.dryRun && !dryRunPolicies) return none([]);
  if (source.action === "AUDIT" || source.action === "CUSTOM")
    return none([error("spec.action", `is ${source.action}, which ztunnel cannot do; the policy has no effect`)]);
  const findings: Finding[] = [];
  const { action, rules } = enforcedRules(source, L4_VOCABULARY, findings);
  const policy: Policy = {
    ...{ key: policyName(namespace, name), name, namespace, action, dryRun: source.dryRun },
    scope: source.selector ? "selector" : namespace === mesh.rootNamespace ? "global" : "namespace",
    rules: rules.map(l4Rule),
  };
  return {
    ...{ namespace, policy, selector: source.selector },
    problems: problemsOf("AuthorizationPolicy", source, findings),
  };
}

/** Its conditions as clauses; what always holds needs none. */
function l4Rule({ from, to, when }: ReadRule<PolicyMatch>): PolicyRule {
  const clauses = [from, to, ...when.map(({ match }) => [match])].map((matches): PolicyClause => ({ matches }));
  return { clauses: clauses.filter(({ matches }) => matches.length > 0) };
}
