import type { BackendSettings, OutlierDetection, ProxyBackend } from "../../registry/model/proxy-backend.ts";
import { ADS } from "./config-sources.ts";
import { THROUGH_TUNNEL } from "./endpoint-addresses.ts";
import { httpOptions } from "./http-options.ts";
import { durationOf, envoy, wrapped } from "./message.ts";
import { outboundName } from "./resource-names.ts";
import { internalSocket, rawSocket } from "./transport-sockets.ts";
import { BUFFER_BYTES, NO_LIMITS, NO_PANIC, UNLIMITED } from "./tunnel-limits.ts";

type Cluster = envoy.config.cluster.v3.Cluster.$Properties;

const { LbPolicy, DiscoveryType } = envoy.config.cluster.v3.Cluster;
const POLICIES = {
  "round-robin": LbPolicy.ROUND_ROBIN,
  "least-request": LbPolicy.LEAST_REQUEST,
  random: LbPolicy.RANDOM,
} as const;

/** What is sent to, and how; its endpoints are a resource of their own. */
export function encodeBackend({ name, protocol, settings }: ProxyBackend): Uint8Array {
  return envoy.config.cluster.v3.Cluster.encode({
    name: outboundName(name),
    type: DiscoveryType.EDS,
    edsClusterConfig: { edsConfig: ADS },
    connectTimeout: durationOf(settings.connectTimeoutMs),
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    lbPolicy: POLICIES[settings.balance],
    circuitBreakers: limitsOf(settings),
    ...outliersOf(settings.outlierDetection),
    commonLbConfig: NO_PANIC,
    ...httpOptions(protocol, settings),
    transportSocketMatches: [
      { name: "tunnel", match: THROUGH_TUNNEL, transportSocket: internalSocket() },
      { name: "plain", match: {}, transportSocket: rawSocket() },
    ],
  }).finish();
}

/** As with Istio, what nobody has limited is unlimited: 1,024 requests at once, Envoy's own limit, is few for a service. */
function limitsOf(settings: BackendSettings): envoy.config.cluster.v3.CircuitBreakers.$Properties {
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = settings;
  const set = [maxConnections, maxPendingRequests, maxRequests, maxRetries].some((limit) => limit !== undefined);
  if (!set) return NO_LIMITS;
  const limit = (value: number | undefined) => wrapped(value ?? UNLIMITED);
  return {
    thresholds: [
      {
        maxConnections: limit(maxConnections),
        maxPendingRequests: limit(maxPendingRequests),
        maxRequests: limit(maxRequests),
        maxRetries: limit(maxRetries),
        trackRemaining: true,
      },
    ],
  };
}

/** Only failures in a row count; what is undefined is as Envoy has it: five answers of 5xx. */
function outliersOf(detection: OutlierDetection | undefined): Cluster {
  if (detection === undefined) return {};
  const { consecutive5xx, consecutiveGatewayErrors, intervalMs, baseEjectionMs, maxEjectionPercent } = detection;
  return {
    outlierDetection: {
      interval: durationOf(intervalMs),
      baseEjectionTime: durationOf(baseEjectionMs),
      maxEjectionPercent: wrapped(maxEjectionPercent),
      enforcingSuccessRate: wrapped(0),
      ...(consecutive5xx !== undefined && {
        consecutive_5xx: wrapped(Math.max(1, consecutive5xx)),
        enforcingConsecutive_5xx: wrapped(consecutive5xx > 0 ? 100 : 0),
      }),
      ...(consecutiveGatewayErrors !== undefined && {
        consecutiveGatewayFailure: wrapped(Math.max(1, consecutiveGatewayErrors)),
        enforcingConsecutiveGatewayFailure: wrapped(consecutiveGatewayErrors > 0 ? 100 : 0),
      }),
    },
  };
}
