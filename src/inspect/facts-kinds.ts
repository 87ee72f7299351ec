import type { ResourceType } from "../kube/api.ts";
import type { Selection } from "../kube/list-paths.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { REMOTE_SECRET_LABEL, REMOTE_SECRETS } from "../registry/kube/remote-secrets.ts";

/** ConfigMaps that say something of the mesh; those of applications are nobody's business here. */
const CONFIG_MAPS = ["istio", "istio-ca-root-cert", "istio-cni-config", "istio-ca-crl"];

/** What is read of a cluster. Secrets only where they hold what is public, or say which clusters are read. */
export const FACT_SELECTIONS: readonly Selection[] = [
  ...[
    types.NAMESPACES,
    types.NODES,
    types.PODS,
    types.SERVICES,
    types.SERVICE_ACCOUNTS,
    types.ENDPOINT_SLICES,
    types.GATEWAYS,
    types.GATEWAY_CLASSES,
    types.HTTP_ROUTES,
    types.GRPC_ROUTES,
    types.REFERENCE_GRANTS,
    types.DESTINATION_RULES,
    types.SERVICE_ENTRIES,
    types.WORKLOAD_ENTRIES,
    types.AUTHORIZATION_POLICIES,
    types.PEER_AUTHENTICATIONS,
    types.REQUEST_AUTHENTICATIONS,
    types.SEGMENTS,
    types.PEER_GRANTS,
    types.PEER_STATUSES,
    types.CLUSTER_SPIFFE_IDS,
    types.DEPLOYMENTS,
    types.DAEMON_SETS,
    types.AUTOSCALERS,
    types.DISRUPTION_BUDGETS,
    types.NETWORK_POLICIES,
  ].map((type) => ({ type })),
  { type: types.SECRETS, fieldSelector: "metadata.name=cacerts" },
  { type: types.SECRETS, labelSelector: REMOTE_SECRETS },
  ...CONFIG_MAPS.map((name) => ({ type: types.CONFIG_MAPS, fieldSelector: `metadata.name=${name}` })),
];

/** Every kind of which facts are kept. */
export const FACT_KINDS: readonly ResourceType[] = [...new Set(FACT_SELECTIONS.map(({ type }) => type))];

/** Whether facts keep an object that no API server selected, as it lay in a folder. */
export function isFact({ kind, metadata: { name, labels } }: KubeObject): boolean {
  if (kind === "Secret") return name === "cacerts" || labels?.[REMOTE_SECRET_LABEL] === "true";
  return kind !== "ConfigMap" || CONFIG_MAPS.includes(name);
}
