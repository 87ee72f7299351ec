import { parseDurationMs } from "./duration.ts";

/** A variable of istiod's that settles nothing here, and may have one value only: how Causeway behaves anyway. */
export interface FixedVariable {
  readonly name: string;
  /** A truth, a duration or a text; undefined if there is no such value. */
  readonly as: string | undefined;
  /** Why no other will do, and what to do instead. */
  readonly why: string;
}

const fixed = (as: string | undefined, variables: Readonly<Record<string, string>>): readonly FixedVariable[] =>
  Object.entries(variables).map(([name, why]) => ({ name, as, why }));

const REMOVE = "remove the variable";

/** What somebody who set it relies on, for safety or for sense. */
export const FIXED_VARIABLES: readonly FixedVariable[] = [
  ...fixed("true", {
    AMBIENT_ENABLE_STATUS: `Causeway always writes statuses, by one replica at a time; ${REMOVE}, and leave out the rights to write statuses if nobody shall have them`,
    ENABLE_CA_SERVER: `Causeway always signs certificates; ${REMOVE}, or keep istiod`,
    ENABLE_DEBUG_ENDPOINT_AUTH: `debug pages are never open to strangers; ${REMOVE}, and use kubectl port-forward`,
    PILOT_ENABLE_AMBIENT: `ambient is all that Causeway serves; ${REMOVE}, or keep istiod for sidecars`,
    PILOT_ENABLE_AMBIENT_WAYPOINTS: `Causeway always sends traffic through the waypoints that objects name; remove their labels, and the variable`,
    PILOT_ENABLE_GATEWAY_API: `waypoints and ways to other networks are Gateways, which are always read; ${REMOVE}`,
    PILOT_ENABLE_GATEWAY_API_STATUS: `Gateways that Causeway deploys, and those of peers, always get a status; ${REMOVE}, or turn --gateway-controller off`,
    PILOT_ENABLE_SERVICEENTRY_SELECT_PODS: `ServiceEntries always select pods by their workloadSelector; ${REMOVE}`,
    PILOT_ENABLE_XDS_IDENTITY_CHECK: `clients are always held to their own identity; ${REMOVE}`,
    PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API: `ways to other networks are found among Gateways and nowhere else; ${REMOVE}, or turn AMBIENT_ENABLE_MULTI_NETWORK off`,
    XDS_AUTH: `only ztunnels that prove who they are may read the mesh; ${REMOVE}`,
  }),
  ...fixed("false", {
    ENABLE_MCS_AUTO_EXPORT: `ServiceExports are not built; ${REMOVE}, and make services global by serviceScopeConfigs`,
    ENABLE_MCS_CLUSTER_LOCAL: `hosts of ServiceImports are not built; ${REMOVE}`,
    ENABLE_MCS_HOST: `hosts under clusterset.local are not built; ${REMOVE}, and make services global by serviceScopeConfigs`,
    ENABLE_MCS_SERVICE_DISCOVERY: `ServiceExports are not built; ${REMOVE}, and make services global by serviceScopeConfigs`,
    EXTERNAL_ISTIOD: `Causeway serves the cluster that it runs in; ${REMOVE}, and run one in each cluster`,
    LOCAL_CLUSTER_SECRET_WATCHER: `remote secrets are read from the cluster that we run in; ${REMOVE}, and put them there`,
    PILOT_AUTO_ALLOW_WAYPOINT_POLICY: `no policy is made for waypoints; ${REMOVE}, and write an AuthorizationPolicy that allows their service accounts`,
    PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: `taints of nodes would stay, as Causeway does not remove them; set it to false, and leave such taints out`,
    UNSAFE_ENABLE_ADMIN_ENDPOINTS: `there are no such pages, as pages only read; ${REMOVE}`,
    USE_CACERTS_FOR_SELF_SIGNED_CA: `a root of our own is kept in Secret istio-ca-secret, and one that istiod left in cacerts is used as it is; ${REMOVE}`,
    USE_REMOTE_CERTS: `the authority is read from the cluster that we run in, not from another; ${REMOVE}, and put Secret cacerts there`,
    XDS_AUTH_PLAINTEXT: `nobody can prove anything on a port without TLS; ${REMOVE}, and leave that port closed, as it is by default`,
  }),
  ...fixed(undefined, {
    AUDIENCE: `tokens must be for istio-ca; ${REMOVE}`,
    CERT_SIGNER_DOMAIN: `Kubernetes' own signers are not asked; ${REMOVE}, and give an authority in --cacerts`,
    CITADEL_SELF_SIGNED_CA_CERT_TTL: `a root of our own has a fixed lifetime; ${REMOVE}, and give an authority in --cacerts`,
    CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE: `a root of our own has an elliptic key, and one that istiod left keeps its own; ${REMOVE}, or give an authority in --cacerts`,
    COMPLIANCE_POLICY: `TLS is as Node.js has it, 1.2 and later, and cannot be narrowed; ${REMOVE}, or keep istiod`,
    DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES: `only identities of the system namespace may ask for debug pages; ${REMOVE}`,
    EXTERNAL_CA: `no other authority is asked to sign; ${REMOVE}, and give an intermediate authority in --cacerts`,
    ISTIO_WATCH_NAMESPACE: `all namespaces are read; ${REMOVE}`,
    K8S_SELECT_WORKLOAD_ENTRIES: `the name is PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES; set that one instead`,
    K8S_SIGNER: `Kubernetes' own signers are not asked; ${REMOVE}, and give an authority in --cacerts`,
    PILOT_IGNORE_RESOURCES: `the kinds that are read cannot be chosen; ${REMOVE}`,
    PILOT_INCLUDE_RESOURCES: `the kinds that are read cannot be chosen; ${REMOVE}`,
    TOKEN_ISSUER: `tokens are verified by the API server of their cluster; ${REMOVE}`,
    TRUSTED_GATEWAY_CIDR: `nobody is believed for the address that they call from; ${REMOVE}`,
  }),
  ...fixed("istiod", { PILOT_CERT_PROVIDER: "our TLS certificate is of our own authority; set it to istiod" }),
  ...fixed("istio-ca", { TOKEN_AUDIENCES: "tokens must be for istio-ca; set it to istio-ca" }),
  ...fixed("24h", { DEFAULT_WORKLOAD_CERT_TTL: "who asks for no lifetime gets 24h; ask for another, as ztunnels do" }),
  ...fixed("2160h", {
    MAX_WORKLOAD_CERT_TTL: `the longest lifetime is 2160h; ${REMOVE}, and have ztunnels ask for less`,
  }),
  ...fixed("240.240.0.0/16", {
    PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: `addresses are allocated from 240.240.0.0/16; ${REMOVE}, or set PILOT_ENABLE_IP_AUTOALLOCATE to false`,
  }),
  ...fixed("2001:2::/48", {
    PILOT_IP_AUTOALLOCATE_IPV6_PREFIX: `addresses are allocated from 2001:2::/48; ${REMOVE}, or set PILOT_ENABLE_IP_AUTOALLOCATE to false`,
  }),
];

/** Two ways to say one truth, one duration or one text. */
export function sameSetting(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(text: string): string | number {
  const bare = text.trim();
  if (/^(1|t|true)$/i.test(bare)) return "true";
  if (/^(0|f|false)$/i.test(bare)) return "false";
  return parseDurationMs(bare) ?? bare;
}
