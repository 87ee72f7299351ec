import { serviceName, objectKey, type ObjectKey, type ServiceName } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { Drain, DrainKey } from "./drains.ts";
import type { EndpointCount } from "./export-counts.ts";
import type { Objects } from "./kube/objects.ts";
import type { SegmentAlias } from "./kube/segment.ts";
import type { KubeService } from "./kube/service.ts";
import { DISTRIBUTION_NAMES } from "./kube/traffic-labels.ts";
import type { FederatedPort, FederatedService } from "./model/federated-service.ts";
import type { RegistryOptions } from "./options.ts";
import { servicePorts } from "./ports.ts";
import { protocolHint } from "./protocol-hint.ts";
import { NO_SEGMENT, type Segments } from "./segments.ts";
import { kubeHostname } from "./service-offers.ts";
import type { SharedService } from "./shared-services.ts";
import { waypointFor, type OfferedWaypoint, type WaypointReads } from "./waypoints.ts";

export interface ExportedServiceInputs {
  /** Of the local cluster only. */
  readonly shared: Collection<ObjectKey, SharedService>;
  readonly counts: Collection<ServiceName, EndpointCount>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly segments: Segments;
  readonly drains: Collection<DrainKey, Drain>;
}

/** What the local cluster says to its peers of each service that it shares; one without endpoints has none of them. */
export function exportedServices(
  graph: Graph,
  { namespaces }: Objects,
  { shared, counts, waypoints, segments, drains }: ExportedServiceInputs,
  options: RegistryOptions,
): Collection<ObjectKey, FederatedService> {
  const { mesh, localCluster } = options;
  return derive(graph, {
    name: "exported-services",
    distinct: true,
    from: shared,
    reads: { namespaces, counts, waypoints, segments: segments.ofCluster, drains },
    to: (service, reads, key) => {
      const { kube, scope, segment, takeover, waypointPolicy } = service;
      const { cluster, namespace, name, createdMs } = kube.id;
      const counted = reads.counts.get(localName(kube, options)) ?? NOTHING;
      const drain = kube.drain && reads.drains.get(`Service ${key}`);
      const count = isLeft(drain) ? { ...counted, ready: 0, localities: [] } : counted;
      const home = reads.namespaces.get(objectKey(cluster, "", namespace));
      const { aliases } = reads.segments.get(localCluster) ?? NO_SEGMENT;
      const distribution = kube.distribution ?? home?.distribution;
      const exported: FederatedService = {
        cluster,
        namespace,
        name,
        scope,
        segment,
        ports: portsOf(kube, count),
        ready: count.ready,
        total: count.total,
        identities: count.identities,
        localities: count.localities,
        waypoint: waypointOf(kube, reads, mesh.trustDomain),
        waypointPolicy,
        takeover,
        distribution: distribution && DISTRIBUTION_NAMES[distribution],
        labels: namedBy(aliases, "label", kube.labels.map),
        annotations: namedBy(aliases, "annotation", kube.annotations),
        createdMs,
      };
      return [[key, exported] as const];
    },
  });
}

/** Nobody is to call it: peers hear that none of it is ready, and keep what they know of it. */
export const isLeft = (drain: Drain | undefined): boolean => drain?.state === "leaving" || drain?.state === "drained";

const NOTHING: EndpointCount = { ready: 0, total: 0, identities: [], localities: [], targets: [] };

/** What its own cluster calls it. */
export const localName = (kube: KubeService, { mesh }: RegistryOptions): ServiceName =>
  serviceName(kube.id.namespace, kubeHostname(kube, mesh.clusterDomain));

/** As API servers take it; a manifest may say anything. */
const PORT_NAME = /^[A-Za-z0-9_.-]{1,63}$/;

/** By number, each once, with where its endpoints take it. */
function portsOf(kube: KubeService, { targets }: EndpointCount): readonly FederatedPort[] {
  const found = new Map(targets);
  return servicePorts(kube.ports)
    .map(({ servicePort: number, targetPort }): FederatedPort => {
      const own = kube.ports.filter(({ port }) => port === number);
      const said = own.find(({ protocol }) => protocol !== "UDP") ?? own[0]!;
      const name = PORT_NAME.test(said.name) ? said.name : "";
      return { number, name, protocol: protocolHint(said), targetPort: found.get(number) ?? targetPort };
    })
    .sort((a, b) => a.number - b.number);
}

function waypointOf(kube: KubeService, reads: WaypointReads, trustDomain: string): FederatedService["waypoint"] {
  if (kube.ofGateway) return undefined;
  const { cluster, namespace } = kube.id;
  const waypoint = waypointFor({ cluster, namespace, use: kube.useWaypoint, kind: "service" }, reads);
  if (waypoint === undefined) return undefined;
  const { namespace: home, name, serviceAccount } = waypoint;
  return { namespace: home, name, identity: formatServiceAccountId({ trustDomain, namespace: home, serviceAccount }) };
}

/** What the patterns ask for, and which services have them, of what the service has; sorted by key. */
function namedBy(
  aliases: readonly SegmentAlias[],
  kind: "label" | "annotation",
  has: ReadonlyMap<string, string>,
): readonly (readonly [string, string])[] {
  const keys = new Set<string>();
  for (const { pattern, selector } of aliases) {
    for (const part of pattern.parts) if (part.kind === kind) keys.add(part.key);
    if (kind === "annotation" || selector === undefined) continue;
    for (const [key] of selector.matchLabels?.pairs ?? []) keys.add(key);
    for (const { key } of selector.expressions) keys.add(key);
  }
  return [...keys].sort(byCodeUnit).flatMap((key): readonly (readonly [string, string])[] => {
    const value = has.get(key);
    return value === undefined ? [] : [[key, value]];
  });
}
