import { objectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { KubeGateway } from "../kube/gateway.ts";
import { deployedKind } from "../kube/known-classes.ts";
import type { Problem } from "../model/problem.ts";
import { listenerVerdicts } from "../wanted/gateways/listener-verdicts.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";

/** Listeners of local Gateways of ours that serve nobody: their status says so, too, where somebody writes one. */
export function listenerProblems(
  graph: Graph,
  { objects, options }: Pick<GatewayInputs, "objects" | "options">,
): Collection<string, Problem> {
  return derive(graph, {
    name: "listener-problems",
    distinct: true,
    from: objects.gateways,
    reads: { classes: objects.gatewayClasses },
    to: (gateway, { classes }, key) => {
      const { cluster } = gateway.id;
      if (cluster !== options.localCluster) return [];
      const kind = deployedKind(gateway.className, classes.get(objectKey(cluster, "", gateway.className)));
      if (kind === undefined || kind === "remote") return [];
      const verdicts = listenerVerdicts(gateway, kind);
      const refused = verdicts.flatMap(({ name, refused }, at): (readonly [string, string])[] =>
        refused === undefined ? [] : [[`spec.listeners[${at}]`, `Listener ${name} serves nobody: ${refused.message}`]],
      );
      // Of an east-west gateway without HBONE its peers are told nothing, which is a problem of its own.
      const deaf = kind === "waypoint" && !verdicts.some(({ serves }) => serves === "hbone");
      const all = deaf ? [...refused, ["spec.listeners", NO_HBONE] as const] : refused;
      return all.map(([field, message]) => [`${key}#${field}`, problemOf(gateway, field, message)] as const);
    },
  });
}

const NO_HBONE =
  "No listener takes HBONE, so what is sent to this waypoint is refused; add {name: mesh, port: 15008, protocol: HBONE}.";

const problemOf = ({ id }: KubeGateway, field: string, message: string): Problem => ({
  object: `Gateway ${id.namespace}/${id.name}`,
  origin: id.origin,
  field,
  message,
  severity: "warning",
});
