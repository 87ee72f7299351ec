import type { ObjectKey } from "../../names.ts";
import { Source } from "../collection/source.ts";
import type { Graph } from "../collection/graph.ts";
import type { Problem } from "../model/problem.ts";
import { readAuthorizationPolicy, readDoubtfulPolicy, type AuthorizationPolicy } from "./authorization-policy.ts";
import { readClusterSpiffeId, type ClusterSpiffeId } from "./cluster-spiffe-id.ts";
import { readDestinationRule, type DestinationRule } from "./destination-rule.ts";
import { readEndpointSlice, type EndpointSlice } from "./endpoint-slice.ts";
import type { Fields } from "./fields.ts";
import { readGateway, type KubeGateway } from "./gateway.ts";
import type { GeneratedEntry } from "./generated.ts";
import { readGrpcRoute } from "./grpc-route.ts";
import { readHttpRoute } from "./http-route.ts";
import type { Metadata } from "./metadata.ts";
import {
  readGatewayClass,
  readNamespace,
  readNode,
  type GatewayClass,
  type KubeNode,
  type Namespace,
} from "./namespace.ts";
import {
  readDoubtfulPeerAuthentication,
  readPeerAuthentication,
  type PeerAuthentication,
} from "./peer-authentication.ts";
import { readDoubtfulPeerGrant, readPeerGrant, type PeerGrant } from "./peer-grant.ts";
import { readPod, type Pod } from "./pod.ts";
import {
  readDoubtfulRequestAuthentication,
  readRequestAuthentication,
  type RequestAuthentication,
} from "./request-authentication.ts";
import { readReferenceGrant, type ReferenceGrant } from "./reference-grant.ts";
import { lastGood, type Route } from "./route.ts";
import { readServiceEntry, type ServiceEntry } from "./service-entry.ts";
import { readSegment, type Segment } from "./segment.ts";
import { readServiceAccount, type ServiceAccount } from "./service-account.ts";
import { readService, type KubeService } from "./service.ts";
import { readWorkloadEntry, type WorkloadEntry } from "./workload-entry.ts";

/** The objects of all clusters, one source a kind, and what could not be read. */
export interface Objects {
  readonly namespaces: Source<ObjectKey, Namespace>;
  readonly nodes: Source<ObjectKey, KubeNode>;
  readonly pods: Source<ObjectKey, Pod>;
  readonly services: Source<ObjectKey, KubeService>;
  readonly endpointSlices: Source<ObjectKey, EndpointSlice>;
  readonly gateways: Source<ObjectKey, KubeGateway>;
  readonly gatewayClasses: Source<ObjectKey, GatewayClass>;
  readonly serviceEntries: Source<ObjectKey, ServiceEntry>;
  readonly workloadEntries: Source<ObjectKey, WorkloadEntry>;
  /** Those that only show what a control plane knows; they are in no other source. */
  readonly generatedServiceEntries: Source<ObjectKey, GeneratedEntry>;
  readonly generatedWorkloadEntries: Source<ObjectKey, GeneratedEntry>;
  readonly authorizationPolicies: Source<ObjectKey, AuthorizationPolicy>;
  readonly peerAuthentications: Source<ObjectKey, PeerAuthentication>;
  readonly requestAuthentications: Source<ObjectKey, RequestAuthentication>;
  readonly serviceAccounts: Source<ObjectKey, ServiceAccount>;
  readonly segments: Source<ObjectKey, Segment>;
  readonly peerGrants: Source<ObjectKey, PeerGrant>;
  readonly httpRoutes: Source<ObjectKey, Route>;
  readonly grpcRoutes: Source<ObjectKey, Route>;
  readonly referenceGrants: Source<ObjectKey, ReferenceGrant>;
  readonly destinationRules: Source<ObjectKey, DestinationRule>;
  /** Who is to have which identity of SPIRE. */
  readonly clusterSpiffeIds: Source<ObjectKey, ClusterSpiffeId>;
  readonly unreadable: Source<ObjectKey, Problem>;
}

export function objectSources(graph: Graph): Objects {
  return {
    namespaces: new Source(graph, "namespaces"),
    nodes: new Source(graph, "nodes"),
    pods: new Source(graph, "pods"),
    services: new Source(graph, "kube-services"),
    endpointSlices: new Source(graph, "endpoint-slices"),
    gateways: new Source(graph, "gateways"),
    gatewayClasses: new Source(graph, "gateway-classes"),
    serviceEntries: new Source(graph, "service-entries"),
    workloadEntries: new Source(graph, "workload-entries"),
    generatedServiceEntries: new Source(graph, "generated-service-entries"),
    generatedWorkloadEntries: new Source(graph, "generated-workload-entries"),
    authorizationPolicies: new Source(graph, "authorization-policies"),
    peerAuthentications: new Source(graph, "peer-authentications"),
    requestAuthentications: new Source(graph, "request-authentications"),
    serviceAccounts: new Source(graph, "service-accounts"),
    segments: new Source(graph, "segments"),
    peerGrants: new Source(graph, "peer-grants"),
    httpRoutes: new Source(graph, "http-routes"),
    grpcRoutes: new Source(graph, "grpc-routes"),
    referenceGrants: new Source(graph, "reference-grants"),
    destinationRules: new Source(graph, "destination-rules"),
    clusterSpiffeIds: new Source(graph, "cluster-spiffe-ids"),
    unreadable: new Source(graph, "unreadable"),
  };
}

/** How one kind is read, and where it goes. */
export interface Kind {
  readonly kind: string;
  readonly group: string;
  readonly versions: readonly string[];
  readonly clusterWide: boolean;
  /** True if the label `istio.io/rev` says which control plane it is for. */
  readonly revisioned: boolean;
  /** True if its absence would let traffic pass what guards it: one that cannot be read any more stays as it was. */
  readonly guards: boolean;
  /** Undefined if it is to have no effect. @throws FieldError */
  readonly read: Read<unknown>;
  /** For policies: what holds of one whose metadata never could be read. */
  readonly readDoubtful: Read<unknown> | undefined;
  /** What holds of an object that was read before; undefined if always what was read now. */
  readonly amend: ((now: unknown, before: unknown) => unknown) | undefined;
  readonly source: Source<ObjectKey, unknown>;
  /** Where those go that a control plane made; undefined for kinds of which none does. */
  readonly generated: Source<ObjectKey, GeneratedEntry> | undefined;
}

type Read<V> = (metadata: Metadata, object: Fields) => V | undefined;
type Scope = Pick<Kind, "clusterWide" | "revisioned" | "guards">;
const NAMESPACED: Scope = { clusterWide: false, revisioned: false, guards: false };
const CLUSTER_WIDE: Scope = { clusterWide: true, revisioned: false, guards: false };
const REVISIONED: Scope = { clusterWide: false, revisioned: true, guards: false };
const POLICY: Scope = { clusterWide: false, revisioned: true, guards: true };
// These send traffic through waypoints, where policies of their own hold.
const GUARD: Scope = { clusterWide: false, revisioned: false, guards: true };
const CLUSTER_WIDE_GUARD: Scope = { clusterWide: true, revisioned: false, guards: true };

export function kindsOf(objects: Objects): readonly Kind[] {
  const istio = ["v1", "v1beta1", "v1alpha3"];
  const [core, gatewayApi] = ["", "gateway.networking.k8s.io"];
  return [
    kind("Namespace", core, ["v1"], CLUSTER_WIDE_GUARD, objects.namespaces, readNamespace),
    kind("Node", core, ["v1"], CLUSTER_WIDE, objects.nodes, readNode),
    kind("Pod", core, ["v1"], NAMESPACED, objects.pods, readPod),
    kind("Service", core, ["v1"], NAMESPACED, objects.services, readService),
    kind("EndpointSlice", "discovery.k8s.io", ["v1"], NAMESPACED, objects.endpointSlices, readEndpointSlice),
    kind("Gateway", gatewayApi, ["v1", "v1beta1"], GUARD, objects.gateways, readGateway),
    kind("GatewayClass", gatewayApi, ["v1", "v1beta1"], CLUSTER_WIDE_GUARD, objects.gatewayClasses, readGatewayClass),
    {
      ...kind("ServiceEntry", "networking.istio.io", istio, REVISIONED, objects.serviceEntries, readServiceEntry),
      generated: objects.generatedServiceEntries,
    },
    {
      ...kind("WorkloadEntry", "networking.istio.io", istio, REVISIONED, objects.workloadEntries, readWorkloadEntry),
      generated: objects.generatedWorkloadEntries,
    },
    security("AuthorizationPolicy", objects.authorizationPolicies, readAuthorizationPolicy, readDoubtfulPolicy),
    security("PeerAuthentication", objects.peerAuthentications, readPeerAuthentication, readDoubtfulPeerAuthentication),
    security(
      "RequestAuthentication",
      objects.requestAuthentications,
      readRequestAuthentication,
      readDoubtfulRequestAuthentication,
    ),
    kind("ServiceAccount", core, ["v1"], NAMESPACED, objects.serviceAccounts, readServiceAccount),
    // A mistake in one must not give all services of a cluster other names: it stays as it was.
    kind("Segment", "admin.solo.io", ["v1alpha1"], GUARD, objects.segments, readSegment),
    kind(
      "PeerGrant",
      "peering.causeway.dev",
      ["v1alpha1"],
      GUARD,
      objects.peerGrants,
      readPeerGrant,
      readDoubtfulPeerGrant,
    ),
    route("HTTPRoute", ["v1", "v1beta1"], objects.httpRoutes, readHttpRoute),
    route("GRPCRoute", ["v1"], objects.grpcRoutes, readGrpcRoute),
    kind("ReferenceGrant", gatewayApi, ["v1", "v1beta1"], GUARD, objects.referenceGrants, readReferenceGrant),
    kind("DestinationRule", "networking.istio.io", istio, POLICY, objects.destinationRules, readDestinationRule),
    kind(
      "ClusterSPIFFEID",
      "spire.spiffe.io",
      ["v1alpha1"],
      CLUSTER_WIDE,
      objects.clusterSpiffeIds,
      readClusterSpiffeId,
    ),
  ];
}

const security = <V>(name: string, source: Source<ObjectKey, V>, read: Read<V>, readDoubtful: Read<V>): Kind =>
  kind(name, "security.istio.io", ["v1", "v1beta1"], POLICY, source, read, readDoubtful);

/** Without it its traffic would go elsewhere: with a mistake in it, it stays as it was. */
const route = (
  name: string,
  versions: readonly string[],
  source: Source<ObjectKey, Route>,
  read: Read<Route>,
): Kind => ({
  ...kind(name, "gateway.networking.k8s.io", versions, GUARD, source, read),
  amend: (now, before) => lastGood(now as Route, before as Route),
});

function kind<V>(
  name: string,
  group: string,
  versions: readonly string[],
  scope: Scope,
  source: Source<ObjectKey, V>,
  read: Read<V>,
  readDoubtful?: Read<V>,
): Kind {
  return {
    kind: name,
    group,
    versions,
    ...scope,
    read,
    readDoubtful,
    amend: undefined,
    source: source as unknown as Kind["source"],
    generated: undefined,
  };
}
