import assert from "node:assert/strict";
import { before, test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import { decodeWorkload } from "../../src/xds/types/address.ts";
import { encodeClientConfig } from "../../src/xds/types/client-config.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { clusterId } from "../../src/names.ts";
import { federatedKey } from "../../src/registry/model/federated-service.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import {
  type Authorities,
  authorities,
  flatPod,
  gatewayTo,
  ISTIOD,
  ownFacts,
  PeerEnd,
  ServingLab,
  sharedService,
  shownBy,
} from "./serving-lab.ts";

let made: Authorities;
before(async () => void (made = await authorities()));

const cart = sharedService("shop", "cart");
const teller = sharedService("bank", "teller");
const only = (...namespaces: string[]) => ({ namespaces, services: undefined });

/** East with two services, and west's stream to it. */
async function linked(served: "any" | "listed" = "any") {
  const lab = await ServingLab.open({ served });
  lab.share(cart, teller);
  const west = await lab.connect(await shownBy(made.west));
  return { lab, west };
}

test("a peer gets what we share and then the marker, of each type", async () => {
  const { west } = await linked();
  west.ask("SGDS", "west");
  assert.deepEqual(west.take(), ["east", "__synced__"]);
  west.ask("FSDS", undefined);
  assert.deepEqual(west.take().sort(), ["__synced__", "east/bank/teller", "east/shop/cart"]);
  west.ask("WDS", undefined);
  assert.deepEqual(west.take(), ["__synced__"], "nothing is something, too, once it is said to be all");
});

test("a peer hears of changes and removals, without another marker", async () => {
  const { lab, west } = await linked();
  west.ask("FSDS", "west");
  west.take();
  lab.share({ ...cart, ready: 0 });
  assert.deepEqual(west.take(), ["east/shop/cart"]);
  lab.services.delete(federatedKey(teller));
  lab.settle();
  assert.deepEqual(west.take(), ["-east/bank/teller"]);
});

test("before our own cluster has joined, a peer is told to come back, not that there is nothing (fault 12)", async () => {
  const { lab, west } = await linked();
  lab.whyNotJoined = "its API server was not read yet";
  west.ask("FSDS", "west");
  assert.deepEqual([west.why, west.take()], ["unavailable NotReady", []]);
  lab.whyNotJoined = undefined;
  const again = await lab.connect(await shownBy(made.west));
  again.ask("FSDS", "west");
  assert.equal(again.take().length, 3);
  assert.deepEqual(lab.entered, ["west"], "who was sent away has not come");
});

test("a control plane is one by its certificate: tokens and other names make none", async () => {
  const { lab } = await linked();
  const token = { ...(await shownBy(made.west)), certificateChain: [], authorization: "Bearer of istiod" };
  await assert.rejects(lab.connect(token), /nobody else is known/);
  const ztunnel = await shownBy(made.west, "spiffe://cluster.local/ns/istio-system/sa/ztunnel");
  await assert.rejects(lab.connect(ztunnel), /nobody else is known/);
  const foreign = await shownBy(made.other, ISTIOD);
  await assert.rejects(
    lab.connect(foreign),
    /nobody else is known/,
    "a root of another domain vouches for no one of ours",
  );
});

test("a control plane of a trust domain whose root we have is served under that root", async () => {
  const { lab } = await linked();
  const other = await lab.connect(await shownBy(made.other, "spiffe://other.example/ns/istio-system/sa/istiod"));
  other.ask("FSDS", "faraway");
  assert.equal(other.take().length, 3);
});

test("a peer whose root is trusted no more is sent away at once, and others are not", async () => {
  const { lab, west } = await linked();
  const other = await lab.connect(await shownBy(made.other, "spiffe://other.example/ns/istio-system/sa/istiod"));
  other.ask("FSDS", "faraway");
  west.ask("FSDS", "west");
  lab.trust.offer("peer/other", []);
  assert.deepEqual([other.why, west.why], ["unauthenticated", undefined]);
});

const misbehaviours: readonly [
  string,
  Parameters<Awaited<ReturnType<typeof linked>>["west"]["ask"]>,
  string,
  RegExp,
][] = [
  ["our own cluster's name", ["FSDS", "east"], "denied OwnCluster", /cluster east is this one; give one/],
  ["no cluster's name", ["FSDS", "", {}, { CLUSTER_ID: "" }], "denied NoCluster", /CLUSTER_ID must name/],
  ["a cluster's name with a slash", ["FSDS", "w", {}, { CLUSTER_ID: "a/b" }], "denied NoCluster", /CLUSTER_ID/],
  ["a cluster's name of a prototype", ["FSDS", "w", {}, { CLUSTER_ID: "__proto__" }], "denied NoCluster", /CLUSTER_ID/],
  ["another namespace", ["FSDS", "west", {}, { NAMESPACE: "shop" }], "denied", /the node says namespace "shop"/],
  ["policies", [AUTHORIZATION_TYPE, "west"], "denied NotForPeers", /security.Authorization" is not for peers/],
  ["debug pages", ["istio.io/debug", "west"], "denied NotForPeers", /"istio.io\/debug" is not for peers/],
];
for (const [what, asked, why, message] of misbehaviours)
  test(`a peer that asks with or for ${what} is refused in words`, async () => {
    const { west } = await linked();
    west.ask(...asked);
    assert.deepEqual([west.why, west.take()], [why, []]);
    assert.match((west.ended as Error).message, message);
  });

test("on the port without TLS nobody is a control plane, and nobody gets what is for one", async () => {
  const { lab } = await linked();
  for (const [type, cluster] of [
    ["FSDS", "west"],
    ["WDS", "west"],
  ] as const) {
    const end = new PeerEnd(await shownBy(made.west));
    end.receiver = await lab.server.methods(undefined)[0]!.open(end);
    end.ask(type, cluster);
    assert.deepEqual([end.why, end.take()], ["denied NotAPeer", []]);
  }
});

test("a control plane that says it is a ztunnel gets nothing", async () => {
  const { west } = await linked();
  west.hello();
  assert.deepEqual([west.why, west.take()], ["denied NotAPeer", []]);
});

test("debug pages in state-of-the-world form are not for control planes either", async () => {
  const { lab } = await linked();
  await assert.rejects(lab.connect(await shownBy(made.west), 1), /not for control planes/);
});

test("who takes a name that another authority's control plane has is refused, with both named (fault 15)", async () => {
  const { lab, west } = await linked();
  west.ask("FSDS", "west");
  const thief = await lab.connect(await shownBy(made.north));
  thief.ask("FSDS", "west");
  assert.deepEqual([thief.why, thief.take()], ["denied ClusterNameTaken", []]);
  const keys = (thief.ended as Error).message.match(/key [0-9a-f]{16}/g)!;
  assert.equal(new Set(keys).size, 2);
  assert.equal(west.why, undefined, "the first keeps it");
  const replica = await lab.connect(await shownBy(made.west));
  replica.ask("FSDS", "west");
  assert.equal(replica.take().length, 3, "replicas share an authority");
  for (const end of [west, replica]) end.end();
  const heir = await lab.connect(await shownBy(made.north));
  heir.ask("FSDS", "west");
  assert.equal(heir.why, undefined, "once no stream of it lives the name is free");
});

test("a peer whose authority was replaced comes again with what the new one issued, and is not taken for another", async () => {
  const { lab, west } = await linked();
  west.ask("FSDS", "west");
  // Made later than the first, as a renewed one is, and certificates count seconds.
  const renewed = await TestAuthority.create({ name: "CN=west", pathLength: 0, notBeforeMs: Date.now() }, made.root);
  const restarted = await lab.connect(await shownBy(renewed));
  restarted.ask("FSDS", "west");
  assert.deepEqual([restarted.why, west.why], [undefined, "unavailable Succeeded"]);
  const late = await lab.connect(await shownBy(made.west));
  late.ask("FSDS", "west");
  assert.equal(late.why, "denied ClusterNameTaken", "there is no way back to the authority before");
});

test("with listed peers only, a Gateway or a grant that names the cluster lets it in", async () => {
  const { lab, west } = await linked("listed");
  west.ask("FSDS", "west");
  assert.equal(west.why, "denied NotListed");
  assert.match(
    (west.ended as Error).message,
    /no Gateway of class istio-remote leads to cluster west, and no PeerGrant/,
  );
  lab.gateways.set(gatewayTo("west").gateway, gatewayTo("west"));
  lab.grant("north", { cluster: clusterId("north") });
  // One that could not be read limits everybody, and names nobody.
  lab.grant("unreadable", { exports: only() });
  lab.grant("bound", { bound: true, cluster: clusterId("south"), exports: only("shop") });
  for (const [cluster, authority, names] of [
    ["west", made.west, ["__synced__"]],
    ["north", made.north, ["__synced__"]],
  ] as const) {
    const end = await lab.connect(await shownBy(authority));
    end.ask("FSDS", cluster);
    assert.deepEqual(end.take(), names);
  }
  const stranger = await lab.connect(await shownBy(made.north));
  stranger.ask("FSDS", "south");
  assert.equal(stranger.why, "denied NotListed");
});

test("who is known by SPIRE's federation alone reads nothing until a Gateway or a grant names its trust domain", async () => {
  const { lab } = await linked("any");
  const anchors = [{ trustDomain: "other.example", roots: [derOf(made.other.root)] }];
  const shown = await shownBy(made.other, "spiffe://other.example/ns/istio-system/sa/istiod");
  const asked = async () => {
    const end = await lab.connect(shown);
    end.ask("FSDS", "faraway");
    return end;
  };
  const invited = await asked();
  lab.trust.offer("spire", anchors);
  assert.equal(invited.why, undefined, "somebody else has named its roots, too");
  lab.trust.offer("peer/other", []);
  lab.settle();
  assert.equal((await asked()).why, "denied NotListed");
  lab.grant("faraway", { cluster: clusterId("faraway") });
  const named = await asked();
  assert.equal(named.why, "denied NotListed", "which cluster it is, it says itself");
  assert.match((named.ended as Error).message, /with its trust domain other\.example.*SPIRE is federated/);
  lab.grant("faraway", { cluster: clusterId("faraway"), trustDomain: "other.example" });
  assert.equal((await asked()).why, undefined);
});

test("who was let in is sent away once only SPIRE's federation still vouches for it", async () => {
  const { lab, west } = await linked("any");
  west.ask("FSDS", "west");
  const roots = [derOf(made.other.root)];
  const other = await lab.connect(await shownBy(made.other, "spiffe://other.example/ns/istio-system/sa/istiod"));
  other.ask("FSDS", "faraway");
  lab.trust.offer("spire", [{ trustDomain: "other.example", roots: [...roots, derOf(made.north.root)] }]);
  assert.equal(other.why, undefined);
  lab.trust.offer("peer/other", [{ trustDomain: "third.example", roots }]);
  assert.deepEqual([other.why, west.why], ["denied NotListed", undefined]);
});

test("with peering off, a peer is told so", async () => {
  const lab = await ServingLab.open({ served: "none" });
  const west = await lab.connect(await shownBy(made.west));
  west.ask("FSDS", "west");
  assert.equal(west.why, "denied PeeringOff");
});

test("a Gateway that expects another trust domain keeps an impostor out", async () => {
  const { lab, west } = await linked();
  lab.gateways.set(gatewayTo("west").gateway, gatewayTo("west", { trustDomain: "other.example" }));
  lab.settle();
  west.ask("FSDS", "west");
  assert.equal(west.why, "denied TrustDomainMismatch");
  assert.match((west.ended as Error).message, /Gateway istio-eastwest\/west expects .* other.example/);
});

test("a peer reads what its grant takes in, and a change of the grant is a change of what it holds", async () => {
  const { lab, west } = await linked();
  lab.grant("west", { cluster: clusterId("west"), exports: only("shop") });
  west.ask("FSDS", "west");
  assert.deepEqual(west.take(), ["east/shop/cart", "__synced__"]);
  lab.share({ ...teller, ready: 0 });
  assert.deepEqual(west.take(), [], "changes beyond the grant are none");
  lab.grant("west", { cluster: clusterId("west"), exports: only("bank") });
  assert.deepEqual(west.take().sort(), ["-east/shop/cart", "east/bank/teller"]);
  lab.grants.delete([...lab.grants.entries()][0]![0]);
  lab.settle();
  assert.deepEqual(west.take(), ["east/shop/cart"]);
  assert.equal(lab.exports.sets, 1, "logs that nobody reads are dropped");
});

test("a pod is told of with those of its services that are granted, and with no others", async () => {
  const { lab, west } = await linked();
  const tell = (...services: readonly string[]): void => {
    const pod = flatPod("shop", "cart-0", ...services);
    lab.workloads.set(pod.uid, pod);
    lab.settle();
  };
  tell("cart", "stock");
  lab.grant("west", { cluster: clusterId("west"), exports: { namespaces: ["shop"], services: ["cart"] } });
  west.ask("WDS", "west");
  const [response] = west.read();
  const body = response!.resources[0]!.resource!.value!;
  assert.deepEqual(
    decodeWorkload(body).services.map(({ service }) => service as string),
    ["shop/cart.shop.mesh.internal"],
  );
  west.ack(response!);
  tell("stock");
  assert.deepEqual(west.take(), ["-east//Pod/shop/cart-0"]);
  lab.grant("west", { cluster: clusterId("west"), exports: undefined });
  assert.deepEqual(west.take(), ["east//Pod/shop/cart-0"]);
});

test("peers with the same grant share one set of logs, and it goes with the last of them", async () => {
  const { lab, west } = await linked();
  lab.grant("all", { trustDomain: "cluster.local", exports: only("shop") });
  const north = await lab.connect(await shownBy(made.north));
  west.ask("FSDS", "west");
  north.ask("FSDS", "north");
  assert.deepEqual(
    [west.take(), north.take(), lab.exports.sets],
    [["east/shop/cart", "__synced__"], ["east/shop/cart", "__synced__"], 2],
  );
  for (const end of [west, north]) end.end();
  assert.equal(lab.exports.sets, 1);
});

test("what is shared within a segment is told to peers in it, and to those of whom we do not know", async () => {
  const { lab, west } = await linked();
  const stock = sharedService("shop", "stock", { scope: "segment", segment: "blue" });
  lab.share(stock);
  west.ask("FSDS", "west");
  assert.ok(west.take().includes("east/shop/stock"), "it says nothing to us, and drops what is not for it");
  const joins = (segment: string) => {
    lab.peerFacts.set(clusterId("west"), { ...ownFacts, cluster: clusterId("west"), segment });
    lab.settle();
    return west.take();
  };
  assert.deepEqual(
    [joins("red"), joins("blue"), joins("")],
    [["-east/shop/stock"], ["east/shop/stock"], ["-east/shop/stock"]],
  );
});

test("a peer that answers nothing is sent one response of each type, and then sent away", async () => {
  const { lab, west } = await linked();
  west.ask("FSDS", "west");
  for (let ready = 0; ready < 5; ready++) lab.share({ ...cart, ready, total: 9 });
  assert.equal(west.read().length, 1, "what changes meanwhile is a set of names, not a queue");
  lab.host.clock.advance(700_000);
  assert.equal(west.why, "timeout");
});

test("a peer that names what it holds without end, or what no service is called, is answered in bounds", async () => {
  const { lab, west } = await linked();
  const held = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`east/made-up/${at}`, "v"]));
  west.ask("FSDS", "west", { initialResourceVersions: held });
  assert.equal(west.take().filter((name) => name.startsWith("-")).length, 20_000);
  west.ask("FSDS", undefined, { resourceNamesSubscribe: ["x".repeat(2_000)] });
  assert.match((west.ended as Error).message, /has 2000 characters; 1024 is the most/);
  const again = await lab.connect(await shownBy(made.west));
  again.receiver!.message(Buffer.alloc(64, 0xff));
  assert.equal(again.why, "invalid");
});

test("a peer that opens streams without end is stopped, and others are not", async () => {
  const { lab } = await linked();
  const ends = await Promise.all(Array.from({ length: 17 }, async () => lab.connect(await shownBy(made.west))));
  for (const end of ends) end.ask("FSDS", "west");
  assert.deepEqual(
    ends.map(({ why }) => why).filter((why) => why !== undefined),
    ["exhausted TooManyStreams"],
  );
  const north = await lab.connect(await shownBy(made.north));
  north.ask("FSDS", "north");
  assert.equal(north.why, undefined);
});

test("a peer that asks for everything again and again has to wait, and then gets it", async () => {
  const lab = await ServingLab.open();
  const big = (at: number) =>
    sharedService("shop", `big-${at}`, {
      annotations: Array.from({ length: 16 }, (_, n) => [`a${n}`, "x".repeat(4000)]),
    });
  lab.share(...Array.from({ length: 160 }, (_, at) => big(at)));
  const shown = await shownBy(made.west);
  let served = 0;
  for (let streams = 0; streams < 12; streams++) {
    const end = await lab.connect(shown);
    end.ask("FSDS", "west");
    const got = end.take().length;
    if (got < 161) {
      assert.ok(got < 161 && served > 4, `${served} whole states of 10 MB before`);
      lab.host.clock.advance(20_000);
      assert.equal(got + end.take().length, 161, "it is late, not less");
      return;
    }
    served += 1;
    end.end();
  }
  assert.fail("120 MB were sent at once");
});

test("a refusal is said once in words and counted each time", async () => {
  const { lab } = await linked("listed");
  for (let attempt = 0; attempt < 3; attempt++) (await lab.connect(await shownBy(made.west))).ask("FSDS", "west");
  const said = lab.host.lines.filter((line) => line.startsWith("warn peering: peer refused"));
  assert.equal(said.length, 1);
  assert.match(
    said[0]!,
    /cluster=west identity=spiffe:\/\/cluster.local\S+ address=192.0.2.1:40000 reason=NotListed why=no Gateway/,
  );
  assert.equal(lab.host.metric("peer_clients_refused_total{reason=NotListed}"), 3);
  assert.equal(lab.host.metric("xds_clients{type=istiod}"), 0);
  assert.deepEqual(
    lab.admission.refused().map(({ cluster, reason }) => [cluster, reason]),
    [["west", "NotListed"]],
  );
});

test("a stream ends with the certificate that it was opened with", async () => {
  const { lab } = await linked();
  const end = await lab.connect(await shownBy(made.west));
  end.ask("FSDS", "west");
  end.take();
  assert.equal(lab.host.metric("peer_streams_served{peer=west}"), 1);
  const leftMs = Date.now() + 3_600_000 - lab.host.clock.now();
  lab.host.clock.advance(leftMs + 3_600_000);
  assert.equal(end.why, "unauthenticated");
  assert.ok(!lab.host.series.includes("peer_streams_served{peer=west}"));
});

test("peers are clients like others on the pages that show clients", async () => {
  const { lab, west } = await linked();
  west.ask("FSDS", "west");
  const [client] = lab.server.clients();
  assert.deepEqual([client?.cluster, client?.identity?.serviceAccount], ["west", "istiod"]);
  assert.equal(lab.host.metric("xds_clients{type=istiod}"), 1);
  for (const type of ["SGDS", "WDS"]) west.ask(type, undefined);
  const shown = envoy.service.status.v3.ClientConfig.decode(encodeClientConfig(lab.server.clients()[0]!).body);
  assert.deepEqual(
    shown.genericXdsConfigs.map(({ typeUrl }) => typeUrl).sort(),
    ["FSDS", "SGDS", ADDRESS_TYPE],
    "istioctl knows only the last by its URL, and prints others as they are",
  );
  assert.deepEqual(
    lab.admission.served().map(({ cluster, node }) => [cluster, node]),
    [["west", "istiod-west.istio-system"]],
  );
});

test("how many services each peer may read is counted while it is here", async () => {
  const { lab, west } = await linked();
  const exported = (): number => lab.host.metric("peer_services{source=east,peer=west,direction=exported}");
  west.ask("FSDS", "west");
  west.take();
  const before = exported();
  assert.equal(before, lab.services.size);
  lab.share(sharedService("shop", "one-more"));
  assert.equal(exported(), before + 1);
  lab.grant("west", { cluster: clusterId("west"), exports: only("nothing-of-this-name") });
  assert.equal(exported(), 0);
  west.receiver?.closed();
  assert.equal(
    lab.host.series.some((series) => series.startsWith("peer_services")),
    false,
  );
});
