import type { WantedObject } from "../../../kube/wanted-object.ts";
import { objectKey, type ClusterId, type ObjectKey } from "../../../names.ts";
import type { Collection } from "../../collection/collection.ts";
import { derive } from "../../collection/derive.ts";
import { filter } from "../../collection/filter.ts";
import type { Graph } from "../../collection/graph.ts";
import { deployedKind } from "../../kube/known-classes.ts";
import { union } from "../../union.ts";
import type { GatewayInputs, GatewaySettings } from "./gateway-inputs.ts";
import type { GatewayClass } from "../../kube/namespace.ts";
import type { KubeGateway } from "../../kube/gateway.ts";
import type { ProxyKind } from "./listener-verdicts.ts";
import { parametersKey, planOf, type GatewayPlan, type RefusedPlan } from "./gateway-plan.ts";
import { gatewayStatuses } from "./gateway-statuses.ts";
import { wantedClasses } from "./wanted-classes.ts";
import { wantedParts } from "./wanted-parts.ts";

export interface WantedOfGateways {
  /** Of Gateways that name no revision, and the classes: each control plane may write them, and one does. */
  readonly anybodys: Collection<string, WantedObject>;
  /** Of Gateways that name ours. */
  readonly ours: Collection<string, WantedObject>;
}

/**
 * All that is to be written to the local cluster for its waypoints and east-west gateways, as `Kind namespace/name`.
 * Before the graph's first flush.
 */
export function wantedOfGateways(graph: Graph, inputs: GatewayInputs, settings: GatewaySettings): WantedOfGateways {
  const of = (name: string, revision: string | undefined): readonly Collection<string, WantedObject>[] => {
    const plans = gatewayPlans(graph, name, inputs, revision);
    return [wantedParts(graph, name, plans, inputs, settings), gatewayStatuses(graph, name, plans, inputs)];
  };
  const classes = settings.makesClasses ? [wantedClasses(graph, inputs)] : [];
  const anybodys = [...classes, ...of("gateway", undefined)];
  return {
    anybodys: union(graph, "wanted-of-gateways", anybodys),
    ours: union(graph, "wanted-of-our-gateways", of("our-gateway", settings.revision)),
  };
}

/** The ConfigMaps that Gateways of ours name. */
export function parameterRefs(graph: Graph, { objects, localCluster }: RefInputs): Collection<ObjectKey, ParameterRef> {
  return derive(graph, {
    name: "gateway-parameter-refs",
    from: filter(graph, "local-gateways-with-parameters", objects.gateways, isDeployed(localCluster)),
    reads: { classes: objects.gatewayClasses },
    to: (gateway, { classes }): readonly (readonly [ObjectKey, ParameterRef])[] => {
      const key = parametersKey(gateway);
      if (key === undefined || proxyKind(gateway, classes) === undefined) return [];
      return [[key, { namespace: gateway.id.namespace, name: gateway.deployment.parametersRef!.name }]];
    },
  });
}

export interface ParameterRef {
  readonly namespace: string;
  readonly name: string;
}

type RefInputs = Pick<GatewayInputs, "objects" | "localCluster">;

/** In an API server, and there to stay. */
const isDeployed =
  (localCluster: ClusterId) =>
  ({ id, uid, deployment }: KubeGateway): boolean =>
    id.cluster === localCluster && uid !== "" && !deployment.deleting;

function proxyKind(
  { id, className }: KubeGateway,
  classes: { get(key: ObjectKey): GatewayClass | undefined },
): ProxyKind | undefined {
  const kind = deployedKind(className, classes.get(objectKey(id.cluster, "", className)));
  return kind === "remote" ? undefined : kind;
}

function gatewayPlans(
  graph: Graph,
  name: string,
  { objects, parameters, localCluster }: GatewayInputs,
  revision: string | undefined,
): Collection<ObjectKey, GatewayPlan | RefusedPlan> {
  const isOurs = isDeployed(localCluster);
  return derive(graph, {
    name: `${name}-plans`,
    distinct: true,
    from: filter(
      graph,
      `${name}-gateways`,
      objects.gateways,
      (gateway) => isOurs(gateway) && gateway.deployment.revision === revision,
    ),
    reads: { classes: objects.gatewayClasses, parameters },
    to: (gateway, reads, key) => {
      const kind = proxyKind(gateway, reads.classes);
      if (kind === undefined) return [];
      const from = parametersKey(gateway);
      const said = from && reads.parameters.get(from);
      // Until it is known what they say, nothing is written.
      return from !== undefined && said === undefined ? [] : [[key, planOf(gateway, kind, said)] as const];
    },
  });
}
