import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { afterEach, test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import type { IssuedSvid, TrustBundle } from "../../src/ca/signer.ts";
import { k8sAgent } from "../../src/demo/spire/agent-service.ts";
import type { LeafFault } from "../../src/demo/spire/faults.ts";
import { SpireStandIn, type SpireStandInOptions } from "../../src/demo/spire/stand-in.ts";
import { MeshError } from "../../src/errors.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { DelegatedSigner } from "../../src/spire/delegated-signer.ts";
import { GrpcSpireServer } from "../../src/spire/server-api.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { signerKit } from "../kits/signer.ts";
import { bearerOf, CART, east, podNamed, trustDomain } from "./lab.ts";

const staying = new AbortController().signal;
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
const bearer = bearerOf(podNamed("cart-0"));
const closing: (() => PromiseLike<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A signer that talks to a SPIRE server of the tests over its socket, and whose memory can be made to lapse. */
async function started(over: Partial<SpireStandInOptions> = {}) {
  const folder = await folderOf({});
  const host = realHost();
  const agent = k8sAgent(trustDomain, "prod-east", "n1", Date.now() + 3_600_000);
  const standIn = await SpireStandIn.start({ host, folder: folder.path, trustDomain, agents: [agent], ...over });
  const server = new GrpcSpireServer(host, { address: { kind: "socket", path: standIn.socketPath }, trustDomain });
  closing.push(
    () => folder[Symbol.asyncDispose](),
    () => standIn.close(),
    () => Promise.resolve(server.close()),
  );
  const entry = { id: "cart", spiffeId: CART, parentId: agent.id, selectors: ["k8s:ns:shop", "k8s:sa:cart"] };
  standIn.entries.put(entry);
  let laterMs = 0;
  const clock = { ...host.clock, now: () => host.clock.now(), elapsedMs: () => host.clock.elapsedMs() + laterMs };
  const { roots } = standIn.trust.own;
  const graph = new Graph();
  const bundles = new Source<string, TrustBundle>(graph, "trust-bundles");
  bundles.set(trustDomain, { trustDomain, roots });
  graph.flush();
  const signer = new DelegatedSigner(
    { ...host, clock },
    {
      ...{ server, trustDomain, cluster: "prod-east", localCluster: east, bundles },
      roots: () => standIn.trust.own.roots,
    },
  );
  const issue = (signal = staying): Promise<IssuedSvid> =>
    signer.issue({ identity, csr: newCsr(CART).csr, ttlSeconds: 600, bearer }, signal);
  return { standIn, signer, issue, clock: host.clock, entry, forget: () => void (laterMs += 30_000) };
}

for (const [what, above] of [
  ["of its own root", []],
  ["under two authorities", [undefined, undefined]],
] as const)
  signerKit(`SPIRE ${what}, over its socket`, async () => {
    const { signer, clock } = await started({ above });
    return { signer, clock, trustDomain, bearer, foreign: true };
  });

const LEAF_FAULTS: Readonly<Record<LeafFault, RegExp>> = {
  "other-identity": /its name is not the identity that was asked for/,
  "other-trust-domain": /its name is not the identity that was asked for/,
  "other-key": /its key is not the one that was asked for/,
  "other-issuer":
    /its issuer is not who signed it|does not name its issuer's key|no root of SPIRE's bundle is its issuer/,
  authority: /it is an authority|has keyCertSign/,
  "two-names": /it has not exactly one URI name/,
  "extra-dns-name": /it has not exactly one URI name/,
  expired: /its life is over/,
  "from-the-future": /its life has not begun/,
  "without-its-issuer": /no root of SPIRE's bundle is its issuer/,
  "no-certificate": /SPIRE's chain cannot be used/,
};

test("whatever is wrong with what SPIRE signs, it is not let out, and once that is mended the next one is", async () => {
  const { standIn, issue } = await started({ above: [undefined] });
  for (const [leaf, why] of Object.entries(LEAF_FAULTS)) {
    standIn.faults = { leaf: leaf as LeafFault };
    await assert.rejects(issue(), { code: "internal", message: why }, leaf);
  }
  standIn.faults = {};
  assert.equal(new X509Certificate((await issue()).chain[0]).subjectAltName, `URI:${CART}`);
});

test("a server that is down has requests asked again, and they are signed once it is back", async () => {
  const { standIn, issue, forget } = await started();
  await issue();
  await standIn.stop();
  // With what is known of entries, and without.
  for (let times = 0; times < 2; times += 1) {
    await assert.rejects(issue(), { code: "unavailable", message: /^SPIRE's server at unix:/ });
    forget();
  }
  await standIn.resume();
  for (let tries = 0; ; tries += 1) {
    const outcome = await issue().catch((thrown: unknown) => MeshError.from(thrown));
    if (!(outcome instanceof MeshError)) break;
    assert.ok(outcome.code === "unavailable" && tries < 100, outcome.message);
  }
});

test("an entry that is removed under a live SVID, and comes back, decides on the next request", async () => {
  const { standIn, issue, forget, entry } = await started();
  assert.deepEqual((await issue()).entries, ["cart"]);
  standIn.entries.remove("cart");
  forget();
  await assert.rejects(issue(), { code: "denied", message: /SPIRE has no registration entry for .*sa\/cart/ });
  standIn.entries.put({ ...entry, selectors: [...entry.selectors, "k8s:pod-label:tier:gold"] });
  forget();
  await assert.rejects(issue(), { code: "denied", message: /the pod lacks its selector k8s:pod-label:tier:gold/ });
  standIn.entries.put(entry);
  forget();
  await issue();
});

test("a list of entries or nodes that breaks off is no list: nobody is refused for it, nor let in", async () => {
  const { standIn, issue, forget } = await started();
  for (let at = 0; at < 5; at += 1)
    standIn.entries.put({
      spiffeId: CART,
      parentId: "spiffe://cluster.local/elsewhere",
      selectors: [`k8s:pod-uid:${at}`],
    });
  standIn.faults = { pageMax: 2, failAfterPages: 1 };
  await assert.rejects(issue(), { code: "unavailable" });
  standIn.faults = { pageMax: 2 };
  // Nor is what is still under way.
  forget();
  assert.deepEqual((await issue()).entries, ["cart"]);
});

test("a server that no longer takes us for an administrator has requests asked again", async () => {
  const { standIn, issue } = await started();
  for (const method of ["ListEntries", "ListAgents", "MintX509SVID"]) {
    standIn.faults = { refuse: { [method]: { code: status.PERMISSION_DENIED, message: "not admin" } } };
    const again = await issue().catch((thrown: unknown) => MeshError.from(thrown));
    assert.ok(again instanceof MeshError && again.code === "unavailable", method);
    assert.match(again.message, /not admin/);
  }
});

test("10,000 entries of others make neither the look-up longer nor the answer another", async () => {
  const { standIn, issue } = await started();
  const parentId = "spiffe://cluster.local/elsewhere";
  standIn.entries.put(
    ...Array.from({ length: 10_000 }, (_, at) => ({
      ...{ id: `other-${at}`, parentId, selectors: [`k8s:pod-uid:${at}`] },
      spiffeId: `spiffe://cluster.local/ns/shop/sa/other-${at}`,
    })),
  );
  assert.deepEqual((await issue()).entries, ["cart"]);
});

test("when SPIRE rotates, its next authority is believed as soon as its bundle has its root", async () => {
  const { standIn, issue, signer } = await started();
  await issue();
  const before = signer.describe().roots.length;
  await standIn.rotate();
  await issue();
  assert.equal(signer.describe().roots.length, before + 1);
});
