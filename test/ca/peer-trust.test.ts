import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { checkedLists } from "../../src/ca/crl-check.ts";
import { PeerTrust } from "../../src/ca/peer-trust.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const usages = SIGNS_LISTS;
const rawOf = (pem: string): Buffer => new X509Certificate(pem).raw;

/** A root, our own authority and a peer's, each with a leaf. */
async function mesh() {
  const root = await TestAuthority.create({ name: "CN=root", usages, serial: "10" });
  const own = await TestAuthority.create({ name: "CN=own", usages, serial: "11" }, root);
  const peer = await TestAuthority.create({ name: "CN=peer", usages, serial: "12" }, root);
  const leafOf = async (authority: TestAuthority, serial: string): Promise<Buffer> =>
    rawOf((await authority.issue([WEB], 3_600_000, serial)).certificate);
  const trust = async (...lists: readonly string[]): Promise<PeerTrust> => {
    const known = [own, root].map(({ root }) => new X509Certificate(root));
    const revocations = lists.length === 0 ? [] : checkedLists(lists.join(""), known, Date.now());
    return new PeerTrust({ chain: [rawOf(own.root)], roots: [rawOf(root.root)], revocations });
  };
  return { root, own, peer, leafOf, trust };
}

test("a chain counts if it leads to a root, whether or not it shows what we know", async () => {
  const { root, own, peer, leafOf, trust } = await mesh();
  const [ours, theirs] = [await leafOf(own, "21"), await leafOf(peer, "22")];
  const peers = await trust();
  assert.equal(peers.whyNot([ours]), undefined);
  assert.equal(peers.whyNot([theirs, rawOf(peer.root), rawOf(root.root)]), undefined);
  assert.match(peers.whyNot([theirs])!, /no root that we trust leads to "CN=leaf"/);
  assert.equal(peers.whyNot([]), "there is none");
  const stranger = await TestAuthority.create("CN=root");
  assert.match(peers.whyNot([await leafOf(stranger, "23"), rawOf(stranger.root)])!, /no root that we trust/);
});

test("a leaf that its authority revoked proves nobody, and no other is touched", async () => {
  const { own, peer, leafOf, trust } = await mesh();
  const peers = await trust(await own.list({ revoked: ["21"] }));
  assert.match(peers.whyNot([await leafOf(own, "21")])!, /with serial number 21 is revoked/);
  assert.equal(peers.whyNot([await leafOf(own, "22")]), undefined);
  assert.equal(
    peers.whyNot([await leafOf(peer, "21"), rawOf(peer.root)]),
    undefined,
    "a serial number is of its issuer",
  );
});

test("an intermediate that the root revoked takes all that it issued with it, in whichever order it is shown", async () => {
  const { root, own, peer, leafOf, trust } = await mesh();
  const peers = await trust(await root.list({ revoked: ["12"] }));
  const leaf = await leafOf(peer, "21");
  for (const shown of [[rawOf(peer.root)], [rawOf(root.root), rawOf(peer.root)], [rawOf(own.root), rawOf(peer.root)]])
    assert.match(peers.whyNot([leaf, ...shown])!, /"CN=peer" with serial number 12 is revoked/);
  assert.equal(peers.whyNot([await leafOf(own, "22")]), undefined);
});

test("a namesake with another serial number, shown beside the revoked one, does not hide it", async () => {
  const { root, peer, leafOf, trust } = await mesh();
  const peers = await trust(await root.list({ revoked: ["12"] }));
  const rogue = await TestAuthority.create({ name: "CN=root", usages });
  const namesake = await TestAuthority.create({ name: "CN=peer", usages, serial: "99" }, rogue);
  const leaf = await leafOf(peer, "21");
  for (const shown of [
    [rawOf(namesake.root), rawOf(peer.root)],
    [rawOf(peer.root), rawOf(namesake.root), rawOf(rogue.root)],
  ])
    assert.match(peers.whyNot([leaf, ...shown])!, /is revoked|no root that we trust/);
});

test("peers whom we call, and who call us, are held to the same lists", async () => {
  const { root, own, peer, leafOf } = await mesh();
  const [leaf, other] = [await leafOf(peer, "21"), await leafOf(own, "22")];
  const trust = new TrustBundles("cluster.local");
  const verify = (chain: readonly Uint8Array[]) => () => trust.verify(chain, "server", Date.now());
  const [theirs, ours] = [
    [leaf, rawOf(peer.root)],
    [other, rawOf(own.root)],
  ];
  const roots = [rawOf(root.root)];
  trust.setOwn(roots);
  assert.equal(verify(theirs)().identity.serviceAccount, "web");
  const known = [new X509Certificate(root.root), new X509Certificate(own.root)];
  trust.setOwn(roots, checkedLists(await root.list({ revoked: ["12"] }), known, Date.now()));
  assert.throws(verify(theirs), /"CN=peer" with serial number 12 is revoked/);
  verify(ours)();
  trust.setOwn(roots, checkedLists(await own.list({ revoked: ["22"] }), known, Date.now()));
  assert.throws(verify(ours), /with serial number 22 is revoked/);
  verify(theirs)();
});
