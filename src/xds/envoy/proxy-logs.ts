import type { ObjectKey } from "../../names.ts";
import type { Change, Collection } from "../../registry/collection/collection.ts";
import type { Graph } from "../../registry/collection/graph.ts";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { gatewayOf } from "../../registry/model/proxy-service.ts";
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  PROXY_TYPES,
  type Resource,
  type ResourceChange,
  ROUTE_TYPE,
  SECRET_TYPE,
  type TypeUrl,
} from "../resource.ts";
import { ResourceLog } from "../resource-log.ts";
import type { ProxyResources } from "./proxy-collections.ts";

/** What the proxies of one gateway subscribe to. */
export type GatewayLogs = ReadonlyMap<TypeUrl, ResourceLog>;

export interface ProxyLogs {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  /** Undefined for a gateway that is not there. */
  of(gateway: ObjectKey): GatewayLogs | undefined;
}

/**
 * A log for each gateway and type, each resource encoded once for all proxies of its gateway. They take all of one
 * settled state before `onChanged` is called, with the gateways that have other resources, or are others themselves;
 * one that is gone has no logs any more. Call it while the graph is built, before its first flush.
 */
export function proxyLogs(
  graph: Graph,
  gateways: Collection<ObjectKey, ProxyGateway>,
  resources: ProxyResources,
  onChanged: (gateways: ReadonlySet<ObjectKey>) => void,
): ProxyLogs {
  const logs = new Map<ObjectKey, GatewayLogs>();
  const collections = byType(resources);
  graph.onSettled(() => {
    const touched = new Set<ObjectKey>();
    for (const { key, after } of gateways.batch) {
      touched.add(key);
      if (after === undefined) logs.delete(key);
      else if (!logs.has(key)) logs.set(key, emptyLogs());
    }
    for (const [typeUrl, { batch }] of collections)
      for (const [gateway, changes] of byGateway(batch)) {
        touched.add(gateway);
        logs.get(gateway)?.get(typeUrl)!.append(changes);
      }
    if (touched.size > 0) onChanged(touched);
  });
  return { gateways, of: (gateway) => logs.get(gateway) };
}

const byType = (resources: ProxyResources): ReadonlyMap<TypeUrl, Collection<string, Resource>> =>
  new Map([
    [CLUSTER_TYPE, resources.clusters],
    [ENDPOINT_TYPE, resources.endpoints],
    [SECRET_TYPE, resources.secrets],
    [LISTENER_TYPE, resources.listeners],
    [ROUTE_TYPE, resources.routes],
  ]);

const emptyLogs = (): GatewayLogs => new Map(PROXY_TYPES.map((typeUrl) => [typeUrl, new ResourceLog()]));

function byGateway(batch: readonly Change<string, Resource>[]): ReadonlyMap<ObjectKey, ResourceChange[]> {
  const groups = new Map<ObjectKey, ResourceChange[]>();
  for (const { key, before, after } of batch) {
    const gateway = gatewayOf(key);
    const change = { name: (after ?? before)!.name, after };
    const group = groups.get(gateway);
    if (group === undefined) groups.set(gateway, [change]);
    else group.push(change);
  }
  return groups;
}
