import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { PolicyVerdict, PolicyVerdicts } from "./gateways/policy-verdicts.ts";
import type { Problem } from "./model/problem.ts";
import { union } from "./union.ts";

/** Policies for waypoints that none, or not all that they name, enforce, or that some callers do not meet: one each. */
export function policyTargetProblems(graph: Graph, verdicts: PolicyVerdicts): Collection<string, Problem> {
  const problemsOf = (kind: string, from: Collection<ObjectKey, PolicyVerdict>) =>
    derive(graph, {
      name: `${kind}-target-problems`,
      from,
      reads: {},
      distinct: true,
      to: ({ id, concern }, _reads, key): readonly (readonly [string, Problem])[] => {
        if (concern === undefined) return [];
        const object = `${kind} ${id.namespace}/${id.name}`;
        const problem: Problem = { object, origin: id.origin, field: "spec.targetRefs", ...concern };
        return [[`policy-targets ${kind} ${key}`, problem]];
      },
    });
  return union(graph, "policy-target-problems", [
    problemsOf("AuthorizationPolicy", verdicts.authorization),
    problemsOf("RequestAuthentication", verdicts.authentication),
  ]);
}
