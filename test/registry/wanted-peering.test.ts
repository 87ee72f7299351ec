import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import type { WantedCondition } from "../../src/kube/wanted-object.ts";
import { clusterId, networkId } from "../../src/names.ts";
import { object, service } from "./mesh.ts";
import { facts, HBONE, peerGateway, status } from "./peers.ts";
import { namedNetwork, peeringView } from "./peering-view.ts";
import { statusAfter, stored } from "./wanted-mesh.ts";

const KEY = "Gateway istio-eastwest/istio-remote-peer-west";
const west = (words = {}, held?: unknown): KubeObject => stored(peerGateway("west", words), held, 3);
const NEWS = { reason: "ConnectionRefused", message: "192.0.2.1 port 15012: nothing listens there" } as const;
const lastError = { ...NEWS, atMs: Date.parse("2026-01-02T03:04:05Z") };

test("a peer that is live has all five conditions true, with the generation of its Gateway", () => {
  const { verdicts, conditions, learn, report } = peeringView([namedNetwork("net1"), west()]);
  learn(facts("west"));
  report(status("west"));
  assert.deepEqual(verdicts(KEY), [
    "Accepted=True Accepted",
    "Programmed=True Programmed",
    "gloo.solo.io/PeerConnected=True Connected",
    "gloo.solo.io/PeeringSucceeded=True Synced",
    "gloo.solo.io/PeerDataPlaneProgrammed=True Programmed",
  ]);
  const found = conditions(KEY);
  assert.equal(found[0]!.message, "Resource accepted");
  assert.ok(found.every(({ observedGeneration, message }) => observedGeneration === 3 && /\S/.test(message)));
  assert.match(found[4]!.message, /net-west is entered by 192\.0\.2\.1 port 15008/);
});

test("a peer that is lost says why and since when, and what it said before stays as it was", () => {
  const { verdicts, conditions, learn, report } = peeringView([namedNetwork("net1"), west()]);
  learn(facts("west"));
  report(status("west", { state: "stale", staleness: "within-grace", ...NEWS, lastError, sinceMs: lastError.atMs }));
  assert.deepEqual(verdicts(KEY).slice(2), [
    "gloo.solo.io/PeerConnected=False ConnectionRefused",
    "gloo.solo.io/PeeringSucceeded=False Stale",
    "gloo.solo.io/PeerDataPlaneProgrammed=True Programmed",
  ]);
  const [, , connected, succeeded] = conditions(KEY);
  assert.equal(connected!.message, "Since 2026-01-02T03:04:05Z: 192.0.2.1 port 15012: nothing listens there.");
  assert.match(succeeded!.message, /^Stale since 2026-01-02T03:04:05Z: what the peer said last stays in force\.$/);
  // What comes back still tells what was wrong last.
  report(status("west", { lastError }));
  assert.match(conditions(KEY)[2]!.message, /is connected\. Last error at 2026-01-02T03:04:05Z: 192/);
});

test("each thing that is wrong with a Gateway, or behind it, is one reason", () => {
  const cases: readonly (readonly [string, object, object, object, readonly number[], string])[] = [
    ["no network", { labels: { "topology.istio.io/network": "" } }, {}, {}, [0], "MissingNetwork"],
    ["two TLS listeners", { listeners: [XDS, { ...XDS, port: 9 }] }, {}, {}, [0, 2, 3, 4], "InvalidListener"],
    ["our own name", { labels: { "topology.istio.io/cluster": "east" } }, {}, {}, [0], "SelfPeer"],
    ["no address", { addresses: [] }, {}, {}, [0], "MissingAddress"],
    ["no DNS answer", {}, { state: "connecting", reason: "AddressUnresolved" }, {}, [1], "AddressUnresolved"],
    ["never there", {}, { state: "connecting", everSynced: false, ...NEWS, lastError }, {}, [3], "SyncPending"],
    ["first state", {}, { state: "syncing", everSynced: false, reason: "SyncPending" }, {}, [3], "SyncPending"],
    ["a bad record", {}, { reason: "ResourceRejected", message: "x" }, {}, [3], "ResourceRejected"],
    ["another network", {}, {}, { network: networkId("net-other") }, [4], "NetworkMismatch"],
    ["no node ports", { annotations: { [PREFERRED]: "nodeport" } }, {}, {}, [4], "NodePortUnavailable"],
  ];
  for (const [what, words, said, known, at, reason] of cases) {
    const { conditions, learn, report } = peeringView([namedNetwork("net1"), west(words)]);
    learn(facts("west", known));
    report(status("west", said));
    const found = conditions(KEY).map(({ status, reason }) => `${status} ${reason}`);
    for (const each of at) assert.equal(found[each], `False ${reason}`, `${what}: ${found.join(", ")}`);
  }
});

const XDS = { name: "xds", port: 15_012, protocol: "TLS", tls: { mode: "Passthrough" } };
const PREFERRED = "peering.solo.io/preferred-data-plane-service-type";

test("of two Gateways to one cluster the younger says that it is in conflict", () => {
  const older = { ...west(), metadata: { ...west().metadata, creationTimestamp: "2026-01-01T00:00:00Z" } };
  const younger = { ...west(), metadata: { ...west().metadata, name: "b", creationTimestamp: "2026-01-02T00:00:00Z" } };
  const { verdicts } = peeringView([namedNetwork("net1"), older, younger]);
  assert.deepEqual(
    ["Gateway istio-eastwest/b", KEY].map((key) => verdicts(key)[0]),
    ["Accepted=False Conflicted", "Accepted=True Accepted"],
  );
});

test("a Gateway that leads to a network only is accepted, and no peer is spoken of", () => {
  const { verdicts } = peeringView([west({ listeners: [HBONE] })]);
  assert.deepEqual(verdicts(KEY), ["Accepted=True Accepted", "Programmed=True Programmed"]);
});

test("the pods of a peer on our own network are a data path, if they are not turned off", () => {
  const say = (flatPeering: "auto" | "off"): string => {
    const view = peeringView([namedNetwork("net1"), west({ network: "net1" })], { flatPeering });
    view.learn(facts("west", { network: networkId("net1") }));
    view.report(status("west"));
    return view.verdicts(KEY)[4]!;
  };
  assert.equal(say("auto"), "gloo.solo.io/PeerDataPlaneProgrammed=True Programmed");
  assert.equal(say("off"), "gloo.solo.io/PeerDataPlaneProgrammed=False NetworkMismatch");
});

test("a condition keeps its time while its status holds, and those of others are not ours", () => {
  const { apply, wanted, report, learn } = peeringView([namedNetwork("net1"), west()]);
  learn(facts("west"));
  report(status("west"));
  const held = statusAfter(wanted.get(KEY)!) as { readonly conditions: readonly object[] };
  const others = [{ type: "example.com/Audited", status: "True", reason: "Yes", message: "" }];
  apply(west({}, { conditions: [...held.conditions, ...others] }));
  assert.equal(wanted.get(KEY)!.found, "same");
  report(status("west", { state: "stale", ...NEWS, lastError }));
  const { found, conditions, othersConditions } = wanted.get(KEY)!;
  assert.deepEqual([found, othersConditions], ["different", undefined]);
  const since = (at: number): WantedCondition["since"] => conditions![at]!.since;
  assert.deepEqual([since(0), since(2), since(4)], ["2026-01-01T00:00:00Z", undefined, "2026-01-01T00:00:00Z"]);
});

test("a restart says nothing new of a peer before it was tried, unless its Gateway has changed", () => {
  const before = peeringView([namedNetwork("net1"), west()]);
  before.learn(facts("west"));
  before.report(status("west"));
  const held = statusAfter(before.wanted.get(KEY)!);
  const { wanted, verdicts, conditions, apply, report } = peeringView([namedNetwork("net1"), west({}, held)]);
  assert.equal(wanted.get(KEY)!.found, "same");
  const dialled = {
    state: "stale",
    reason: "Stale",
    message: "west is being dialled",
    staleness: "within-grace",
  } as const;
  report(status("west", dialled));
  assert.equal(wanted.get(KEY)!.found, "same");
  apply(stored(peerGateway("west"), held, 4));
  assert.deepEqual(verdicts(KEY).slice(2, 4), [
    "gloo.solo.io/PeerConnected=Unknown Dialling",
    "gloo.solo.io/PeeringSucceeded=Unknown Dialling",
  ]);
  assert.equal(conditions(KEY)[2]!.message, "west is being dialled.");
  report(status("west"));
  assert.equal(verdicts(KEY)[2], "gloo.solo.io/PeerConnected=True Connected");
});

test("an endpoint that comes or goes at a peer changes no condition", () => {
  const { wanted, learn, report, hear } = peeringView([namedNetwork("net1"), west()]);
  learn(facts("west"));
  report(status("west"));
  const before = wanted.get(KEY);
  hear("west", { ready: 2 });
  hear("west", { ready: 3, identities: ["spiffe://cluster.local/ns/shop/sa/other"] });
  assert.equal(wanted.get(KEY), before);
});

test("the prefix of the peer conditions can be another", () => {
  const { verdicts, report } = peeringView([west()], {}, { conditionPrefix: "causeway.dev/" });
  report(status("west"));
  assert.equal(verdicts(KEY)[2], "causeway.dev/PeerConnected=True Connected");
  assert.equal(clusterId("west"), "west");
});

const STATUS = "PeerStatus istio-eastwest/istio-remote-peer-west";
const said = (view: ReturnType<typeof peeringView>): unknown => view.wanted.get(STATUS)?.fields?.["status"];

test("how many services go either way, and since when a peer is stale, is beside its Gateway, and goes with it", () => {
  const labels = { "solo.io/service-scope": "global" };
  const shared = [service("a", "10.96.0.1", {}, { labels }), service("b", "10.96.0.2", {}, { labels })];
  const view = peeringView([namedNetwork("net1"), west(), ...shared]);
  view.learn(facts("west"));
  view.report(status("west"));
  assert.deepEqual(said(view), { cluster: "west", state: "live", imported: 0, exported: 2 });
  view.hear("west");
  view.hear("west", { name: "books" });
  const before = view.wanted.get(STATUS)!;
  assert.deepEqual(said(view), { cluster: "west", state: "live", imported: 2, exported: 2 });
  view.hear("west", { ready: 1 });
  assert.equal(view.wanted.get(STATUS), before, "an endpoint is no reason to write");
  view.forget("west", { name: "books" });
  view.report(status("west", { state: "stale", ...NEWS, lastError, sinceMs: lastError.atMs }));
  const time = "2026-01-02T03:04:05Z";
  assert.deepEqual(said(view), {
    ...{ cluster: "west", state: "stale", imported: 1, exported: 2, staleSince: time },
    lastError: { ...NEWS, time },
  });
  assert.deepEqual(view.wanted.get(STATUS)!.owner, {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    name: "istio-remote-peer-west",
    uid: "uid-of-istio-eastwest-istio-remote-peer-west",
  });
  view.remove(west());
  assert.equal(view.wanted.get(STATUS), undefined);
});

test("what a grant withholds, or is for another segment, is not counted as exported", () => {
  const labels = { "solo.io/service-scope": "global" };
  const within = { labels: { "solo.io/service-scope": "segment" } };
  const grant = object(
    "peering.causeway.dev/v1alpha1",
    "PeerGrant",
    { name: "west", namespace: "istio-system" },
    { spec: { cluster: "west", export: { services: ["a*"] } } },
  );
  const shared = [service("a", "10.96.0.1", {}, { labels }), service("b", "10.96.0.2", {}, { labels })];
  const view = peeringView([namedNetwork("net1"), west(), ...shared, service("ab", "10.96.0.3", {}, within)]);
  const exported = (): unknown => (said(view) as { readonly exported: number }).exported;
  view.learn(facts("west"));
  view.report(status("west"));
  assert.equal(exported(), 3);
  view.apply(grant);
  assert.equal(exported(), 2);
  view.learn(facts("west", { segment: "gold" }));
  assert.equal(exported(), 1);
});
