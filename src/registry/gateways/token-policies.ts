import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { error, problemsOf } from "../enforced-rules.ts";
import type { Objects } from "../kube/objects.ts";
import type { RequestAuthentication } from "../kube/request-authentication.ts";
import type { TokenPolicy } from "../model/proxy-policies.ts";
import type { RegistryOptions } from "../options.ts";
import type { Finding } from "../policy-rules.ts";
import { bindingsOf, type BoundPolicy } from "./policy-bindings.ts";

/** Whose tokens waypoints check. */
export function tokenPolicies(
  graph: Graph,
  objects: Objects,
  { localCluster, mesh }: Pick<RegistryOptions, "localCluster" | "mesh">,
): Collection<ObjectKey, BoundPolicy<TokenPolicy>> {
  return derive(graph, {
    name: "token-policies",
    from: objects.requestAuthentications,
    reads: {},
    distinct: true,
    to: (source, _reads, key) =>
      source.id.cluster === localCluster ? [[key, compile(source, mesh.rootNamespace)]] : [],
  });
}

export const WITHOUT_TARGET =
  "is missing: ztunnels read no tokens, and a waypoint takes only policies that name it or a Service of its own, so the policy has no effect; also a selector has none";

function compile(source: RequestAuthentication, rootNamespace: string): BoundPolicy<TokenPolicy> {
  const { id, rules, errors, targeted } = source;
  const findings = [
    ...errors.map(({ field, message }) => error(field, message)),
    ...(targeted ? [] : [warning("spec.targetRefs", WITHOUT_TARGET)]),
    ...(rules.length > 0 ? [] : [warning("spec.jwtRules", "is empty, so no token is checked")]),
  ];
  return {
    bindings: bindingsOf(source, rootNamespace),
    policy: targeted && rules.length > 0 ? { name: `${id.namespace}/${id.name}`, rules } : undefined,
    problems: problemsOf("RequestAuthentication", source, findings),
  };
}

const warning = (field: string, message: string): Finding => ({ field, message, severity: "warning" });
