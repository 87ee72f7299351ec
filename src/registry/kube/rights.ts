/** What a control plane does only where it is turned on; `mesh` always. Each is a file of deploy/rbac. */
export type RightsFeature =
  "mesh" | "cluster-trust-bundle" | "gateways" | "peering" | "peering-workload-entries" | "spire" | "trust-relay";

/** What an account must be allowed: all of these verbs on all of these resources. */
export interface NeededRights {
  /** `mesh` of the account of a control plane, unless it says otherwise. */
  readonly feature: RightsFeature;
  /** An API group, as `networking.istio.io`; empty for the core's. */
  readonly group: string;
  /** Plural, as `pods` or `gateways/status`. */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** In every namespace and outside of all, or in that of the control plane only. */
  readonly where: "everywhere" | "own";
  /** Of these objects only; undefined for any. */
  readonly names?: readonly string[];
}

const READ = ["list", "watch"];
const [CORE, DISCOVERY, GATEWAY, ISTIO] = ["", "discovery.k8s.io", "gateway.networking.k8s.io", "networking.istio.io"];
const [SECURITY, PEERING, CRDS] = ["security.istio.io", "peering.causeway.dev", "apiextensions.k8s.io"];

type Row = readonly [group: string, resources: string, verbs: string, names?: readonly string[]];

const rows = (feature: RightsFeature, where: NeededRights["where"], ...all: readonly Row[]): readonly NeededRights[] =>
  all.map(([group, resources, verbs, names]) => ({
    feature,
    group,
    resources: resources.split(" "),
    verbs: verbs === "read" ? READ : verbs.split(" "),
    where,
    ...(names !== undefined && { names }),
  }));

/**
 * What the account of a control plane is asked for by what this program does, no more and no less: deploy/rbac and the chart grant
 * it, and tests hold all three equal.
 */
export const NEEDED_RIGHTS: readonly NeededRights[] = [
  ...rows(
    "mesh",
    "everywhere",
    [CORE, "namespaces nodes pods services serviceaccounts", "read"],
    [DISCOVERY, "endpointslices", "read"],
    [GATEWAY, "gateways gatewayclasses httproutes grpcroutes referencegrants", "read"],
    [ISTIO, "serviceentries workloadentries destinationrules", "read"],
    [SECURITY, "authorizationpolicies peerauthentications requestauthentications", "read"],
    ["admin.solo.io", "segments", "read"],
    [PEERING, "peergrants", "read"],
    [CRDS, "customresourcedefinitions", "list"],
    ["authentication.k8s.io", "tokenreviews", "create"],
    [SECURITY, "authorizationpolicies/status requestauthentications/status", "patch"],
    [ISTIO, "serviceentries/status workloadentries/status", "patch"],
    [GATEWAY, "httproutes/status grpcroutes/status", "patch"],
    [CORE, "services/status", "patch"],
    [CORE, "configmaps", "create patch", ["istio-ca-root-cert"]],
    [CORE, "configmaps", "list watch create patch delete", ["istio-ca-crl"]],
  ),
  ...rows(
    "mesh",
    "own",
    [CORE, "secrets configmaps", "read"],
    [CORE, "secrets", "create"],
    [CORE, "secrets", "update", ["istio-ca-secret", "causeway-roots"]],
    ["coordination.k8s.io", "leases", "create get update"],
  ),
  ...rows(
    "gateways",
    "everywhere",
    [CORE, "services serviceaccounts", "get create patch"],
    ["apps", "deployments", "get list watch create patch"],
    ["autoscaling", "horizontalpodautoscalers", "get list watch create patch delete"],
    ["policy", "poddisruptionbudgets", "get list watch create patch delete"],
    [CORE, "configmaps", "read"],
    [GATEWAY, "gateways/status gatewayclasses/status", "patch"],
    [GATEWAY, "gatewayclasses", "get create patch"],
  ),
  ...rows("peering", "everywhere", [GATEWAY, "gateways/status", "patch"], [PEERING, "peerstatuses", "create patch"]),
  ...rows("peering", "own", [ISTIO, "serviceentries", "create patch delete"]),
  ...rows("peering-workload-entries", "own", [ISTIO, "workloadentries", "create patch delete"]),
  ...rows(
    "cluster-trust-bundle",
    "everywhere",
    ["certificates.k8s.io", "clustertrustbundles", "list watch create patch", ["istio.io:istiod-ca:root-cert"]],
    ["certificates.k8s.io", "signers", "attest", ["istio.io/istiod-ca"]],
  ),
  ...rows("spire", "everywhere", ["spire.spiffe.io", "clusterspiffeids", "read"]),
  ...rows(
    "trust-relay",
    "own",
    [CORE, "secrets", "get update", ["cacerts", "cacerts-previous", "relay-client-tls-secret"]],
    [CORE, "secrets", "get", ["istio-ca-secret", "relay-identity-token-secret"]],
    [PEERING, "peergrants", "create update delete"],
  ),
];

/** What the account that other clusters' remote secrets name is asked for (istio-reader-service-account). */
export const READER_RIGHTS: readonly NeededRights[] = rows(
  "mesh",
  "everywhere",
  [CORE, "namespaces nodes pods services", "read"],
  [DISCOVERY, "endpointslices", "read"],
  [GATEWAY, "gateways gatewayclasses", "read"],
  [CRDS, "customresourcedefinitions", "list"],
  ["authentication.k8s.io", "tokenreviews", "create"],
);
