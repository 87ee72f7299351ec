import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { networkId } from "../../src/names.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, FSDS_TYPE, type Resource, SGDS_TYPE } from "../../src/xds/resource.ts";
import { encodeWorkload } from "../../src/xds/types/address.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import { TestAuthority } from "../kits/tls.ts";
import { flatPod } from "../peering/serving-lab.ts";
import { facts, federated } from "../registry/peers.ts";
import { eventually } from "./causeway-process.ts";
import type { MeshClient } from "./mesh-client.ts";
import { app, globalName, type PeeredSite, PeeringLab, remoteGateway, splits } from "./peering-lab.ts";
import { ask, RoguePeer } from "./rogue-peer.ts";

const WITHIN_MS = 20_000;
/** Each counts as 1 KiB at least, of the 128 MiB that may come at once. */
/** More records than are kept of a peer, and how many those are. */
const FLOOD = 60_000;
const RECORDS_MAX = 50_000;
const FLOOD_CHANGES = 160_000;
const RESPONSE_CHANGES = 4_000;
const OF_M = { network: networkId("m-net") };

const says = (name: string, said: Partial<FederatedService> = {}): Resource =>
  encodeFederatedService(federated("m", { name, ...said }), 0);

// Every rogue here has a certificate of a control plane under the common root: what strangers get is shown elsewhere.
suite("a peer with a good certificate and bad intentions", () => {
  let lab: PeeringLab;
  let [a, b]: PeeredSite[] = [];
  let client: MeshClient;
  let authority: TestAuthority;
  let rogue: RoguePeer;

  before(async () => {
    lab = await PeeringLab.open();
    [a, b] = await lab.mesh("a", "b");
    client = await a!.client();
    authority = await TestAuthority.create({ name: "CN=m", pathLength: 0 }, lab.root);
    rogue = await RoguePeer.start(lab.root, authority);
    b!.write("cart", app("cart", { replicas: 2 }));
    await splits(client, globalName("cart"), { b: 1 });
  });
  after(async () => {
    rogue?.close();
    await lab?.close();
  });

  /** Has a read the rogue, which says this and nothing else, until the link is live or fails for a reason. */
  async function reads(
    said: Readonly<Record<"facts" | "services" | "workloads", readonly Resource[]>>,
    reason?: string,
  ): Promise<void> {
    a!.remove("peer-m");
    await eventually("the rogue is forgotten", WITHIN_MS, async () => (await a!.peer("m")) === undefined);
    rogue.sayings = new Map([
      [SGDS_TYPE, said.facts],
      [FSDS_TYPE, said.services],
      [ADDRESS_TYPE, said.workloads],
    ]);
    a!.write("peer-m", remoteGateway("m", { network: "m-net", trustDomain: "cluster.local", port: rogue.port }));
    await eventually("the rogue was heard", WITHIN_MS, async () => {
      const seen = await a!.peer("m");
      return reason === undefined ? seen?.state === "live" : seen?.reason === reason;
    });
  }
  const right = { facts: [encodeClusterFacts(facts("m", OF_M))], services: [says("own")], workloads: [] };
  const denied = async (): Promise<readonly string[]> => {
    const { denials } = (await a!.peer("m"))!;
    return denials.map(({ name, reason }) => `${reason} ${name}`).sort();
  };

  test("T22: what it says for another cluster, of another trust domain or beyond its grant is left out, and named", async () => {
    a!.write(
      "grant",
      "apiVersion: peering.causeway.dev/v1alpha1\nkind: PeerGrant\nmetadata: {name: m, namespace: istio-system}\n" +
        "spec: {cluster: m, import: {namespaces: [shop]}}",
    );
    const services = [
      says("own"),
      says("payments", { namespace: "bank" }),
      says("sans", { identities: ["spiffe://bank.example/ns/shop/sa/sans"] }),
      says("beyond", { identities: ["spiffe://cluster.local/ns/bank/sa/teller"] }),
      encodeFederatedService(federated("b", { name: "cart", ready: 1_000, total: 1_000 }), 0),
    ];
    await reads({ ...right, services });
    await splits(client, globalName("own"), { m: 1 });
    assert.deepEqual(await denied(), [
      "cluster b/shop/cart",
      "namespace m/bank/payments",
      "namespace m/shop/beyond",
      "trust-domain m/shop/sans",
    ]);
    assert.deepEqual(client.calls(globalName("cart")), { b: 1 });
    for (const host of ["payments.bank.mesh.internal", globalName("sans"), globalName("beyond")])
      assert.equal(client.service(host), undefined, host);
    assert.equal(await a!.plane.metric("peer_denied_total", 'reason="trust-domain"'), 1);
    a!.remove("grant");
  });

  test("T22: it cannot be on our network, nor be another cluster, nor bring pods that are not its own", async () => {
    const ours = {
      ...flatPod("shop", "thief", "cart"),
      cluster: facts("m").cluster,
      uid: "m//Pod/shop/thief" as never,
    };
    await reads({
      ...right,
      facts: [encodeClusterFacts(facts("m", { network: networkId("a-net") }))],
      workloads: [encodeWorkload({ ...ours, network: networkId("a-net"), addresses: ["10.244.0.9"] })],
    });
    assert.deepEqual(await denied(), ["network m", "network m//Pod/shop/thief"]);
    const other = encodeClusterFacts(facts("b", { network: networkId("b-net") }));
    await reads({ ...right, facts: [other] }, "IdentityMismatch");
    assert.match((await a!.peer("m"))!.message, /whoever answers is cluster b, and Gateway .*-m leads to m/);
    const thieves = [...client.workloads.values()].filter(({ name }) => name === "thief");
    assert.deepEqual([thieves, client.calls(globalName("cart"))], [[], { b: 1 }]);
  });

  test("T22: one that changes its mind without end is made to wait, and what others say meanwhile arrives", async () => {
    const changes = Array.from({ length: 10 }, (_, ready) => says(`moody-${ready % 3}`, { ready, total: 10 }));
    const response = Array.from({ length: RESPONSE_CHANGES / 10 }, () => changes).flat();
    await reads(right);
    for (let sent = 0; sent < FLOOD_CHANGES; sent += RESPONSE_CHANGES) rogue.say(FSDS_TYPE, response);
    b!.write("cart", app("cart", { replicas: 5 }));
    const heard = () => client.counts(globalName("cart"))["b"] === 5;
    const tookMs = await eventually("b is heard", WITHIN_MS, heard);
    const slowed = async () => (await a!.plane.metric("peer_denied_total", 'reason="quota"')) > 0;
    await eventually("the rogue is made to wait", WITHIN_MS, slowed);
    assert.ok(await a!.plane.ready());
    console.log(`      b was heard after ${tookMs} ms`);
    a!.remove("peer-m");
    const gone = () => [...client.workloads.values()].every(({ cluster }) => (cluster as string) !== "m");
    await eventually("nothing of it is left", WITHIN_MS, gone);
    assert.deepEqual(client.counts(globalName("cart")), { b: 5 });
  });

  test("T22: as a reader it is no other cluster, no ztunnel's pod, and is told no more than it is granted", async () => {
    a!.write("secrets", app("secrets"));
    a!.write(
      "grant",
      "apiVersion: peering.causeway.dev/v1alpha1\nkind: PeerGrant\nmetadata: {name: m, namespace: istio-system}\n" +
        "spec: {cluster: m, export: {namespaces: [other]}}",
    );
    const asks = (question: object) =>
      ask(a!.xdsPort, lab.root, { issuer: authority, cluster: "m", ...question } as Parameters<typeof ask>[2]);
    const isFree = async () => String(await asks({ cluster: "n" })) === "a/shop/secrets";
    await eventually("who is not limited reads it", WITHIN_MS, isFree);
    await eventually("who is reads nothing", WITHIN_MS, async () => (await asks({})).length === 0);
    assert.equal(await asks({ cluster: "a" }), "PERMISSION_DENIED OwnCluster");
    assert.equal(await asks({ cluster: "b" }), "PERMISSION_DENIED ClusterNameTaken");
    assert.equal(await asks({ type: AUTHORIZATION_TYPE }), "PERMISSION_DENIED NotForPeers");
    const ztunnel = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
    assert.equal(await asks({ identity: ztunnel }), "PERMISSION_DENIED NotAPeer");
    const strangers = await TestAuthority.create("CN=strangers");
    assert.match(String(await asks({ issuer: strangers })), /^(UNAUTHENTICATED|UNAVAILABLE)/);
    assert.equal((await b!.peer(a!))!.state, "live");
  });

  test("T22: a peer that sends more than its whole quota at once is cut off there, and nobody else waits for it", async () => {
    const flood = Array.from({ length: FLOOD }, (_, at) => says(`flood-${at}`));
    await reads(right);
    for (let at = 0; at < FLOOD; at += 10_000) rogue.say(FSDS_TYPE, flood.slice(at, at + 10_000));
    b!.write("cart", app("cart", { replicas: 4 }));
    const tookMs = await eventually("b is heard", 60_000, () => client.counts(globalName("cart"))["b"] === 4);
    const full = async () => (await a!.plane.metric("peer_denied_total", 'reason="quota"')) > FLOOD - RECORDS_MAX;
    await eventually("the flood is over its quota", 60_000, full);
    const { records } = (await a!.peer("m"))! as unknown as { readonly records: number };
    assert.equal(records, RECORDS_MAX);
    assert.ok((await denied()).every((line) => line.startsWith("quota ")));
    assert.ok(await a!.plane.ready());
    console.log(
      `      ${records} records were kept; b was heard after ${tookMs} ms; ${Math.round(a!.plane.rssMiB)} MiB`,
    );
    a!.remove("peer-m");
    const gone = () => [...client.workloads.values()].every(({ cluster }) => (cluster as string) !== "m");
    await eventually("nothing of it is left", 60_000, gone);
    assert.deepEqual(client.counts(globalName("cart")), { b: 4 });
  }).timeout(150_000);
});
