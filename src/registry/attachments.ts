import { objectKey, serviceName, type NetworkId, type ObjectKey, type PolicyName, type ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import type { Drain, DrainKey } from "./drains.ts";
import type { CompiledPolicy } from "./authorization-policies.ts";
import { selects, type Placement, type Selector } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import type { KubeService, ServicePort } from "./kube/service.ts";
import { useWaypointOf } from "./kube/traffic-labels.ts";
import { attachedMutualTls, type MutualTlsScopes } from "./peer-authentications.ts";
import type { PortRules } from "./ports.ts";
import type { GatewayAddress } from "./model/address.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { isShadowed } from "./global-members.ts";
import type { GlobalService } from "./global-services.ts";
import { endpointNames, type EndpointNameReads } from "./service-names.ts";
import type { SharedService } from "./shared-services.ts";
import { waypointFor, type OfferedWaypoint } from "./waypoints.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** All that follows from where a workload is and how it is labelled. */
export interface Attachment {
  readonly network: NetworkId;
  readonly networkGateway: GatewayAddress | undefined;
  /** True if clients of the local cluster can reach it without a network gateway. */
  readonly onLocalNetwork: boolean;
  readonly trustDomain: string;
  /** Sorted by name. */
  readonly services: readonly SelectedService[];
  /** In the order of contract ztunnel.md 5.2. */
  readonly policies: readonly PolicyName[];
  readonly waypoint: GatewayAddress | undefined;
  /** The waypoint that pods so labelled are instances of. */
  readonly instanceOf: OfferedWaypoint | undefined;
}

export interface SelectedService {
  readonly service: ServiceName;
  readonly rules: PortRules;
  readonly ports: readonly ServicePort[];
}

export interface AttachmentInputs {
  readonly placements: Collection<string, Placement>;
  readonly paths: NetworkPaths;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly policies: Collection<ObjectKey, CompiledPolicy>;
  readonly mutualTls: MutualTlsScopes;
  /** Which object a service's name belongs to. */
  readonly owners: Collection<ServiceName, string>;
  readonly globals: Collection<ObjectKey, GlobalService>;
  readonly shared: Collection<ObjectKey, SharedService>;
  readonly drains: Collection<DrainKey, Drain>;
}

type Selecting = { readonly selector: Selector | undefined };

/** Selectors are found by one of their pairs, so that a workload is not compared with every service there is. */
const buckets = (where: string, { selector }: Selecting): readonly string[] => {
  const pair = selector?.pairs[0];
  return pair ? [`${where}/${pair[0]}=${pair[1]}`] : [];
};

export function attachments(
  graph: Graph,
  objects: Objects,
  inputs: AttachmentInputs,
  options: RegistryOptions,
): Collection<string, Attachment> {
  const { localCluster, mesh, multiNetwork } = options;
  const home = (id: KubeService["id"]): string => `${id.cluster}/${id.namespace}`;
  return derive(graph, {
    name: "attachments",
    from: inputs.placements,
    reads: {
      namespaces: objects.namespaces,
      networks: inputs.paths.networks,
      gateways: inputs.paths.gatewayOf,
      waypoints: inputs.waypoints,
      owners: inputs.owners,
      globals: inputs.globals,
      shared: inputs.shared,
      drains: inputs.drains,
      standings: inputs.paths.standings,
      trustDomains: inputs.paths.trustDomains,
      services: new Index(graph, objects.services, "selector", (service) => buckets(home(service.id), service)),
      entries: new Index(graph, objects.serviceEntries, "selector", (entry) => buckets(home(entry.id), entry)),
      policies: new Index(graph, inputs.policies, "selector", (policy) => buckets(policy.namespace, policy)),
      mutualTls: new Index(graph, objects.peerAuthentications, "selector", (mode) =>
        mode.binds ? buckets(home(mode.id), mode) : [],
      ),
      mutualTlsScopes: inputs.mutualTls,
    },
    to: (placement, reads) => {
      const { cluster, namespace, labels } = placement;
      const network = reads.networks.get(cluster) ?? DEFAULT_NETWORK;
      const own = cluster === localCluster;
      // The endpoints of a cluster that is a peer, too, are those that the peer shares.
      const shadowed = !own && isShadowed(reads.standings.get(cluster));
      const found = <V extends Selecting>(index: { get(bucket: string): readonly V[] }, where: string): V[] =>
        [...labels.map].flatMap(([key, value]) =>
          index.get(`${where}/${key}=${value}`).filter(({ selector }) => selector && selects(selector, labels)),
        );
      const policyHomes = own ? new Set([namespace, mesh.rootNamespace]) : [];
      const policies = [...policyHomes].flatMap((where) =>
        found(reads.policies, where).flatMap(({ policy }) => policy?.key ?? []),
      );
      const modes = own ? found(reads.mutualTls, `${cluster}/${namespace}`) : [];
      const user = { cluster, namespace, use: useWaypointOf(labels, namespace), kind: "workload" } as const;
      const gatewayName = labels.map.get("gateway.networking.k8s.io/gateway-name");
      const attachment: Attachment = {
        network,
        networkGateway: reads.gateways.get(network),
        onLocalNetwork:
          own || (multiNetwork && !shadowed && network === (reads.networks.get(localCluster) ?? DEFAULT_NETWORK)),
        trustDomain: (own ? undefined : reads.trustDomains.get(network)) ?? mesh.trustDomain,
        services: [
          ...found(reads.services, `${cluster}/${namespace}`).flatMap((service) =>
            selectedService(service, reads, options),
          ),
          ...(own ? found(reads.entries, `${cluster}/${namespace}`) : []).flatMap((entry) =>
            selectedHosts(entry, reads.owners),
          ),
        ].sort((a, b) => (a.service < b.service ? -1 : 1)),
        policies: [
          ...policies.sort(),
          ...(own ? attachedMutualTls(namespace, modes, reads.mutualTlsScopes, mesh) : []),
        ],
        waypoint: waypointFor(user, reads)?.address,
        instanceOf: gatewayName ? reads.waypoints.get(objectKey(cluster, namespace, gatewayName)) : undefined,
      };
      return [[placement.id, attachment]];
    },
  });
}

function selectedService(
  service: KubeService,
  reads: EndpointNameReads,
  options: RegistryOptions,
): readonly SelectedService[] {
  if (service.external) return [];
  return endpointNames(service, reads, options).map((name) => ({
    service: name,
    rules: "service",
    ports: service.ports,
  }));
}

/** Only the hosts that are this entry's, and not another object's. */
export function selectedHosts(
  entry: ServiceEntry,
  owners: { get(name: ServiceName): string | undefined },
): readonly SelectedService[] {
  return entry.hosts
    .map((host) => serviceName(entry.id.namespace, host))
    .filter((name) => owners.get(name) === serviceEntryOwner(entry.id))
    .map((service) => ({ service, rules: "service-entry", ports: entry.ports }));
}

/** How `owners` names a ServiceEntry. */
export const serviceEntryOwner = ({ cluster, namespace, name }: ServiceEntry["id"]): string =>
  `ServiceEntry ${objectKey(cluster, namespace, name)}`;
