import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, objectKey } from "../../../src/names.ts";
import { ADDRESS_TYPE, CLUSTER_TYPE, PROXY_TYPES } from "../../../src/xds/resource.ts";
import { type FakeChannel, namesOf } from "../fake-channel.ts";
import { callerOf, EAST, ProxyLab, proxyGateway, proxyNode, WAYPOINT } from "./proxy-lab.ts";

const itself = callerOf("shop", "waypoint");
const codeOf = ({ ended }: FakeChannel) => (ended === "ok" || ended === undefined ? ended : ended.code);
const whyOf = ({ ended }: FakeChannel) => (ended === "ok" || ended === undefined ? "" : ended.message);

async function asked(lab: ProxyLab, caller = itself, node = proxyNode()): Promise<FakeChannel> {
  const channel = await lab.connect(caller);
  channel.write({ typeUrl: CLUSTER_TYPE, node });
  return channel;
}

test("a proxy gets the resources of its own Gateway, and of no other", async () => {
  const lab = new ProxyLab();
  const other = objectKey(EAST, "shop", "other");
  lab.gateways.set(other, proxyGateway({ key: other, name: "other" }));
  lab.write("CDS", "cart", "1");
  lab.write("CDS", "secret", "1", other);
  lab.settle();
  const channel = await asked(lab);
  assert.deepEqual(channel.read().map(namesOf), [["cart"]]);
  assert.equal(lab.admission.connected(WAYPOINT), 1);
  assert.equal(lab.admission.connected(other), 0);
});

test("a proxy whose identity is not exactly its Gateway's is refused, with the account to run it as", async () => {
  for (const caller of [
    callerOf("shop", "default"),
    callerOf("shop", "ztunnel"),
    { ...itself, identity: { ...itself.identity, trustDomain: "other" } },
  ]) {
    const channel = await asked(new ProxyLab(), caller);
    assert.equal(codeOf(channel), "denied");
    assert.match(whyOf(channel), /^only spiffe:.*Gateway shop\/waypoint: run its pods as service account waypoint/);
    assert.deepEqual(channel.read(), []);
  }
  const abroad = await asked(new ProxyLab(), callerOf("shop", "waypoint", clusterId("west")));
  assert.match(whyOf(abroad), /only proxies of cluster east, not of west/);
  const stranger = await asked(new ProxyLab(), callerOf("web", "waypoint"));
  assert.match(whyOf(stranger), /Gateway shop\/waypoint is programmed for proxies of its own namespace/);
});

test("a proxy that comes before its Gateway is told to try again, and which Gateway is awaited", async () => {
  const lab = new ProxyLab();
  const late = objectKey(EAST, "shop", "late");
  const caller = callerOf("shop", "late");
  const early = await asked(lab, caller, proxyNode("late"));
  assert.equal(codeOf(early), "unavailable");
  assert.match(whyOf(early), /there is no Gateway shop\/late .* yet/);
  assert.match(lab.admission.problems()[0]!.message, /Its proxy late-1\.shop is not let in: there is no Gateway/);
  lab.gateways.set(late, proxyGateway({ key: late, name: "late", serviceAccount: "late" }));
  lab.settle();
  const again = await asked(lab, caller, proxyNode("late"));
  assert.deepEqual(again.read().map(namesOf), [[]]);
  assert.deepEqual(lab.admission.problems(), []);
});

test("a proxy gets neither workloads nor policies, and whoever is no proxy nothing of Gateways", async () => {
  const lab = new ProxyLab();
  const proxy = await lab.connect(itself);
  proxy.write({ typeUrl: ADDRESS_TYPE, node: proxyNode() });
  assert.equal(codeOf(proxy), "denied");
  assert.match(whyOf(proxy), /Address" is not for proxies of Gateway shop\/waypoint/);
  for (const typeUrl of PROXY_TYPES) {
    const ztunnel = await lab.connect(callerOf("istio-system", "ztunnel"));
    const id = "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local";
    ztunnel.write({ typeUrl, node: { id } });
    assert.equal(codeOf(ztunnel), "denied");
    assert.match(whyOf(ztunnel), /DS of a Gateway is for its proxies: .*GATEWAY and NAMESPACE/);
  }
  const nobody = await lab.connect();
  nobody.write({ typeUrl: CLUSTER_TYPE, node: proxyNode() });
  assert.equal(codeOf(nobody), "denied", "nobody proves anything on the plaintext port");
});

test("a workload that may not read the mesh is refused once it has said what it is, or nothing for ten seconds", async () => {
  const lab = new ProxyLab();
  const workload = callerOf("shop", "cart");
  const loud = await lab.connect(workload);
  loud.write({ typeUrl: ADDRESS_TYPE, node: { id: "sidecar~10.0.0.9~cart-1.shop~shop.svc.cluster.local" } });
  assert.match(whyOf(loud), /shop\/sa\/cart may not read the mesh: only ztunnel may/);
  assert.equal(lab.host.metric("xds_clients_shed_total{reason=denied}"), 1);
  const silent = await lab.connect(workload);
  lab.host.clock.advance(9_999);
  assert.equal(silent.ended, undefined);
  lab.host.clock.advance(1);
  assert.equal(codeOf(silent), "denied");
  const proxy = await asked(lab);
  lab.host.clock.advance(20_000);
  assert.equal(proxy.ended, undefined);
});

test("a Gateway that is gone, or runs as somebody else, ends the streams of its proxies", async () => {
  const gone = new ProxyLab();
  const orphan = await asked(gone);
  gone.gateways.delete(WAYPOINT);
  gone.settle();
  assert.equal(codeOf(orphan), "unavailable");
  assert.equal(gone.logs.of(WAYPOINT), undefined);

  const changed = new ProxyLab();
  const stale = await asked(changed);
  changed.gateways.set(WAYPOINT, proxyGateway({ serviceAccount: "other" }));
  changed.settle();
  assert.equal(codeOf(stale), "denied");
  assert.equal(changed.admission.connected(WAYPOINT), 0);
});

test("what a proxy rejects is a problem at its Gateway until it takes something, or leaves", async () => {
  const lab = new ProxyLab();
  lab.write("CDS", "cart", "1");
  lab.settle();
  const channel = await asked(lab);
  const [first] = channel.read();
  channel.write({ typeUrl: CLUSTER_TYPE, responseNonce: first!.nonce, errorDetail: { message: "bad lb_policy" } });
  const [problem, ...more] = lab.admission.problems();
  assert.deepEqual(more, []);
  assert.equal(problem!.object, "Gateway shop/waypoint");
  assert.match(problem!.message, /^Its proxy waypoint-1\.shop does not take CDS cart, .*: bad lb_policy/);
  assert.equal(lab.host.metric("pilot_total_xds_rejects{type=cds}"), 1);
  lab.settle();
  assert.deepEqual(channel.read(), [], "what was rejected is not sent again");

  lab.write("CDS", "cart", "2");
  lab.settle();
  channel.ack(channel.read()[0]!);
  assert.deepEqual(lab.admission.problems(), []);
  assert.ok(lab.problemsNoted >= 2);
});
