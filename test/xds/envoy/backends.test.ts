import assert from "node:assert/strict";
import { test } from "mocha";
import { encodeBackend } from "../../../src/xds/envoy/backend-clusters.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { backend } from "./samples.ts";

const { Cluster } = envoy.config.cluster.v3;
const Options = envoy.extensions.upstreams.http.v3.HttpProtocolOptions;

const clusterOf = (...args: Parameters<typeof backend>) => Cluster.decode(encodeBackend(backend(...args)));

function optionsOf(cluster: ReturnType<typeof clusterOf>) {
  const [[name, any] = []] = Object.entries(cluster.typedExtensionProtocolOptions ?? {});
  if (any === undefined) return undefined;
  assert.equal(name, "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
  return Options.decode(any.value as Uint8Array);
}

test("a backend is a cluster whose endpoints come over ADS, in or outside of tunnels", () => {
  const cluster = clusterOf();
  assert.equal(cluster.name, "outbound|shop/cart.shop.svc.cluster.local|80");
  assert.equal(cluster.type, Cluster.DiscoveryType.EDS);
  assert.ok(cluster.edsClusterConfig?.edsConfig?.ads);
  assert.deepEqual(
    cluster.transportSocketMatches?.map(({ name, transportSocket }) => [name, transportSocket?.name]),
    [
      ["tunnel", "internal_upstream"],
      ["plain", "raw_buffer"],
    ],
  );
});

test("what nobody limits is unlimited, and endpoints that were put aside stay aside when all are", () => {
  const cluster = clusterOf();
  const [limits] = cluster.circuitBreakers!.thresholds!;
  assert.deepEqual(
    [limits!.maxConnections, limits!.maxRequests, limits!.maxPendingRequests].map((limit) => limit?.value),
    [0xffff_ffff, 0xffff_ffff, 0xffff_ffff],
  );
  assert.equal(cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 0, 0);
  assert.equal(cluster.outlierDetection, null);
});

test("what a DestinationRule limits is limited, one by one", () => {
  const [limits] = clusterOf({ maxRequests: 7, maxRetries: 0 }).circuitBreakers!.thresholds!;
  assert.deepEqual(
    [limits!.maxRequests?.value, limits!.maxRetries?.value ?? 0, limits!.maxConnections?.value],
    [7, 0, 0xffff_ffff],
  );
});

test("outliers are those that fail so often in a row; 0 turns a count off, and undefined leaves it as it is", () => {
  const common = { intervalMs: 1_500, baseEjectionMs: 30_000, maxEjectionPercent: 100 };
  const detection = { ...common, consecutive5xx: 0, consecutiveGatewayErrors: 3 };
  const outliers = clusterOf({ outlierDetection: detection }).outlierDetection!;
  assert.equal(outliers.enforcingConsecutive_5xx?.value ?? 0, 0);
  assert.deepEqual(
    [outliers.consecutiveGatewayFailure?.value, outliers.enforcingConsecutiveGatewayFailure?.value],
    [3, 100],
  );
  assert.deepEqual([Number(outliers.interval?.seconds), outliers.interval?.nanos], [1, 500_000_000]);
  const silent = { ...common, consecutive5xx: undefined, consecutiveGatewayErrors: undefined };
  assert.equal(clusterOf({ outlierDetection: silent }).outlierDetection!.consecutive_5xx, null);
});

test("a backend is spoken to in its own protocol, or as the caller spoke", () => {
  assert.ok(optionsOf(clusterOf({}, "http1"))?.explicitHttpConfig?.httpProtocolOptions);
  assert.ok(optionsOf(clusterOf({}, "http2"))?.explicitHttpConfig?.http2ProtocolOptions);
  assert.ok(optionsOf(clusterOf({}, "same"))?.useDownstreamProtocolConfig?.http2ProtocolOptions);
  assert.equal(optionsOf(clusterOf({}, "tcp")), undefined);
});

test("connections are timed and counted as a DestinationRule says", () => {
  const cluster = clusterOf({ connectTimeoutMs: 250, idleTimeoutMs: 5_000, maxRequestsPerConnection: 1 }, "http1");
  assert.equal(cluster.connectTimeout?.nanos, 250_000_000);
  const { commonHttpProtocolOptions } = optionsOf(cluster)!;
  assert.equal(Number(commonHttpProtocolOptions?.idleTimeout?.seconds), 5);
  assert.equal(commonHttpProtocolOptions?.maxRequestsPerConnection?.value, 1);
});
