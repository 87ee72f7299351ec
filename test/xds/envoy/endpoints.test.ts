import assert from "node:assert/strict";
import { test } from "mocha";
import type { ProxyEndpoint } from "../../../src/registry/model/proxy-backend.ts";
import { encodeAssignment } from "../../../src/xds/envoy/endpoint-assignments.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { CART_80, doubleTunnel, GATEWAY, plain, spiffe, tunnel } from "./samples.ts";

const Assignment = envoy.config.endpoint.v3.ClusterLoadAssignment;

function assigned(...groups: readonly (readonly ProxyEndpoint[])[]) {
  const { endpoints, ...rest } = Assignment.decode(encodeAssignment({ gateway: GATEWAY, name: CART_80, groups }));
  const flat = (endpoints ?? []).flatMap(({ lbEndpoints, priority, locality }) =>
    (lbEndpoints ?? []).map(({ endpoint, metadata, loadBalancingWeight }) => ({
      priority: priority ?? 0,
      locality: locality?.region,
      weight: loadBalancingWeight?.value,
      address: endpoint?.address,
      texts: Object.fromEntries(
        Object.entries(metadata?.filterMetadata ?? {}).map(([name, { fields }]) => [
          name,
          Object.fromEntries(Object.entries(fields ?? {}).map(([key, value]) => [key, value.stringValue])),
        ]),
      ),
    })),
  );
  return { ...rest, flat };
}

const idsOf = (...groups: readonly (readonly ProxyEndpoint[])[]) =>
  assigned(...groups).flat.map(({ address }) => address?.envoyInternalAddress?.endpointId);

test("an endpoint in the mesh is reached through a listener of its trust domain, which is told where, what and whom", () => {
  const [only] = assigned([tunnel()]).flat;
  assert.equal(only!.address?.envoyInternalAddress?.serverListenerName, "connect_originate|cluster.local");
  assert.deepEqual(only!.texts["envoy.filters.listener.original_dst"], { local: "10.0.0.5:15008" });
  assert.deepEqual(only!.texts["io.causeway.tunnel"], { authority: "10.0.0.5:8080", names: spiffe("cart") });
});

test("an endpoint of another network is reached through two listeners, and both identities are said", () => {
  const [only] = assigned([doubleTunnel()]).flat;
  const listener = only!.address?.envoyInternalAddress?.serverListenerName;
  assert.equal(listener, "inner_connect_originate|west.example|west.example");
  assert.deepEqual(only!.texts["io.causeway.tunnel"], {
    authority: "cart.shop.mesh.internal:80",
    names: `${spiffe("cart", "west.example")},${spiffe("way", "west.example")}`,
    gateway_names: spiffe("eastwest", "west.example"),
    gateway: "192.0.2.7:15008",
  });
  assert.deepEqual([only!.weight, only!.locality], [3, "w"]);
});

test("a gateway with a host name is a cluster, as only clusters look names up", () => {
  const hostname = "gw.west.example" as never;
  const [only] = assigned([doubleTunnel({ kind: "hostname", hostname })]).flat;
  const texts = only!.texts["io.causeway.tunnel"]!;
  assert.equal(texts["gateway_cluster"], "outer_connect_originate|west.example|gw.west.example|15008");
  assert.equal(texts["gateway"], undefined);
});

test("IPv6 addresses are in brackets where a port follows", () => {
  const [only] = assigned([tunnel("fd00::5")]).flat;
  assert.deepEqual(only!.texts["envoy.filters.listener.original_dst"], { local: "[fd00::5]:15008" });
});

test("what is outside of the mesh is dialled as it is", () => {
  const [only] = assigned([plain()]).flat;
  const { address, portValue } = only!.address?.socketAddress ?? {};
  assert.deepEqual([address, portValue], ["10.0.0.9", 8080]);
  assert.deepEqual(only!.texts, {});
});

test("groups are priorities without a gap, and one endpoint of a group is enough for all", () => {
  const { flat, policy } = assigned([], [tunnel("10.0.0.1"), tunnel("10.0.0.2")], [], [doubleTunnel()]);
  assert.deepEqual(
    flat.map(({ priority }) => priority),
    [0, 0, 1],
  );
  // Envoy: a priority takes all as long as its healthy share times this is 100 percent; here one in ten thousand does.
  assert.ok(policy!.overprovisioningFactor!.value! >= 100 * 10_000);
});

test("an endpoint that must be another workload from now on is another endpoint, so old connections are not its", () => {
  const [before] = idsOf([tunnel()]);
  assert.deepEqual(idsOf([tunnel()]), [before]);
  assert.notDeepEqual(idsOf([tunnel("10.0.0.5", [spiffe("pay")])]), [before]);
  assert.match(before!, /^pod at 10\.0\.0\.5 /);
});

test("weights that Envoy could not sum up are scaled down, and none becomes nothing", () => {
  const heavy = { ...tunnel("10.0.0.1"), weight: 4_000_000_000 };
  const { flat } = assigned([heavy, { ...heavy, id: "other" }, tunnel("10.0.0.2")]);
  const weights = flat.map(({ weight }) => weight!);
  assert.ok(weights.reduce((a, b) => a + b) <= 0xffff_ffff, String(weights));
  assert.ok(Math.min(...weights) >= 1);
});

test("an address that is none is refused by name", () => {
  assert.throws(() => assigned([tunnel("cart.shop")]), /endpoint pod at cart\.shop is at "cart\.shop", which is no IP/);
});
