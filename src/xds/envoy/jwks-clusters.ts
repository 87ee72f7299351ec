import { isIP } from "node:net";
import { MeshError } from "../../errors.ts";
import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import { oneEndpoint } from "./endpoint-addresses.ts";
import { anyOf, durationOf, envoy } from "./message.ts";

type Cluster = envoy.config.cluster.v3.Cluster.$Properties;
type TlsContext = envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext.$Properties;

/** Of the authorities that the image of Envoy trusts. */
const SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt";
const CONNECT_TIMEOUT_MS = 5_000;

/** Where the proxies of a waypoint fetch keys of issuers; sorted, each once. @throws MeshError `invalid` */
export function jwksClusters(policies: ProxyPolicies | undefined): (Cluster & { name: string })[] {
  const clusters = new Map<string, Cluster & { name: string }>();
  for (const { keys } of policies?.authentication.flatMap(({ rules }) => rules) ?? []) {
    if (keys.kind !== "url") continue;
    const cluster = jwksCluster(keys.url);
    clusters.set(cluster.name, cluster);
  }
  return [...clusters.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Named for what it dials, as `jwks|https|issuer.example|443`: one for all keys of one server. */
export function jwksCluster(url: string): Cluster & { name: string } {
  const { scheme, host, port } = parseUrl(url);
  const name = `jwks|${scheme}|${host}|${port}`;
  const address = { socketAddress: { address: host, portValue: port } };
  return {
    name,
    type: envoy.config.cluster.v3.Cluster.DiscoveryType.STRICT_DNS,
    connectTimeout: durationOf(CONNECT_TIMEOUT_MS),
    loadAssignment: oneEndpoint(name, address),
    ...(scheme === "https" && { transportSocket: { name: "tls", typedConfig: tlsTo(host) } }),
  };
}

interface Origin {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
}

/** Which hosts may be asked was looked at when the object was read. */
function parseUrl(text: string): Origin {
  if (!/^https?:/i.test(text) || !URL.canParse(text))
    throw new MeshError("invalid", `jwksUri "${text.slice(0, 200)}" is no URL of https or http`);
  const { protocol, hostname, port } = new URL(text);
  const scheme = protocol === "https:" ? "https" : "http";
  const usual = scheme === "https" ? 443 : 80;
  return { scheme, host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? usual : Number(port) };
}

function tlsTo(host: string) {
  const ip = isIP(host) !== 0;
  const { DNS, IP_ADDRESS } = envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.SanType;
  const context: TlsContext = {
    ...(!ip && { sni: host }),
    commonTlsContext: {
      validationContext: {
        trustedCa: { filename: SYSTEM_ROOTS },
        matchTypedSubjectAltNames: [{ sanType: ip ? IP_ADDRESS : DNS, matcher: { exact: host } }],
      },
    },
  };
  return anyOf(envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, context);
}
