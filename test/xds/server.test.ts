import assert from "node:assert/strict";
import { test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import type { Caller, Credentials } from "../../src/caller.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import type { StreamMethod } from "../../src/grpc/method.ts";
import { meshLogs } from "../../src/xds/mesh-logs.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { type Admission, XdsServer } from "../../src/xds/server.ts";
import { TestHost } from "../kits/test-host.ts";
import { authorization, pod, service, testMesh, type TestMesh } from "../registry/mesh.ts";
import { FakeChannel, namesOf } from "./fake-channel.ts";

const credentials: Credentials = {
  authorization: "Bearer token",
  clusterId: "east",
  certificateChain: [],
  remoteAddress: "10.0.0.9:4000",
};

const callerOf = (namespace: string, serviceAccount: string): Caller => ({
  identity: { trustDomain: "cluster.local", namespace, serviceAccount },
  cluster: clusterId("east"),
  via: "token",
  pod: undefined,
  expiresAt: Infinity,
});
const ztunnel = callerOf("istio-system", "ztunnel");

const admitting = (caller: Caller): Admission => ({
  authenticator: { authenticate: () => Promise.resolve(caller) },
  whyNot: ({ identity }) => (identity.namespace === "stranger" ? "it is a stranger" : undefined),
});

interface Lab extends TestMesh {
  readonly host: TestHost;
  readonly server: XdsServer;
  /** Opens a delta stream, as `caller` if one is given. */
  readonly connect: (caller?: Caller) => Promise<FakeChannel>;
  readonly open: (method: StreamMethod) => Promise<FakeChannel>;
}

function lab(): Lab {
  const host = new TestHost();
  const mesh = testMesh();
  const { logs } = meshLogs(mesh.graph, mesh.registry, () => server.changed());
  const server = new XdsServer(host, {
    logs,
    debug: {
      systemNamespace: "istio-system",
      page: (page) =>
        page === "list"
          ? Promise.resolve(Buffer.from("[]"))
          : Promise.reject(new MeshError("absent", `no page ${page}`)),
    },
    controlPlane: "{}",
  });
  const open = async (method: StreamMethod): Promise<FakeChannel> => {
    const channel = new FakeChannel(credentials);
    channel.receiver = await method.open(channel);
    return channel;
  };
  const connect = (caller?: Caller) => open(server.methods(caller && admitting(caller))[0]!);
  mesh.apply(pod("cart", "10.0.0.1"), service("cart", "10.96.0.1"), authorization("open", { rules: [{}] }));
  return { ...mesh, host, server, connect, open };
}

const cartPod = "east//Pod/shop/cart";
const cart = "shop/cart.shop.svc.cluster.local";

test("a ztunnel gets policies, then workloads and services, and each change once it has answered", async () => {
  const { connect, apply, host } = lab();
  const client = await connect(ztunnel);
  assert.ok(client.headersSent);
  client.hello();
  const [policies, addresses, ...rest] = client.read();
  assert.deepEqual([policies!.typeUrl, namesOf(policies)], [AUTHORIZATION_TYPE, ["shop/open"]]);
  assert.deepEqual([addresses!.typeUrl, namesOf(addresses)], [ADDRESS_TYPE, [cartPod, cart]]);
  assert.deepEqual(rest, []);

  apply(pod("cart", "10.0.0.2"));
  host.clock.advance(0);
  assert.deepEqual(client.read(), [], "one response is unanswered");
  client.ack(addresses!);
  assert.deepEqual(client.read().map(namesOf), [[cartPod]]);
  assert.equal(host.metric("pilot_xds_pushes{type=wds}"), 2);
  assert.ok(host.series.includes("pilot_total_xds_rejects{type=wds}"), "the first refusal is growth");
  assert.equal(host.metric("pilot_proxy_convergence_time_count"), 1);
  assert.equal(host.metric("pilot_proxy_queue_time_count"), 1);
});

test("a change reaches every client in the turn after it settled", async () => {
  const { connect, apply, host } = lab();
  const clients = [await connect(ztunnel), await connect(ztunnel)];
  for (const client of clients) {
    client.hello();
    for (const response of client.read()) client.ack(response);
  }
  apply(pod("web", "10.0.0.3"));
  host.clock.advance(0);
  for (const client of clients) assert.deepEqual(client.read().map(namesOf), [["east//Pod/shop/web"]]);
});

test("a socket that is full gets nothing more until it is writable", async () => {
  const { connect } = lab();
  const client = await connect(ztunnel);
  client.roomy = false;
  client.hello();
  assert.deepEqual(
    client.read().map(({ typeUrl }) => typeUrl),
    [AUTHORIZATION_TYPE],
  );
  client.roomy = true;
  client.receiver!.writable();
  // Served by the pump, not inside the socket's callback.
  assert.deepEqual(client.read(), []);
});

test("what a client says of itself must be what it has proven", async () => {
  const { connect, host } = lab();
  const liars: readonly [Caller, Record<string, string>, RegExp][] = [
    [callerOf("shop", "cart"), {}, /namespace "istio-system", but its credentials are spiffe:.*\/ns\/shop\/sa\/cart's/],
    [ztunnel, { NAMESPACE: "shop" }, /namespace "shop"/],
    [ztunnel, { SERVICE_ACCOUNT: "admin" }, /service account "admin"/],
  ];
  for (const [caller, metadata, message] of liars) {
    const client = await connect(caller);
    client.hello(metadata);
    assert.ok(client.ended instanceof MeshError);
    assert.equal(client.ended.code, "denied");
    assert.match(client.ended.message, message);
    assert.deepEqual(client.read(), []);
  }
  assert.equal(host.metric("xds_clients_shed_total{reason=refused}"), 3);
});

test("whoever may not see the mesh is refused before the headers", async () => {
  const { server, open, host } = lab();
  const strange = server.methods(admitting(callerOf("stranger", "x")))[0]!;
  await assert.rejects(open(strange), /may not read the mesh: it is a stranger/);
  assert.equal(host.metric("xds_clients_shed_total{reason=denied}"), 1);
  assert.match(host.lines.at(-1)!, /^warn delta: client refused address=10.0.0.9:4000 clusterId=east/);
});

test("on the plaintext port a client proves nothing and is served", async () => {
  const client = await lab().connect();
  client.hello({ NAMESPACE: "wherever" });
  assert.equal(client.read().length, 2);
});

test("a NACK is logged with its reason and counted, and nothing is sent again", async () => {
  const { connect, host } = lab();
  const client = await connect(ztunnel);
  client.hello();
  const [, addresses] = client.read();
  client.write({ typeUrl: ADDRESS_TYPE, responseNonce: addresses!.nonce, errorDetail: { message: "bad\nport" } });
  host.clock.advance(1);
  assert.deepEqual(client.read(), []);
  assert.equal(host.metric("pilot_total_xds_rejects{type=wds}"), 1);
  assert.ok(host.lines.some((line) => line.startsWith("warn delta: NACK") && line.includes("reason=bad\\nport")));
});

test("a message that is no request ends the stream with a sentence", async () => {
  const client = await lab().connect(ztunnel);
  client.receiver!.message(Buffer.from([0x0a, 0xff]));
  assert.ok(client.ended instanceof MeshError && client.ended.code === "invalid");
  assert.match(client.ended.message, /not a DeltaDiscoveryRequest/);
});

test("a client that leaves is counted out and forgotten", async () => {
  const { connect, server, host, apply } = lab();
  const client = await connect(ztunnel);
  client.hello();
  assert.equal(host.metric("pilot_xds{version=unknown}"), 1);
  assert.equal(server.clients()[0]!.subscriptions.length, 2);
  client.receiver!.closed();
  assert.equal(host.metric("pilot_xds{version=unknown}"), 0);
  assert.deepEqual(server.clients(), []);
  client.read();
  apply(pod("web", "10.0.0.3"));
  host.clock.advance(60_000);
  assert.deepEqual(client.read(), []);
  assert.equal(host.clock.pending, 0, "no timer outlives its client");
});

test("a client that does not answer within a minute is let go, to come back", async () => {
  const { connect, host } = lab();
  const client = await connect(ztunnel);
  client.hello();
  host.clock.advance(60_000);
  assert.ok(client.ended instanceof MeshError && client.ended.code === "timeout");
  assert.equal(host.metric("xds_clients_shed_total{reason=unanswered}"), 1);
  assert.equal(host.metric("pilot_xds_write_timeout"), 1);
});

test("a client on a slow link is late a minute after its socket took the last bytes, not before", async () => {
  const { connect, host } = lab();
  const client = await connect(ztunnel);
  client.roomy = false;
  client.hello();
  const ended = () => client.ended;
  for (let minute = 0; minute < 5; minute++) {
    client.bytesWritten += 1_000_000;
    host.clock.advance(60_000);
    assert.equal(ended(), undefined, `cut off in minute ${minute + 1} of the transfer`);
  }
  client.receiver!.writable();
  // Of another stream of its connection, by now.
  client.bytesWritten += 1_000_000;
  host.clock.advance(59_999);
  assert.equal(ended(), undefined);
  host.clock.advance(1);
  assert.match(String(ended()), /has not answered a response of \S+ for 360 s/);
});

test("pings that pass a socket which is full are no progress", async () => {
  const { connect, host } = lab();
  const client = await connect(ztunnel);
  client.roomy = false;
  client.hello();
  client.bytesWritten += 100;
  host.clock.advance(60_000);
  assert.ok(client.ended instanceof MeshError && client.ended.code === "timeout");
});

const { DiscoveryRequest, DiscoveryResponse } = envoy.service.discovery.v3;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("istioctl proxy-status gets every client and its state, whatever nonce it makes up", async () => {
  const { connect, open, server } = lab();
  const client = await connect(ztunnel);
  client.hello();
  client.ack(client.read()[0]!);
  const istioctl = await open(server.methods(admitting(callerOf("istio-system", "operator")))[1]!);
  const request = { typeUrl: "istio.io/debug/syncz", responseNonce: "2026-11-21 06:00:00" };
  istioctl.receiver!.message(DiscoveryRequest.encode(request).finish());
  await settled();
  const response = DiscoveryResponse.decode(istioctl.sent[0]!);
  assert.equal(response.typeUrl, "istio.io/debug/syncz");
  const config = envoy.service.status.v3.ClientConfig.decode(response.resources[0]!.value!);
  assert.equal(config.node!.id, "ztunnel-1.istio-system");
  assert.equal(config.node!.metadata!.fields!["CLUSTER_ID"]!.stringValue, "east");
  assert.deepEqual(
    config.genericXdsConfigs.map(({ typeUrl, configStatus }) => [typeUrl, configStatus]),
    [
      [ADDRESS_TYPE, 3],
      [AUTHORIZATION_TYPE, 1],
    ],
  );
});

test("a debug page comes over both methods, and only to the system namespace", async () => {
  const { server, open, connect } = lab();
  const list = DiscoveryRequest.encode({ typeUrl: "istio.io/debug", resourceNames: ["list"] }).finish();
  const operator = await open(server.methods(admitting(callerOf("istio-system", "operator")))[1]!);
  operator.receiver!.message(list);
  const overDelta = await connect(ztunnel);
  overDelta.write({ typeUrl: "istio.io/debug", resourceNamesSubscribe: ["list"] });
  const tenant = await open(server.methods(admitting(callerOf("shop", "cart")))[1]!);
  tenant.receiver!.message(list);
  const nobody = await open(server.methods(undefined)[1]!);
  nobody.receiver!.message(list);
  const lost = await open(server.methods(admitting(ztunnel))[1]!);
  lost.receiver!.message(DiscoveryRequest.encode({ typeUrl: "istio.io/debug", resourceNames: ["edsz"] }).finish());
  await settled();
  const [page] = DiscoveryResponse.decode(operator.sent[0]!).resources;
  assert.deepEqual([page!.type_url, Buffer.from(page!.value!).toString()], ["istio.io/debug", "[]"]);
  assert.deepEqual(namesOf(overDelta.read()[0]), ["list"]);
  for (const refused of [tenant, nobody])
    assert.ok(refused.ended instanceof MeshError && refused.ended.code === "denied");
  assert.ok(lost.ended instanceof MeshError && lost.ended.code === "absent");
});
