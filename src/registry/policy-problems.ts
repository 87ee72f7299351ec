import type { ObjectKey } from "../names.ts";
import type { CompiledPolicy } from "./authorization-policies.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { PolicyInputs } from "./gateways/proxy-policies.ts";
import type { Problem } from "./model/problem.ts";
import { union } from "./union.ts";

export interface PolicyProblemInputs extends PolicyInputs {
  readonly compiled: Collection<ObjectKey, CompiledPolicy>;
}

/** What of policies nobody can enforce as it is written. */
export function policyProblems(
  graph: Graph,
  { compiled, authorization, authentication }: PolicyProblemInputs,
): Collection<string, Problem> {
  const problemsOf = (kind: string, from: Collection<ObjectKey, { readonly problems: readonly Problem[] }>) =>
    derive(graph, {
      name: `${kind}-problems`,
      from,
      reads: {},
      to: ({ problems }, _reads, key) => problems.map((problem, at) => [`${kind} ${key}#${at}`, problem] as const),
    });
  return union(graph, "policy-problems", [
    problemsOf("policy", compiled),
    problemsOf("request-policy", authorization),
    problemsOf("token-policy", authentication),
  ]);
}
