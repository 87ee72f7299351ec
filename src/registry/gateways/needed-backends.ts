import type { ObjectKey, ServiceName, WorkloadUid } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { GatewayAddress } from "../model/address.ts";
import type { HttpRule } from "../model/http-rule.ts";
import type { BackendName } from "../model/proxy-backend.ts";
import { proxyKey, type ProxyService } from "../model/proxy-service.ts";

/** A backend that the proxies of a gateway send to; key is `proxyKey(gateway, name)`. */
export interface NeededBackend {
  readonly gateway: ObjectKey;
  readonly name: BackendName;
  readonly service: ServiceName;
  readonly port: number;
  readonly target: BackendTarget;
}

export type BackendTarget =
  /** A waypoint's: endpoints of the service, wherever they are. */
  | { readonly kind: "endpoints" }
  /** A waypoint's: one workload, which was called by its own address. */
  | { readonly kind: "workload"; readonly uid: WorkloadUid }
  /** An east-west gateway's: the ztunnels of its endpoints in the local cluster. */
  | { readonly kind: "ztunnels" }
  /** An east-west gateway's: the proxies of this waypoint. */
  | { readonly kind: "waypoint"; readonly waypoint: ObjectKey; readonly address: GatewayAddress };

/** All that the services of waypoints, and their routes, lead to. Several may lead to one. */
export function neededByWaypoints(
  graph: Graph,
  services: Collection<string, ProxyService>,
): Collection<string, NeededBackend> {
  return derive(graph, {
    name: "backends-of-waypoints",
    from: services,
    reads: {},
    to: ({ gateway, ports }) => {
      const names = new Set(ports.flatMap(({ backend, rules }) => [backend, ...rules.flatMap(backendsOf)]));
      return [...names].map((name) => [proxyKey(gateway, name), neededBackend(gateway, name)] as const);
    },
  });
}

function backendsOf({ action, mirrors }: HttpRule): readonly BackendName[] {
  const weighted = action.kind === "forward" ? action.backends : [];
  const forwarded = weighted.flatMap(({ backend }) => (backend === "refused" ? [] : [backend]));
  return [...forwarded, ...mirrors.map(({ backend }) => backend)];
}

function neededBackend(gateway: ObjectKey, name: BackendName): NeededBackend {
  const at = name.lastIndexOf(":");
  const service = name.slice(0, at) as ServiceName;
  return { gateway, name, service, port: Number(name.slice(at + 1)), target: { kind: "endpoints" } };
}
