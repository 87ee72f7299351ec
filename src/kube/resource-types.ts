import type { ResourceType } from "./api.ts";

const type = (
  group: string,
  versions: readonly string[],
  kind: string,
  plural: string,
  namespaced = true,
): ResourceType => ({ group, versions, kind, plural, namespaced });

const [CORE, NETWORKING, SECURITY, GATEWAY] = [
  "",
  "networking.istio.io",
  "security.istio.io",
  "gateway.networking.k8s.io",
];

/** Every kind that we read or write. */
export const NAMESPACES = type(CORE, ["v1"], "Namespace", "namespaces", false);
export const NODES = type(CORE, ["v1"], "Node", "nodes", false);
export const PODS = type(CORE, ["v1"], "Pod", "pods");
export const SERVICES = type(CORE, ["v1"], "Service", "services");
export const SERVICE_ACCOUNTS = type(CORE, ["v1"], "ServiceAccount", "serviceaccounts");
export const SECRETS = type(CORE, ["v1"], "Secret", "secrets");
export const CONFIG_MAPS = type(CORE, ["v1"], "ConfigMap", "configmaps");
export const ENDPOINT_SLICES = type("discovery.k8s.io", ["v1"], "EndpointSlice", "endpointslices");
export const GATEWAYS = type(GATEWAY, ["v1", "v1beta1"], "Gateway", "gateways");
export const GATEWAY_CLASSES = type(GATEWAY, ["v1", "v1beta1"], "GatewayClass", "gatewayclasses", false);
// Each can have more than a hundred matches, and as many regular expressions.
export const HTTP_ROUTES = { ...type(GATEWAY, ["v1", "v1beta1"], "HTTPRoute", "httproutes"), pageObjects: 50 };
export const GRPC_ROUTES = { ...type(GATEWAY, ["v1"], "GRPCRoute", "grpcroutes"), pageObjects: 50 };
export const REFERENCE_GRANTS = type(GATEWAY, ["v1", "v1beta1"], "ReferenceGrant", "referencegrants");
export const DESTINATION_RULES = type(NETWORKING, ["v1", "v1beta1", "v1alpha3"], "DestinationRule", "destinationrules");
export const SERVICE_ENTRIES = type(NETWORKING, ["v1", "v1beta1"], "ServiceEntry", "serviceentries");
export const WORKLOAD_ENTRIES = type(NETWORKING, ["v1", "v1beta1"], "WorkloadEntry", "workloadentries");
export const AUTHORIZATION_POLICIES = type(SECURITY, ["v1", "v1beta1"], "AuthorizationPolicy", "authorizationpolicies");
export const PEER_AUTHENTICATIONS = type(SECURITY, ["v1", "v1beta1"], "PeerAuthentication", "peerauthentications");
export const REQUEST_AUTHENTICATIONS = type(
  SECURITY,
  ["v1", "v1beta1"],
  "RequestAuthentication",
  "requestauthentications",
);
export const SEGMENTS = type("admin.solo.io", ["v1alpha1"], "Segment", "segments");
export const PEER_GRANTS = type("peering.causeway.dev", ["v1alpha1"], "PeerGrant", "peergrants");
export const PEER_STATUSES = type("peering.causeway.dev", ["v1alpha1"], "PeerStatus", "peerstatuses");
export const CLUSTER_SPIFFE_IDS = type("spire.spiffe.io", ["v1alpha1"], "ClusterSPIFFEID", "clusterspiffeids", false);
const CERT_MANAGER = "cert-manager.io";
export const CERTIFICATE_REQUESTS = type(CERT_MANAGER, ["v1"], "CertificateRequest", "certificaterequests");
export const ISSUERS = type(CERT_MANAGER, ["v1"], "Issuer", "issuers");
export const CLUSTER_ISSUERS = type(CERT_MANAGER, ["v1"], "ClusterIssuer", "clusterissuers", false);
export const LEASES = type("coordination.k8s.io", ["v1"], "Lease", "leases");
export const SUBJECT_ACCESS_REVIEWS = type(
  "authorization.k8s.io",
  ["v1"],
  "SubjectAccessReview",
  "subjectaccessreviews",
  false,
);
export const TOKEN_REVIEWS = type("authentication.k8s.io", ["v1"], "TokenReview", "tokenreviews", false);
export const CLUSTER_TRUST_BUNDLES = type(
  "certificates.k8s.io",
  ["v1beta1", "v1alpha1"],
  "ClusterTrustBundle",
  "clustertrustbundles",
  false,
);
export const DEPLOYMENTS = type("apps", ["v1"], "Deployment", "deployments");
export const DAEMON_SETS = type("apps", ["v1"], "DaemonSet", "daemonsets");
export const NETWORK_POLICIES = type("networking.k8s.io", ["v1"], "NetworkPolicy", "networkpolicies");
export const STATEFUL_SETS = type("apps", ["v1"], "StatefulSet", "statefulsets");
export const REPLICA_SETS = type("apps", ["v1"], "ReplicaSet", "replicasets");
export const JOBS = type("batch", ["v1"], "Job", "jobs");
export const AUTOSCALERS = type("autoscaling", ["v2"], "HorizontalPodAutoscaler", "horizontalpodautoscalers");
export const DISRUPTION_BUDGETS = type("policy", ["v1"], "PodDisruptionBudget", "poddisruptionbudgets");
const RBAC = "rbac.authorization.k8s.io";
export const CLUSTER_ROLES = type(RBAC, ["v1"], "ClusterRole", "clusterroles", false);
export const CLUSTER_ROLE_BINDINGS = type(RBAC, ["v1"], "ClusterRoleBinding", "clusterrolebindings", false);
export const CUSTOM_RESOURCE_DEFINITIONS = type(
  "apiextensions.k8s.io",
  ["v1"],
  "CustomResourceDefinition",
  "customresourcedefinitions",
  false,
);
