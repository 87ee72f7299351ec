import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { test } from "mocha";
import { spire } from "../../../proto/gen/mesh.js";
import { k8sAgent } from "../../../src/demo/spire/agent-service.ts";
import { SpireStandIn, type SpireStandInOptions } from "../../../src/demo/spire/stand-in.ts";
import { folderOf } from "../../kits/folder.ts";
import { realHost } from "../../kits/real-host.ts";
import { PATH } from "../../kits/spire-methods.ts";
import { failure, type Messages, RawClient } from "./raw-client.ts";

const TD = "east.test";
const id = (path: string): string => `spiffe://${TD}${path}`;
const NODE_1 = k8sAgent(TD, "east", "node-1", Date.now() + 3_600_000);
const NODE_2 = k8sAgent(TD, "east", "node-2", Date.now() + 3_600_000);
const WEB = {
  id: "web",
  spiffeId: id("/ns/shop/sa/web"),
  parentId: NODE_1.id,
  selectors: ["k8s:ns:shop", "k8s:sa:web"],
};
const HEADER = { "workload.spiffe.io": "true" };
const NOTHING = Buffer.alloc(0);

async function started(over: Partial<SpireStandInOptions> = {}) {
  const folder = await folderOf({});
  const agents = [NODE_1, NODE_2];
  const standIn = await SpireStandIn.start({ host: realHost(), folder: folder.path, trustDomain: TD, agents, ...over });
  const open: Disposable[] = [];
  const client = (path: string): RawClient => {
    const made = new RawClient(`unix:${path}`);
    open.push(made);
    return made;
  };
  return {
    standIn,
    client,
    /** What a workload with these selectors hears. */
    async workload(selectors: readonly string[] = WEB.selectors, agentId?: string): Promise<Messages> {
      return client((await standIn.agentSocket(selectors, agentId)).path).stream(PATH.workload, NOTHING, HEADER);
    },
    delegate(request: spire.ISubscribeToX509SvidsRequest, path = standIn.adminSocket): Messages {
      return client(path).stream(PATH.delegated, spire.SubscribeToX509SvidsRequest.encode(request).finish());
    },
    async [Symbol.asyncDispose]() {
      for (const one of open) one[Symbol.dispose]();
      await standIn.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const heard = async (messages: Messages) => spire.WorkloadX509SvidResponse.decode(await messages.next());
const delegated = async (messages: Messages) => spire.SubscribeToX509SvidsResponse.decode(await messages.next());
const selectors = (...texts: readonly string[]): spire.ISelector[] =>
  texts.map((text) => ({ type: text.split(":")[0]!, value: text.slice(text.indexOf(":") + 1) }));

test("a workload hears its identity with its key and the roots, and another when something changes", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  const messages = await spireOf.workload([...WEB.selectors, "k8s:pod-name:web-1"]);
  const [svid] = (await heard(messages)).svids;
  const leaf = new X509Certificate(svid!.x509Svid!);
  assert.deepEqual([svid!.spiffeId, leaf.subjectAltName], [WEB.spiffeId, `URI:${WEB.spiffeId}`]);
  const key = createPrivateKey({ key: Buffer.from(svid!.x509SvidKey!), format: "der", type: "pkcs8" });
  assert.ok(leaf.publicKey.equals(createPublicKey(key)));
  assert.ok(leaf.verify(new X509Certificate(svid!.bundle!).publicKey));
  spireOf.standIn.entries.put({ ...WEB, hint: "inside" });
  assert.equal((await heard(messages)).svids[0]!.hint, "inside");
});

test("nothing is told to who does not send the header, or has no identity", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  const client = spireOf.client((await spireOf.standIn.agentSocket(WEB.selectors)).path);
  const without = client.stream(PATH.workload, NOTHING);
  assert.equal(await failure(without.next()), "INVALID_ARGUMENT: security header missing from request");
  const stranger = await spireOf.workload(["k8s:ns:shop"]);
  assert.equal(await failure(stranger.next()), "PERMISSION_DENIED: no identity issued");
});

test("a workload whose entry is deleted is told that it has no identity", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  const messages = await spireOf.workload();
  await messages.next();
  spireOf.standIn.entries.remove("web");
  assert.equal(await failure(messages.next()), "PERMISSION_DENIED: no identity issued");
});

test("an agent has the entries of its own node and of the aliases that it matches, and no others", async () => {
  await using spireOf = await started();
  const alias = { spiffeId: id("/nodes"), parentId: id("/spire/server"), selectors: ["k8s_psat:cluster:east"] };
  spireOf.standIn.entries.put(alias, WEB, {
    ...WEB,
    id: "api",
    spiffeId: id("/ns/shop/sa/api"),
    parentId: id("/nodes"),
  });
  const ids = async (agentId: string) =>
    (await heard(await spireOf.workload(WEB.selectors, agentId))).svids.map(({ spiffeId }) => spiffeId).sort();
  assert.deepEqual(await ids(NODE_1.id), [id("/ns/shop/sa/api"), WEB.spiffeId]);
  assert.deepEqual(await ids(NODE_2.id), [id("/ns/shop/sa/api")]);
  spireOf.standIn.agents = [{ ...NODE_1, banned: true }, NODE_2];
  await spireOf.standIn.settled();
  assert.match(await failure(heard(await spireOf.workload(WEB.selectors, NODE_1.id))), /^PERMISSION_DENIED: /);
});

test("a delegate gets the identities of others, without administrators' and downstream ones, and none without an error", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(
    WEB,
    { ...WEB, id: "admin", spiffeId: id("/admin"), admin: true },
    { ...WEB, id: "down", spiffeId: id("/down"), downstream: true },
  );
  const messages = spireOf.delegate({ selectors: selectors(...WEB.selectors) });
  const { x509Svids } = await delegated(messages);
  assert.deepEqual(
    x509Svids.map(({ x509Svid }) => x509Svid?.id?.path),
    ["/ns/shop/sa/web"],
  );
  const leaf = new X509Certificate(x509Svids[0]!.x509Svid!.certChain![0]!);
  const key = createPrivateKey({ key: Buffer.from(x509Svids[0]!.x509SvidKey!), format: "der", type: "pkcs8" });
  assert.ok(leaf.publicKey.equals(createPublicKey(key)));
  const part = spireOf.delegate({ selectors: selectors("k8s:ns:shop") });
  assert.deepEqual((await delegated(part)).x509Svids, []);
  spireOf.standIn.entries.remove("web");
  assert.deepEqual((await delegated(messages)).x509Svids, []);
});

test("a delegate names either selectors or a process that can be attested", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  spireOf.standIn.processes.set(77, WEB.selectors);
  const one = "INVALID_ARGUMENT: must provide either selectors or non-zero PID, but not both";
  const asked = (request: spire.ISubscribeToX509SvidsRequest) => failure(spireOf.delegate(request).next());
  assert.equal(await asked({ pid: 77, selectors: selectors("k8s:ns:shop") }), one);
  assert.equal(await asked({}), one);
  assert.equal(
    await asked({ selectors: [{ type: "", value: "x" }] }),
    "INVALID_ARGUMENT: could not parse provided selectors",
  );
  assert.equal(await asked({ pid: 78 }), "UNAVAILABLE: workload attestation failed");
  assert.equal((await delegated(spireOf.delegate({ pid: 77 }))).x509Svids.length, 1);
});

test("only an identity that the agent names may ask for those of others", async () => {
  await using spireOf = await started({ authorizedDelegates: [id("/delegate")] });
  const delegate = { id: "d", spiffeId: id("/delegate"), parentId: NODE_1.id, selectors: ["unix:uid:1"] };
  spireOf.standIn.entries.put(delegate, WEB);
  const asked = async (caller: string) => {
    const { path } = await spireOf.standIn.adminSocketFor([caller]);
    return spireOf.delegate({ selectors: selectors(...WEB.selectors) }, path);
  };
  assert.equal(await failure((await asked("unix:uid:2")).next()), "PERMISSION_DENIED: no identity issued");
  spireOf.standIn.entries.put({ ...delegate, id: "other", spiffeId: id("/other"), selectors: ["unix:uid:2"] });
  assert.match(await failure((await asked("unix:uid:2")).next()), /caller not configured as an authorized delegate$/);
  const messages = await asked("unix:uid:1");
  assert.equal((await delegated(messages)).x509Svids.length, 1);
  spireOf.standIn.entries.remove("d");
  assert.equal(await failure(messages.next()), "PERMISSION_DENIED: no identity issued");
});

test("bundles of other trust domains come with the entries that name them", async () => {
  await using west = await started({ trustDomain: "west.test" });
  await using spireOf = await started();
  spireOf.standIn.trust.federate("west.test", west.standIn.trust.own.roots);
  spireOf.standIn.entries.put(WEB);
  const messages = await spireOf.workload();
  assert.deepEqual((await heard(messages)).federatedBundles, {});
  const bundles = spireOf.client(spireOf.standIn.adminSocket).stream(PATH.delegatedBundles, NOTHING);
  const named = async () =>
    Object.keys(spire.SubscribeToX509BundlesResponse.decode(await bundles.next()).caCertificates).sort();
  assert.deepEqual(await named(), [`spiffe://${TD}`]);
  spireOf.standIn.entries.put({ ...WEB, federatesWith: ["west.test"] });
  const { federatedBundles } = await heard(messages);
  assert.deepEqual(Buffer.from(federatedBundles["spiffe://west.test"]!), Buffer.concat(west.standIn.trust.own.roots));
  assert.deepEqual(await named(), [`spiffe://${TD}`, "spiffe://west.test"]);
  spireOf.standIn.trust.federate("west.test", []);
  assert.deepEqual(await named(), [`spiffe://${TD}`]);
});

test("a new authority is in the next message, and signs anew once the old one is on its way out", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  const messages = await spireOf.workload();
  const leaf = async () => {
    const [svid] = (await heard(messages)).svids;
    return { serial: new X509Certificate(svid!.x509Svid!).serialNumber, bundle: svid!.bundle!.length };
  };
  const before = await leaf();
  await spireOf.standIn.trust.prepare();
  const during = await leaf();
  assert.equal(during.serial, before.serial);
  assert.ok(during.bundle > before.bundle);
  await spireOf.standIn.rotate();
  assert.equal((await leaf()).serial, before.serial);
  spireOf.standIn.trust.taintOld();
  assert.notEqual((await leaf()).serial, before.serial);
});

test("without the server, an agent goes on with what it has", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  await spireOf.standIn.settled();
  const [first] = (await heard(await spireOf.workload())).svids;
  await spireOf.standIn.stop();
  spireOf.standIn.entries.remove("web");
  const later = await spireOf.workload();
  assert.deepEqual((await heard(later)).svids[0], first);
  await spireOf.standIn.resume();
  assert.equal(await failure(later.next()), "PERMISSION_DENIED: no identity issued");
});

test("an agent that goes away breaks its streams, and answers again once it is back", async () => {
  await using spireOf = await started();
  spireOf.standIn.entries.put(WEB);
  const socket = await spireOf.standIn.agentSocket(WEB.selectors);
  const messages = spireOf.client(socket.path).stream(PATH.workload, NOTHING, HEADER);
  await messages.next();
  await socket.stop();
  assert.match(await failure(messages.next()), /^(UNAVAILABLE|CANCELLED): /);
  await socket.resume();
  const again = spireOf.client(socket.path).stream(PATH.workload, NOTHING, HEADER);
  assert.equal((await heard(again)).svids.length, 1);
});
