import { objectKey, type ObjectKey, type ServiceName } from "../../names.ts";
import type { PolicyTarget } from "../kube/authorization-policy.ts";
import type { ObjectId } from "../kube/metadata.ts";
import type { Problem } from "../model/problem.ts";

/** What a policy for waypoints says of whom it is for. */
export interface Targeted {
  readonly id: ObjectId;
  readonly targets: readonly PolicyTarget[];
  readonly targetsLost: boolean;
}

/** A policy as waypoints get it. */
export interface BoundPolicy<P> {
  /** As `bindingsOf` says. */
  readonly bindings: readonly string[];
  /** Undefined if it does nothing. */
  readonly policy: P | undefined;
  /** What of it waypoints cannot do. */
  readonly problems: readonly Problem[];
}

const GATEWAY_API = "gateway.networking.k8s.io";

/**
 * What a policy binds, as `Service shop/cart`, `ServiceEntry shop/api`, `Gateway east/shop/waypoint` or
 * `GatewayClass istio-waypoint`; `Namespace shop` or `mesh` if nobody can read which of these it names. All are of the
 * policy's own namespace: somebody else's is not its to guard.
 */
export function bindingsOf({ id, targets, targetsLost }: Targeted, rootNamespace: string): readonly string[] {
  const { cluster, namespace } = id;
  const isRoot = namespace === rootNamespace;
  const own = targets.flatMap(({ group, kind, name, namespace: elsewhere }): readonly string[] => {
    if (elsewhere !== "" && elsewhere !== namespace) return [];
    switch (`${group}/${kind}`) {
      case `${GATEWAY_API}/GatewayClass`:
        return isRoot ? [`GatewayClass ${name}`] : [];
      case `${GATEWAY_API}/Gateway`:
        return [`Gateway ${objectKey(cluster, namespace, name)}`];
      case "/Service":
      case "core/Service":
        return [`Service ${namespace}/${name}`];
      case "networking.istio.io/ServiceEntry":
        return [`ServiceEntry ${namespace}/${name}`];
      default:
        return [];
    }
  });
  const lost = targetsLost ? [isRoot ? "mesh" : `Namespace ${namespace}`] : [];
  return [...new Set([...own, ...lost])];
}

/** By which of these a policy reaches one service at one gateway. */
export function bindingsAt(
  gateway: ObjectKey,
  service: ServiceName,
  /** Which object has the service's name, as `Service east/shop/cart`; undefined if none has. */
  owner: string | undefined,
  className: string | undefined,
): readonly string[] {
  const home = service.slice(0, service.indexOf("/"));
  const [, gatewayHome = ""] = gateway.split("/");
  return [
    ...(owner === undefined ? [] : [ownersBinding(owner)]),
    `Gateway ${gateway}`,
    ...(className === undefined ? [] : [`GatewayClass ${className}`]),
    ...new Set([`Namespace ${home}`, `Namespace ${gatewayHome}`]),
    "mesh",
  ];
}

/**
 * Services of one name and namespace are one in all clusters, so that a policy for a Service holds for all its names,
 * also where only other clusters have it.
 */
function ownersBinding(owner: string): string {
  const [kind = "", where = ""] = owner.split(" ");
  const [name, namespace] = where.split("/").reverse();
  return `${kind === "GlobalService" ? "Service" : kind} ${namespace}/${name}`;
}
