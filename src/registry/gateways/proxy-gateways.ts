import { isIPv6 } from "node:net";
import { objectKey, podUid, type ClusterId, type NetworkId, type ObjectKey, type WorkloadUid } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import { commonLocality } from "../endpoint-tallies.ts";
import type { KubeGateway } from "../kube/gateway.ts";
import { deployedKind } from "../kube/known-classes.ts";
import type { GatewayClass } from "../kube/namespace.ts";
import type { Pod } from "../kube/pod.ts";
import type { Locality } from "../model/address.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { Workload } from "../model/workload.ts";
import { HBONE_PORT } from "../network-gateways.ts";
import { DEFAULT_NETWORK } from "../workload-shape.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

/** The pods of each Gateway, by its key. */
export const podsOfGateways = (graph: Graph, { objects }: Pick<GatewayInputs, "objects">): Index<ObjectKey, Pod> =>
  new Index(graph, objects.pods, "gateway", ({ cluster, namespace, placement }) => {
    const name = placement.labels.map.get(GATEWAY_NAME);
    return name === undefined ? [] : [objectKey(cluster, namespace, name)];
  });

/**
 * Gateways of the local cluster whose proxies we program; also those that have no address yet, as their proxies must be
 * told something before they are ready.
 */
export function proxyGateways(
  graph: Graph,
  { objects, paths, workloads, options }: GatewayInputs,
  pods: Index<ObjectKey, Pod>,
): Collection<ObjectKey, ProxyGateway> {
  const { localCluster, mesh } = options;
  return derive(graph, {
    name: "proxy-gateways",
    distinct: true,
    from: filter(graph, "local-gateways", objects.gateways, ({ id }) => id.cluster === localCluster),
    reads: { classes: objects.gatewayClasses, networks: paths.networks, pods, workloads },
    to: (gateway, reads, key): readonly (readonly [ObjectKey, ProxyGateway])[] => {
      const kind = kindOf(gateway, reads);
      if (kind === undefined) return [];
      const { cluster, namespace, name } = gateway.id;
      const proxied: ProxyGateway = {
        key,
        cluster,
        namespace,
        name,
        kind,
        serviceAccount: gateway.serviceAccount || name,
        trustDomain: mesh.trustDomain,
        network: reads.networks.get(cluster) ?? DEFAULT_NETWORK,
        locality: localityOf(key, reads),
        ...(reads.pods.get(key).some(({ ips }) => ips.some(isIPv6)) && { ipv6: true }),
        hbonePort: HBONE_PORT,
        controlPlanePort: kind === "east-west" ? gateway.exposedIstiod : undefined,
      };
      return [[key, proxied]];
    },
  });
}

interface Reads {
  readonly classes: { get(key: ObjectKey): GatewayClass | undefined };
  readonly networks: { get(cluster: ClusterId): NetworkId | undefined };
  readonly pods: { get(gateway: ObjectKey): readonly Pod[] };
  readonly workloads: { get(uid: WorkloadUid): Workload | undefined };
}

/** Undefined if it has no proxies, or they are not ours: what is programmed is what is deployed. */
function kindOf({ id, className }: KubeGateway, { classes }: Reads): ProxyGateway["kind"] | undefined {
  const kind = deployedKind(className, classes.get(objectKey(id.cluster, "", className)));
  return kind === "remote" ? undefined : kind;
}

/** What its ready pods share; unknown without any. */
function localityOf(gateway: ObjectKey, { pods, workloads }: Reads): Locality | undefined {
  const known = pods
    .get(gateway)
    .flatMap(({ cluster, namespace, name }) => workloads.get(podUid(cluster, namespace, name)) ?? []);
  return commonLocality(known.filter(({ healthy }) => healthy).map(({ locality }) => locality));
}
