import { durationOf, envoy, wrapped } from "./message.ts";

type Http2 = envoy.config.core.v3.Http2ProtocolOptions.$Properties;
type Limits = envoy.config.cluster.v3.CircuitBreakers.$Properties;
type CommonLb = envoy.config.cluster.v3.Cluster.CommonLbConfig.$Properties;

/**
 * What is held for one connection or stream while its reader is slow. Small, because of Envoy 1.40's end of a tunnel
 * (issue 28329 of envoyproxy/envoy): when the far end closes while the caller still has to take more than its HTTP/2
 * windows hold, what is left here is lost with the stream. ztunnel's windows are 4 MiB, so that takes a slow reader of
 * something larger that ends with the connection.
 */
export const BUFFER_BYTES = 65_536;

export const UNLIMITED = 0xffff_ffff;
/** Limits are for backends, where operators set them; what carries tunnels has none of its own. */
export const NO_LIMITS: Limits = {
  thresholds: [
    {
      maxConnections: wrapped(UNLIMITED),
      maxPendingRequests: wrapped(UNLIMITED),
      maxRequests: wrapped(UNLIMITED),
      maxRetries: wrapped(UNLIMITED),
    },
  ],
};

/** Without: when most endpoints fail, Envoy sends to all of them, also to those that were put aside. */
export const NO_PANIC: CommonLb = { healthyPanicThreshold: { value: 0 } };

/** Of a tunnel, as ztunnel has them: what a far reader lets us send in one round trip. */
const STREAM_WINDOW = 4 << 20;
const CONNECTION_WINDOW = 16 << 20;
/** A machine that is gone says nothing; its tunnels end when this is not answered. */
const PING_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

/** HTTP/2 that carries tunnels. @param streamsMax at once in one connection. */
export const tunnelHttp2 = (streamsMax: number): Http2 => ({
  allowConnect: true,
  maxConcurrentStreams: wrapped(streamsMax),
  initialStreamWindowSize: wrapped(STREAM_WINDOW),
  initialConnectionWindowSize: wrapped(CONNECTION_WINDOW),
  connectionKeepalive: { interval: durationOf(PING_MS), timeout: durationOf(PING_TIMEOUT_MS) },
});
