import { nearestName } from "../../nearest-name.ts";

/** Fields that settle something here. */
export const USED_FIELDS = [
  "trustDomain",
  "rootNamespace",
  "trustDomainAliases",
  "caCertificates",
  "jwtRules",
  "serviceScopeConfigs",
] as const;

/** Fields of Istio's mesh config that tell Envoy proxies, or istiod itself, what does not exist for ztunnels. */
const ENVOYS: ReadonlySet<string> = new Set([
  "accessLogEncoding",
  "accessLogFile",
  "accessLogFormat",
  "configSources",
  "connectTimeout",
  "defaultConfig",
  "defaultDestinationRuleExportTo",
  "defaultHttpRetryPolicy",
  "defaultInboundHttpRetryPolicy",
  "defaultProviders",
  "defaultServiceExportTo",
  "defaultTrafficPolicy",
  "defaultVirtualServiceExportTo",
  "disableEnvoyListenerLog",
  "dnsRefreshRate",
  "enableAutoMtls",
  "enableEnvoyAccessLogService",
  "enablePrometheusMerge",
  "enableTracing",
  "extensionProviders",
  "h2UpgradePolicy",
  "hboneIdleTimeout",
  "inboundClusterStatName",
  "inboundTrafficPolicy",
  "ingressClass",
  "ingressControllerMode",
  "ingressSelector",
  "ingressService",
  "localityLbSetting",
  "meshMTLS",
  "outboundClusterStatName",
  "outboundTrafficPolicy",
  "pathNormalization",
  "protocolDetectionTimeout",
  "proxyHttpPort",
  "proxyInboundListenPort",
  "proxyListenPort",
  "serviceSettings",
  "tcpKeepalive",
  "tlsDefaults",
  "verifyCertificateAtClient",
  "zoneAwareLbSetting",
]);

/** Fields whose author expects something that does not happen here. */
const MISSED: ReadonlyMap<string, string> = new Map([
  ["ca", "has no effect: certificates are signed by Causeway's own authority, which --cacerts names"],
  ["certificates", "has no effect: Causeway makes no certificates for other servers"],
  ["discoverySelectors", "has no effect: all namespaces are read, and ztunnels hear of their services"],
  ["serviceEntryVisibility", "has no effect: ServiceEntries are visible to the whole mesh"],
]);

const KNOWN: ReadonlySet<string> = new Set([...USED_FIELDS, ...ENVOYS, ...MISSED.keys()]);

/** Istio reads the names of its proto file, too. */
export function canonicalField(name: string): string {
  const camel =
    name === "mesh_mTLS" ? "meshMTLS" : name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return KNOWN.has(camel) ? camel : name;
}

/** True for a field that means nothing to ztunnels, as its author knows. */
export const isForEnvoy = (name: string): boolean => ENVOYS.has(name);

/** What the author of a field that has no effect, and is not for Envoy, should know. */
export function idleField(name: string): string {
  const missed = MISSED.get(name);
  if (missed !== undefined) return missed;
  const nearest = nearestName(name, KNOWN);
  const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return `is no field of Istio's mesh config, and has no effect${hint}`;
}
