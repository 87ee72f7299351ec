import {
  networkId,
  serviceEntryEndpointUid,
  serviceName,
  workloadEntryUid,
  type NetworkId,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import { selectedHosts, type Attachment, type SelectedService } from "./attachments.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { placementOf, type LabelSet, type Placement } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import type { ObjectId } from "./kube/metadata.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import type { Tunnel } from "./kube/traffic-labels.ts";
import type { Entry, WorkloadEntry } from "./kube/workload-entry.ts";
import type { GatewayAddress } from "./model/address.ts";
import type { Problem } from "./model/problem.ts";
import type { ServiceBinding, Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { portsOnEntry } from "./ports.ts";
import { bareWorkload, canonicalName, canonicalRevision } from "./workload-shape.ts";

export const placementOfEntry = ({ id, entry }: WorkloadEntry): Placement =>
  placementOf(id.cluster, id.namespace, entry.labels);

/** Policies see the ServiceEntry's own labels, waypoints those of each endpoint (contract ztunnel.md 5.3). */
export const placementsOfServiceEntry = ({ id, labels, endpoints }: ServiceEntry): readonly Placement[] =>
  [labels, ...endpoints.map((endpoint) => endpoint.labels)].map((each) => placementOf(id.cluster, id.namespace, each));

export interface EntryInputs {
  readonly attachments: Collection<string, Attachment>;
  readonly gateways: Collection<NetworkId, GatewayAddress>;
  readonly owners: Collection<ServiceName, string>;
}

type Gateways = { get(network: NetworkId): GatewayAddress | undefined };

/** WorkloadEntries of the local cluster (contract ztunnel.md 5.3). */
export function workloadEntryWorkloads(
  graph: Graph,
  objects: Objects,
  { attachments, gateways }: EntryInputs,
  { mesh, localCluster, workloadEntrySelection }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  return derive(graph, {
    name: "workload-entry-workloads",
    from: objects.workloadEntries,
    reads: { attachments, gateways },
    to: (source, { attachments, gateways }) => {
      const { id, entry, tunnel, workloadName } = source;
      const attachment = attachments.get(placementOfEntry(source).id);
      if (id.cluster !== localCluster || !attachment) return [];
      const services = workloadEntrySelection
        ? attachment.services
        : attachment.services.filter(({ rules }) => rules === "service-entry");
      const uid = workloadEntryUid(id.cluster, id.namespace, id.name);
      const workload: Workload = {
        ...entryWorkload(uid, id, mesh.trustDomain, entry, tunnel),
        ...networkOf(entry, attachment, gateways),
        ...namesOf(entry.labels, workloadName),
        services: bindings(entry, services),
        waypoint: attachment.waypoint,
        policies: attachment.policies,
      };
      return [[uid, workload]];
    },
  });
}

/** Endpoints written into ServiceEntries of the local cluster. */
export function serviceEntryWorkloads(
  graph: Graph,
  objects: Objects,
  { attachments, gateways, owners }: EntryInputs,
  { mesh, localCluster }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  return derive(graph, {
    name: "service-entry-workloads",
    from: objects.serviceEntries,
    reads: { attachments, gateways, owners },
    to: (source, { attachments, gateways, owners }) => {
      const { id, labels, tunnel } = source;
      const services = selectedHosts(source, owners);
      if (id.cluster !== localCluster || services.length === 0) return [];
      const own = attachments.get(placementOf(id.cluster, id.namespace, labels).id);
      return endpointsOf(source, services).flatMap(({ entry, services }) => {
        const attachment = attachments.get(placementOf(id.cluster, id.namespace, entry.labels).id);
        if (!own || !attachment) return [];
        const uid = serviceEntryEndpointUid(id.cluster, id.namespace, id.name, whereOf(entry));
        const workload: Workload = {
          ...entryWorkload(uid, id, mesh.trustDomain, entry, tunnel),
          ...networkOf(entry, own, gateways),
          ...namesOf(labels, id.name),
          services: bindings(entry, services),
          waypoint: attachment.waypoint,
          policies: own.policies,
        };
        return [[uid, workload] as const];
      });
    },
  });
}

/** Its endpoints and what each serves; a host that DNS resolves is its own endpoint if no other is named. */
function endpointsOf(
  source: ServiceEntry,
  services: readonly SelectedService[],
): readonly { readonly entry: Entry; readonly services: readonly SelectedService[] }[] {
  const { endpoints, selector, resolution, labels, id } = source;
  if (endpoints.length > 0) {
    const firsts = firstsOf(endpoints);
    return endpoints.filter((_entry, at) => firsts[at] === at).map((entry) => ({ entry, services }));
  }
  if (selector || resolution === "NONE" || resolution === "STATIC") return [];
  return source.hosts
    .filter((host) => !host.startsWith("*"))
    .map((host) => ({
      entry: hostEntry(host, labels),
      services: services.filter(({ service }) => service === serviceName(id.namespace, host)),
    }))
    .filter(({ services }) => services.length > 0);
}

/** Its address as written, or the network that it is somewhere in: this is its name. */
const whereOf = ({ address, network }: Entry): string => address || (network ?? "");

/** Addresses are the same endpoint however they are written. */
const sameness = (entry: Entry): string => entry.ip ?? whereOf(entry).toLowerCase();

/** For each endpoint where the first with its address is: clients know one by its address, so there cannot be two. */
function firstsOf(endpoints: readonly Entry[]): readonly number[] {
  const firsts = new Map<string, number>();
  return endpoints.map((entry, at) => {
    const first = firsts.get(sameness(entry)) ?? at;
    firsts.set(sameness(entry), first);
    return first;
  });
}

const PROBLEMS_MAX = 20;

/** Endpoints that have no effect, as they have the address of another. */
export function endpointProblems(graph: Graph, objects: Objects): Collection<string, Problem> {
  return derive(graph, {
    name: "endpoint-problems",
    from: objects.serviceEntries,
    reads: {},
    to: ({ id, endpoints }, _reads, key) => {
      const object = `ServiceEntry ${id.namespace}/${id.name}`;
      const again = firstsOf(endpoints).flatMap((first, at) => (first === at ? [] : [[first, at] as const]));
      return again.slice(0, PROBLEMS_MAX).map(([first, at]): readonly [string, Problem] => {
        const field = `spec.endpoints[${at}]`;
        const message =
          `${field} has the address ${whereOf(endpoints[at]!)}, as spec.endpoints[${first}] has, so only that one ` +
          "counts; name each address once, with all its ports.";
        return [`endpoint ${key}#${at}`, { object, origin: id.origin, field, message, severity: "warning" }];
      });
    },
  });
}

const hostEntry = (host: string, labels: LabelSet): Entry => ({
  address: host,
  ip: undefined,
  network: undefined,
  labels,
  serviceAccount: "",
  locality: undefined,
  weight: undefined,
  ports: new Map(),
});

function entryWorkload(uid: WorkloadUid, id: ObjectId, trustDomain: string, entry: Entry, tunnel: Tunnel): Workload {
  return {
    ...bareWorkload(uid, id.name, id.namespace, id.cluster, trustDomain),
    addresses: entry.ip === undefined ? [] : [entry.ip],
    hostname: entry.ip === undefined ? entry.address : "",
    tunnel: tunnel === "none" ? "none" : "hbone",
    nativeTunnel: tunnel === "native",
    serviceAccount: entry.serviceAccount,
    locality: entry.locality,
    capacity: entry.weight,
  };
}

function networkOf(entry: Entry, home: Attachment, gateways: Gateways): Pick<Workload, "network" | "networkGateway"> {
  const network = entry.network === undefined ? home.network : networkId(entry.network);
  return { network, networkGateway: gateways.get(network) };
}

const namesOf = (
  labels: LabelSet,
  workloadName: string,
): Pick<Workload, "workloadName" | "canonicalName" | "canonicalRevision"> => ({
  workloadName,
  canonicalName: canonicalName(labels, workloadName),
  canonicalRevision: canonicalRevision(labels),
});

const bindings = (entry: Entry, services: readonly SelectedService[]): readonly ServiceBinding[] =>
  services
    .map(({ service, rules, ports }) => ({ service, ports: portsOnEntry(ports, rules, entry.ports) }))
    .sort((a, b) => (a.service < b.service ? -1 : 1));
