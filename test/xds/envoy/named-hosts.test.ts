import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, objectKey, serviceName } from "../../../src/names.ts";
import { backendName } from "../../../src/registry/model/proxy-backend.ts";
import { encodeAssignment } from "../../../src/xds/envoy/endpoint-assignments.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { encodeHopCluster, encodeHopListener, hopName } from "../../../src/xds/envoy/originate.ts";

const HOP = { kind: "named", hostname: "api.example.com", port: 8443 } as const;

test("a host that has only a name is reached through a listener of its own, whose cluster looks it up and adds nothing", () => {
  const assignment = envoy.config.endpoint.v3.ClusterLoadAssignment.decode(
    encodeAssignment({
      gateway: objectKey(clusterId("east"), "shop", "w"),
      name: backendName(serviceName("shop", "api.example.com"), 443),
      groups: [[{ id: "api", weight: 1, locality: undefined, way: HOP }]],
    }),
  );
  const [{ endpoint, metadata } = {}] = assignment.endpoints[0]!.lbEndpoints!;
  assert.equal(endpoint?.address?.envoyInternalAddress?.serverListenerName, hopName(HOP));
  assert.deepEqual(metadata?.filterMetadata?.["envoy.transport_socket_match"]?.fields?.["tunnel"]?.boolValue, true);

  const listener = envoy.config.listener.v3.Listener.decode(encodeHopListener(HOP));
  assert.equal(listener.name, hopName(HOP));
  const [filter, ...others] = listener.filterChains[0]!.filters!;
  assert.deepEqual(others, []);
  const proxy = envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.decode(filter!.typedConfig!.value!);
  assert.deepEqual([proxy.cluster, proxy.tunnelingConfig ?? null], [hopName(HOP), null]);

  const cluster = envoy.config.cluster.v3.Cluster.decode(encodeHopCluster(HOP));
  const { DiscoveryType, DnsLookupFamily } = envoy.config.cluster.v3.Cluster;
  assert.deepEqual(
    [cluster.type, cluster.dnsLookupFamily, cluster.transportSocket ?? null],
    [DiscoveryType.LOGICAL_DNS, DnsLookupFamily.ALL, null],
  );
  const [{ endpoint: looked } = {}] = cluster.loadAssignment!.endpoints![0]!.lbEndpoints!;
  const { address, portValue } = looked!.address!.socketAddress!;
  assert.deepEqual([address, portValue], ["api.example.com", 8443]);
});
