/** What the account of a control plane needs, as the files of deploy/rbac grant it. */
export interface NeededRight {
  readonly group: string;
  /** As `pods` or `gateways/status`. */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** In all namespaces, or in that of the control plane. */
  readonly where: "all" | "own";
  readonly name?: string;
  /** Only with that feature. */
  readonly feature?: "peering" | "gateways";
}

const READ = ["list", "watch"];
const [CORE, GATEWAY, NETWORKING, SECURITY] = [
  "",
  "gateway.networking.k8s.io",
  "networking.istio.io",
  "security.istio.io",
];
const read = (group: string, ...resources: readonly string[]): readonly NeededRight[] =>
  resources.map((resource) => ({ group, resource, verbs: READ, where: "all" }));
const patch = (group: string, ...resources: readonly string[]): readonly NeededRight[] =>
  resources.map((resource) => ({ group, resource, verbs: ["patch"], where: "all" }));

export const NEEDED_RIGHTS: readonly NeededRight[] = [
  ...read(CORE, "namespaces", "nodes", "pods", "services", "serviceaccounts"),
  ...read("discovery.k8s.io", "endpointslices"),
  ...read(GATEWAY, "gateways", "gatewayclasses", "httproutes", "grpcroutes", "referencegrants"),
  ...read(NETWORKING, "serviceentries", "workloadentries", "destinationrules"),
  ...read(SECURITY, "authorizationpolicies", "peerauthentications", "requestauthentications"),
  ...read("admin.solo.io", "segments"),
  ...read("peering.causeway.dev", "peergrants"),
  { group: "authentication.k8s.io", resource: "tokenreviews", verbs: ["create"], where: "all" },
  ...patch(SECURITY, "authorizationpolicies/status"),
  ...patch(NETWORKING, "serviceentries/status"),
  { group: CORE, resource: "configmaps", verbs: ["create", "patch"], where: "all", name: "istio-ca-root-cert" },
  { group: CORE, resource: "secrets", verbs: READ, where: "own" },
  { group: CORE, resource: "configmaps", verbs: READ, where: "own" },
  { group: "coordination.k8s.io", resource: "leases", verbs: ["create", "get", "update"], where: "own" },
  ...patch(GATEWAY, "gateways/status").map((right) => ({ ...right, feature: "peering" as const })),
  {
    ...{ group: "peering.causeway.dev", resource: "peerstatuses", verbs: ["create", "patch"] },
    ...{ where: "all", feature: "peering" },
  },
  {
    ...{ group: NETWORKING, resource: "serviceentries", verbs: ["create", "patch", "delete"] },
    ...{ where: "own", feature: "peering" },
  },
  {
    ...{ group: "apps", resource: "deployments", verbs: ["get", "list", "watch", "create", "patch"] },
    ...{ where: "all", feature: "gateways" },
  },
  {
    ...{ group: CORE, resource: "services", verbs: ["get", "create", "patch"] },
    ...{ where: "all", feature: "gateways" },
  },
];
