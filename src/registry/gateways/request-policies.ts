import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { enforcedRules, error, EVERYTHING, problemsOf, type Enforced } from "../enforced-rules.ts";
import type { AuthorizationPolicy } from "../kube/authorization-policy.ts";
import type { Objects } from "../kube/objects.ts";
import type { RequestPolicy, RequestRule } from "../model/proxy-policies.ts";
import type { RegistryOptions } from "../options.ts";
import type { Finding, ReadRule } from "../policy-rules.ts";
import { bindingsOf, type BoundPolicy } from "./policy-bindings.ts";
import { conditionOf, L7_VOCABULARY, operationMatch, sourceMatch, type WrittenMatch } from "./request-vocabulary.ts";

/** Policies of the local cluster that are for waypoints. What cannot be evaluated denies more, never less. */
export function requestPolicies(
  graph: Graph,
  objects: Objects,
  { localCluster, mesh }: Pick<RegistryOptions, "localCluster" | "mesh">,
): Collection<ObjectKey, BoundPolicy<RequestPolicy>> {
  // What nobody can read may be for waypoints: ztunnels close for it, and so do they.
  const isOurs = ({ id, targeted, targetsLost }: AuthorizationPolicy): boolean =>
    (targeted || targetsLost) && id.cluster === localCluster;
  return derive(graph, {
    name: "request-policies",
    from: filter(graph, "policies-for-waypoints", objects.authorizationPolicies, isOurs),
    reads: {},
    distinct: true,
    to: (policy, _reads, key) => [[key, compile(policy, mesh.rootNamespace)]],
  });
}

function compile(source: AuthorizationPolicy, rootNamespace: string): BoundPolicy<RequestPolicy> {
  const findings: Finding[] = [];
  const enforced = enforcedAt(source, findings);
  const { namespace, name } = source.id;
  return {
    bindings: bindingsOf(source, rootNamespace),
    policy: enforced && {
      name: `${namespace}/${name}`,
      action: enforced.action,
      dryRun: source.dryRun,
      rules: enforced.rules.map(requestRule),
    },
    // Of others what ztunnels make of them is said.
    problems: source.targeted ? problemsOf("AuthorizationPolicy", source, findings) : [],
  };
}

/** More rules, or more values in them, than this nobody wrote by hand, and proxies would not take. */
const RULES_MAX = 10_000;
const VALUES_MAX = 100_000;

function enforcedAt(source: AuthorizationPolicy, findings: Finding[]): Enforced<WrittenMatch> | undefined {
  if (source.action === "AUDIT") {
    findings.push({ ...error("spec.action", AUDIT), severity: "warning" });
    return undefined;
  }
  const size = sizeOf(source.rules ?? []);
  if (size !== undefined) {
    findings.push(error("spec.rules", `has ${size}; split the policy. Until then it denies all that it binds`));
    return { action: "deny", rules: EVERYTHING };
  }
  if (source.action !== "CUSTOM") return enforcedRules(source, L7_VOCABULARY, findings);
  findings.push(error("spec.action", CUSTOM));
  return enforcedRules({ ...source, action: "DENY" }, L7_VOCABULARY, findings);
}

const AUDIT =
  "is AUDIT, which waypoints here cannot do: the policy neither allows nor denies, and nothing is logged for it";
const CUSTOM =
  "is CUSTOM, and there is no external authorizer that waypoints here could ask: all that the rules match is denied, " +
  "until the policy is one with ALLOW or DENY";

/** What is too much; undefined if it is not. */
function sizeOf(rules: readonly unknown[]): string | undefined {
  if (rules.length > RULES_MAX) return `${rules.length} rules, and ${RULES_MAX} are read at most`;
  return leavesIn(rules, VALUES_MAX) > VALUES_MAX ? `more than ${VALUES_MAX} values` : undefined;
}

/** How many values it holds that hold none; stops soon after `max`. */
function leavesIn(value: unknown, max: number): number {
  if (typeof value !== "object" || value === null) return 1;
  let sum = 0;
  for (const inner of Object.values(value)) {
    sum += leavesIn(inner, max - sum);
    if (sum > max) return sum;
  }
  return Math.max(1, sum);
}

const requestRule = ({ from, to, when }: ReadRule<WrittenMatch>): RequestRule => ({
  from: from.map(sourceMatch),
  to: to.map(operationMatch),
  when: when.map(({ key, match }) => conditionOf(key, match)),
});
