import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, objectKey, serviceName } from "../../../src/names.ts";
import { sameEndpoints } from "../../../src/registry/gateways/same-endpoints.ts";
import { backendName, type EndpointWay, type ProxyEndpoints } from "../../../src/registry/model/proxy-backend.ts";

const identity = { trustDomain: "a.test", names: ["spiffe://a.test/ns/shop/sa/cart"] };
const WAYS: readonly EndpointWay[] = [
  { kind: "plain", ip: "10.0.0.1", port: 8080 },
  { kind: "named", hostname: "a.api.com", port: 8080 },
  { kind: "tunnel", ip: "10.0.0.1", hbonePort: 15_008, authority: "10.0.0.1:8080", identity },
  {
    kind: "double-tunnel",
    gateway: { kind: "ip", ip: "192.0.2.1" },
    hbonePort: 15_008,
    gatewayIdentity: {
      trustDomain: "b.test",
      names: ["spiffe://b.test/ns/shop/sa/ew", "spiffe://b.test/ns/shop/sa/x"],
    },
    authority: "cart.shop.mesh.internal:80",
    identity,
  },
  {
    kind: "double-tunnel",
    gateway: { kind: "hostname", hostname: "gw.example.com" },
    hbonePort: 15_008,
    gatewayIdentity: identity,
    authority: "cart.shop.mesh.internal:80",
    identity,
  },
];
const endpoints = (way: EndpointWay): ProxyEndpoints => ({
  gateway: objectKey(clusterId("east"), "shop", "w"),
  name: backendName(serviceName("shop", "cart"), 80),
  groups: [
    [{ id: "one", weight: 2, locality: { region: "r", zone: "z", subzone: "s" }, way }],
    [{ id: "two", weight: 1, locality: undefined, way: WAYS[0]! }],
  ],
});

/** All values that differ from this one in a single text, number or list. */
function* mutants(value: unknown): Iterable<unknown> {
  if (typeof value === "number") yield value + 1;
  if (typeof value === "string") yield `${value}x`;
  if (Array.isArray(value)) {
    yield value.slice(1);
    yield [...value, ...value];
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value))
    for (const other of mutants(part))
      yield Array.isArray(value) ? value.with(Number(key), other) : { ...value, [key]: other };
}

test("endpoints are the same only if all of their fields are", () => {
  for (const way of WAYS) {
    const value = endpoints(way);
    assert.ok(sameEndpoints(value, structuredClone(value)));
    const others = [...mutants(value)] as ProxyEndpoints[];
    assert.ok(others.length > 15);
    for (const other of others) assert.ok(!sameEndpoints(value, other), JSON.stringify(other));
  }
  for (const [at, way] of WAYS.entries())
    for (const other of WAYS.filter((_way, place) => place !== at))
      assert.ok(!sameEndpoints(endpoints(way), endpoints(other)));
});
