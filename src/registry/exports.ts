import type { ClusterId, NetworkId, ObjectKey, WorkloadUid } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Index } from "./collection/index-by.ts";
import type { Source } from "./collection/source.ts";
import type { Drains } from "./drains.ts";
import { doubtProblems } from "./doubts.ts";
import { exportCounts } from "./export-counts.ts";
import { exportedDoors } from "./export-doors.ts";
import { exportedFacts, type OwnRoots } from "./export-facts.ts";
import { exportedServices, localName } from "./exported-services.ts";
import { exportedWorkloads } from "./exported-workloads.ts";
import type { Objects } from "./kube/objects.ts";
import type { PeerGrant } from "./kube/peer-grant.ts";
import type { FederatedService } from "./model/federated-service.ts";
import type { ClusterFacts, PeerGateway } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import type { Workload } from "./model/workload.ts";
import { networkProblems } from "./networks.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerGateways } from "./peer-gateways.ts";
import { peerGrants } from "./peer-grants.ts";
import { sharedServiceProblems } from "./shared-service-problems.ts";
import type { SharedServices } from "./shared-services.ts";
import { union } from "./union.ts";
import type { OfferedWaypoint } from "./waypoints.ts";

/**
 * All that peers are told: of the local cluster only. What another peer said, or a cluster behind a remote secret, is not
 * ours to hand on.
 */
export interface Exports {
  /** Under `cluster/namespace/name`. */
  readonly services: Collection<ObjectKey, FederatedService>;
  /** One, of the local cluster. */
  readonly facts: Collection<ClusterId, ClusterFacts>;
  /** Only where peers are on our own network; they name services by their global hosts. */
  readonly workloads: Collection<WorkloadUid, Workload>;
}

/** What the local cluster tells its peers, and who these are. */
export interface Peering {
  readonly exports: Exports;
  readonly ownRoots: Source<ClusterId, OwnRoots>;
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
  readonly peerGrants: Collection<ObjectKey, PeerGrant>;
  readonly problems: Collection<string, Problem>;
}

export interface PeeringInputs {
  readonly shared: SharedServices;
  readonly links: PeerGateways;
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly workloadsByService: Index<WorkloadUid, Workload>;
  readonly drains: Drains;
}

export function peering(graph: Graph, objects: Objects, inputs: PeeringInputs, options: RegistryOptions): Peering {
  const { shared, links: gateways, networks, waypoints, workloads, workloadsByService } = inputs;
  const drains = inputs.drains.states;
  const { segments } = shared;
  const own = filter(graph, "own-shared-services", shared.all, ({ kube }) => kube.id.cluster === options.localCluster);
  const byName = derive(graph, {
    name: "own-shared-services-by-name",
    distinct: true,
    from: own,
    reads: {},
    to: (service) => [[localName(service.kube, options), service] as const],
  });
  const counts = exportCounts(graph, { workloads, byService: workloadsByService, wanted: byName, networks }, options);
  const grants = peerGrants(graph, objects, options);
  const doors = exportedDoors(graph, objects, networks, options);
  const { facts, ownRoots } = exportedFacts(graph, { networks, segments, doors: doors.byGateway }, options);
  const forWorkloads = {
    workloads,
    byService: workloadsByService,
    shared: byName,
    networks,
    peerGateways: gateways.all,
    drains,
  };
  return {
    exports: {
      services: exportedServices(graph, objects, { shared: own, counts, waypoints, segments, drains }, options),
      facts,
      workloads: exportedWorkloads(graph, forWorkloads, options),
    },
    ownRoots,
    peerGateways: gateways.all,
    peerGrants: grants.all,
    problems: union<string, Problem>(graph, "peering-problems", [
      segments.problems,
      sharedServiceProblems(graph, objects, shared, options),
      gateways.problems,
      grants.problems,
      doors.problems,
      doubtProblems(graph, objects, options),
      networkProblems(graph, objects, networks, options),
    ]),
  };
}
