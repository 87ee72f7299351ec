import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { serviceName } from "../../../src/names.ts";
import { settingsFor } from "../../../src/registry/gateways/backend-settings.ts";
import { SETTINGS } from "../../xds/envoy/samples.ts";
import { corrupted } from "../corrupted.ts";
import { object, service, testMesh, type TestMesh } from "../mesh.ts";
import { problemsOf } from "./routes.ts";

type Fields = Readonly<Record<string, unknown>>;

const rule = (name: string, host: string, trafficPolicy: Fields, more: Fields = {}, namespace = "shop") =>
  object(
    "networking.istio.io/v1",
    "DestinationRule",
    { name, namespace, creationTimestamp: "2026-01-01T00:00:00Z" },
    { spec: { host, trafficPolicy, ...more } },
  );
const connections = (maxConnections: number): Fields => ({ connectionPool: { tcp: { maxConnections } } });
const mesh = (...objects: readonly KubeObject[]): TestMesh =>
  testMesh([
    service("cart", "10.1.0.1", { ports: [{ port: 80 }, { port: 81 }] }),
    service("pay", "10.1.0.2", {}, { namespace: "bank" }),
    ...objects,
  ]);
const CART = serviceName("shop", "cart.shop.svc.cluster.local");
const settings = ({ registry }: TestMesh, of: { namespace?: string; port?: number; service?: string } = {}) => {
  const { namespace = "shop", port = 80, service = CART } = of;
  return settingsFor(registry.routes.settings.get(service as typeof CART), namespace, port);
};

test("a DestinationRule sets connection pools, time limits, balancing and outlier detection", () => {
  const found = mesh(
    rule("r", "cart", {
      connectionPool: {
        tcp: { maxConnections: 5, connectTimeout: "1.5s", idleTimeout: "1h" },
        http: {
          ...{ http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRequestsPerConnection: 8, maxRetries: 9 },
          idleTimeout: "60s",
        },
      },
      loadBalancer: { simple: "ROUND_ROBIN" },
      outlierDetection: { consecutive5xxErrors: 3, interval: "5s", baseEjectionTime: "1m", maxEjectionPercent: 50 },
    }),
  );
  assert.deepEqual(settings(found), {
    connectTimeoutMs: 1_500,
    maxConnections: 5,
    maxPendingRequests: 6,
    maxRequests: 7,
    maxRequestsPerConnection: 8,
    maxRetries: 9,
    idleTimeoutMs: 60_000,
    outlierDetection: {
      consecutive5xx: 3,
      consecutiveGatewayErrors: undefined,
      intervalMs: 5_000,
      baseEjectionMs: 60_000,
      maxEjectionPercent: 50,
    },
    balance: "round-robin",
  });
  assert.deepEqual(problemsOf(found), []);
});

test("without a rule the defaults hold, and after its last rule they do again", () => {
  const only = rule("r", "cart", connections(5));
  const found = mesh(only);
  assert.equal(settings(found).maxConnections, 5);
  assert.deepEqual(settings(found, { service: "bank/pay.bank.svc.cluster.local" }), SETTINGS);
  found.remove(only);
  assert.deepEqual(settings(found), SETTINGS);
  assert.equal(found.registry.routes.settings.size, 0);
});

test("outlier detection that is only asked for is Istio's, and 0 turns a kind of counting off", () => {
  const asked = mesh(rule("r", "cart", { outlierDetection: {} }));
  assert.deepEqual(settings(asked).outlierDetection, {
    consecutive5xx: 5,
    consecutiveGatewayErrors: undefined,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionPercent: 10,
  });
  const gateway = mesh(
    rule("r", "cart", { outlierDetection: { consecutive5xxErrors: 0, consecutiveGatewayErrors: 2 } }),
  );
  const { consecutive5xx, consecutiveGatewayErrors } = settings(gateway).outlierDetection!;
  assert.deepEqual([consecutive5xx, consecutiveGatewayErrors], [undefined, 2]);
});

test("what is said of a port replaces what is said of the host", () => {
  const found = mesh(
    rule("r", "cart", {
      ...connections(5),
      portLevelSettings: [{ port: { number: 81 }, loadBalancer: { simple: "RANDOM" } }],
    }),
  );
  assert.equal(settings(found).maxConnections, 5);
  const { maxConnections, balance } = settings(found, { port: 81 });
  assert.deepEqual([maxConnections, balance], [undefined, "random"]);
});

test("a waypoint's own namespace comes first, then the service's, then the root namespace", () => {
  const host = "cart.shop.svc.cluster.local";
  const found = mesh(rule("root", host, connections(1), {}, "istio-system"));
  const limits = () => ["shop", "edge"].map((namespace) => settings(found, { namespace }).maxConnections);
  assert.deepEqual(limits(), [1, 1]);
  found.apply(rule("own", host, connections(2)));
  assert.deepEqual(limits(), [2, 2]);
  found.apply(rule("client", host, connections(3), {}, "edge"));
  assert.deepEqual(limits(), [2, 3]);
});

test("a rule of the service's namespace that is exported to it alone says nothing to others' waypoints", () => {
  const host = "cart.shop.svc.cluster.local";
  const found = mesh(
    rule("root", host, connections(1), {}, "istio-system"),
    rule("own", host, connections(2), { exportTo: ["."] }),
  );
  const limits = () => ["shop", "edge"].map((namespace) => settings(found, { namespace }).maxConnections);
  assert.deepEqual(limits(), [2, 1]);
  found.apply(rule("own", host, connections(2), { exportTo: ["edge"] }));
  assert.deepEqual(limits(), [1, 2]);
});

test("the very host comes before a wildcard, a long wildcard before a short one, and the older of equals first", () => {
  const found = mesh(
    rule("all", "*", connections(1)),
    rule("near", "*.shop.svc.cluster.local", connections(2)),
    rule("wide", "*.cluster.local", connections(3)),
  );
  assert.equal(settings(found).maxConnections, 2);
  found.apply(rule("b", "cart", connections(4)), rule("a", "cart.shop.svc.cluster.local", connections(5)));
  assert.equal(settings(found).maxConnections, 5);
});

for (const [name, trafficPolicy, more, message] of [
  [
    "subsets",
    {},
    { subsets: [{ name: "v1" }] },
    /spec\.subsets have no effect at waypoints; give each version a Service/,
  ],
  ["TLS of its own", { tls: { mode: "SIMPLE" } }, {}, /spec\.trafficPolicy\.tls has no effect/],
  ["a hash", { loadBalancer: { consistentHash: {} } }, {}, /loadBalancer\.consistentHash is not supported/],
  [
    "passing through",
    { loadBalancer: { simple: "PASSTHROUGH" } },
    {},
    /simple is "PASSTHROUGH", which is not supported/,
  ],
  [
    "a time that is none",
    { connectionPool: { tcp: { maxConnections: 5, connectTimeout: "soon" } } },
    {},
    /connectTimeout must be a time/,
  ],
  ["a selector", {}, { workloadSelector: {} }, /spec\.workloadSelector chooses sidecars/],
] as const)
  test(`a rule with ${name} says that it has no effect, and does the rest`, () => {
    const found = mesh(rule("r", "cart", { ...connections(5), ...trafficPolicy }, more));
    assert.equal(settings(found).maxConnections, 5);
    assert.match(problemsOf(found).join(), message);
  });

test("many older rules of another namespace take nothing from the host's own", () => {
  const older = (at: number) =>
    object(
      "networking.istio.io/v1",
      "DestinationRule",
      { name: `r-${at}`, namespace: "evil", creationTimestamp: "2020-01-01T00:00:00Z" },
      { spec: { host: "cart.shop.svc.cluster.local", trafficPolicy: connections(1) } },
    );
  const found = mesh(...Array.from({ length: 150 }, (_, at) => older(at)), rule("own", "cart", connections(7)));
  assert.equal(settings(found).maxConnections, 7);
  assert.equal(settings(found, { namespace: "bank" }).maxConnections, 7);
});

test("a rule for a host that nobody knows is a problem, until there is such a host", () => {
  const found = mesh(rule("r", "ghost", connections(5)));
  assert.match(
    problemsOf(found).join(),
    /DestinationRule shop\/r: spec\.host is ghost\.shop\.svc\.cluster\.local, which is no host/,
  );
  found.apply(service("ghost", "10.1.0.9"));
  assert.deepEqual(problemsOf(found), []);
});

test("a rule that cannot be read any more stays as it was, and garbage anywhere in it ends in a value or a problem", () => {
  const whole = rule("r", "cart", {
    connectionPool: { tcp: { maxConnections: 5, connectTimeout: "1s" }, http: { maxRetries: 1 } },
    outlierDetection: { interval: "1s" },
    portLevelSettings: [{ port: { number: 80 }, connectionPool: { tcp: { maxConnections: 5 } } }],
  });
  const found = mesh(whole);
  found.apply({ ...whole, spec: { host: 7 } });
  assert.equal(settings(found).maxConnections, 5);
  assert.match(
    problemsOf(found).join(),
    /spec\.host must be text, not 7\. Until this is fixed, what the object said before/,
  );
  for (const [, bad] of corrupted(whole)) found.apply(bad);
});
