import type { Collection } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { Index } from "../registry/collection/index-by.ts";
import type { NetworkAddress } from "../registry/model/address.ts";
import type { Policy } from "../registry/model/policy.ts";
import type { Service } from "../registry/model/service.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { PolicyName, ServiceName, WorkloadUid } from "../names.ts";
import { AliasBook } from "./alias-book.ts";
import { Publisher, type Refusal } from "./publisher.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type ResourceRelations, type TypeUrl } from "./resource.ts";
import { ResourceLog } from "./resource-log.ts";
import { encodeService, encodeWorkload } from "./types/address.ts";
import { encodePolicy } from "./types/authorization.ts";
import type { PushTrigger } from "./xds-metrics.ts";

/** What a mesh is made of; the registry has it. */
export interface MeshCollections {
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly services: Collection<ServiceName, Service>;
  readonly policies: Collection<PolicyName, Policy>;
  readonly workloadsByService: { get(service: string): readonly Workload[] };
}

export interface MeshLogs {
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  /** Values that could not be encoded: ours to mend, and shown on the debug pages. */
  refusals(): readonly Refusal[];
}

/**
 * The logs of the types that ztunnel subscribes to, kept up with the mesh. Both take all of one settled state before
 * `onChanged` is called. Call it while the graph is built, before its first flush.
 */
export function meshLogs(
  graph: Graph,
  mesh: MeshCollections,
  onChanged: (...triggers: readonly PushTrigger[]) => void,
): MeshLogs {
  const addresses = new ResourceLog(addressRelations(graph, mesh));
  const authorizations = new ResourceLog();
  const workloads = new Publisher(mesh.workloads, encodeWorkload);
  // Whichever way it flips: ztunnel has dropped the unhealthy ones, or must drop them now.
  const healthPolicy = ({ loadBalancing }: Service) => loadBalancing?.healthPolicy ?? "only-healthy";
  const flips = (before: Service, after: Service) => healthPolicy(before) !== healthPolicy(after);
  const services = new Publisher(mesh.services, encodeService, flips);
  const policies = new Publisher(mesh.policies, encodePolicy);
  graph.onSettled(() => {
    const [addressesHead, authorizationsHead] = [addresses.head, authorizations.head];
    authorizations.append(policies.changes());
    addresses.append([...services.changes(), ...workloads.changes()]);
    const triggers: PushTrigger[] = [];
    if (addresses.head !== addressesHead) triggers.push("ambient");
    if (authorizations.head !== authorizationsHead) triggers.push("config");
    if (triggers.length > 0) onChanged(...triggers);
  });
  return {
    logs: new Map([
      [ADDRESS_TYPE, addresses],
      [AUTHORIZATION_TYPE, authorizations],
    ]),
    refusals: () => [...workloads.refusals, ...services.refusals, ...policies.refusals],
  };
}

/** Names, aliases and companions of contract ztunnel.md 2.5, 2.8 and 2.9. */
function addressRelations(graph: Graph, mesh: MeshCollections): ResourceRelations {
  const { workloads, services } = mesh;
  const workloadAddresses = new AliasBook(graph, workloads, workloadAliases);
  const serviceAddresses = new AliasBook(graph, services, serviceAliases);
  // Entries and gateways run on no node, and a client that names none must not get all of them.
  const workloadsByNode = new Index(graph, workloads, "node", ({ node }) => (node === "" ? [] : [node]));
  const aliasesOf = (name: string): readonly string[] => {
    const workload = workloads.get(name as WorkloadUid);
    if (workload !== undefined) return workloadAliases(workload);
    const service = services.get(name as ServiceName);
    return service === undefined ? [] : serviceAliases(service);
  };
  return {
    aliases: aliasesOf,
    resolve: (alias) => [...workloadAddresses.resolve(alias), ...serviceAddresses.resolve(alias)],
    *companions(name) {
      for (const { uid } of mesh.workloadsByService.get(name)) yield uid;
    },
    followedThrough: (name) => workloads.get(name as WorkloadUid)?.services.map(({ service }) => service) ?? [],
    *onNode(node) {
      for (const { uid } of workloadsByNode.get(node)) yield uid;
    },
  };
}

/** ztunnel does not index workloads of a host's network by address (contract ztunnel.md 3.2, field 25). */
function workloadAliases({ network, addresses, hostNetwork }: Workload): string[] {
  return hostNetwork ? [] : addresses.map((ip) => `${network}/${ip}`);
}

function serviceAliases({ addresses }: Service): string[] {
  return addresses.map(addressAlias);
}

function addressAlias({ network, ip, prefixLength }: NetworkAddress): string {
  return prefixLength === undefined ? `${network}/${ip}` : `${network}/${ip}/${prefixLength}`;
}
