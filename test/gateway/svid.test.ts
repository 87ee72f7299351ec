import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { before, test } from "mocha";
import { toPem } from "../../src/pem.ts";
import { checkedSvid, type ExpectedIdentity } from "../../src/gateway/svid.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";

const OURS = "spiffe://td/ns/shop/sa/waypoint";
const expected: ExpectedIdentity = { namespace: "shop", serviceAccount: "waypoint", trustDomain: undefined };

let root: TestAuthority;
let authority: TestAuthority;
before(async () => {
  root = await TestAuthority.create();
  authority = await TestAuthority.create({ name: "CN=intermediate" }, root);
});

function ownKey({ key }: Pair) {
  const privateKey = createPrivateKey(key);
  return { privateKey, publicKey: createPublicKey(privateKey).export({ type: "spki", format: "der" }) };
}

/** Checks an answer of the authority as the agent does. */
function check(leaf: Pair, more: Partial<ExpectedIdentity> & { readonly roots?: string; readonly key?: Pair } = {}) {
  const { roots = root.root, key = leaf, ...identity } = more;
  const answer = [leaf.certificate, authority.root, roots];
  const now = Date.now();
  return checkedSvid(answer, ownKey(key), { expected: { ...expected, ...identity }, roots, rootFile: "/roots", now });
}

test("what the CA issued for us is taken: our name, chain and key, to the first end on the way", async () => {
  const leaf = await authority.issue([OURS], 3_600_000);
  const svid = check(leaf);
  assert.deepEqual([svid.spiffeId, svid.trustDomain], [OURS, "td"]);
  assert.equal(svid.chain, [leaf.certificate, authority.root].map((pem) => toPem("CERTIFICATE", derOf(pem))).join(""));
  assert.deepEqual(
    createPrivateKey(svid.key).export({ format: "jwk" }),
    createPrivateKey(leaf.key).export({ format: "jwk" }),
  );
  assert.ok(Math.abs(svid.notAfter - Date.now() - 3_600_000) < 60_000);
  const long = await authority.issue([OURS], 9 * 3_600_000);
  assert.ok(check(long).notAfter < Date.now() + 7_200_001, "it counts no longer than its issuer");
});

test("an answer for anybody else is refused, whatever else is right", async () => {
  const refused: readonly [string, Partial<ExpectedIdentity>, RegExp][] = [
    [
      "spiffe://td/ns/shop/sa/cart",
      {},
      /it is for spiffe:\/\/td\/ns\/shop\/sa\/cart, and we are spiffe.*\/sa\/waypoint$/,
    ],
    ["spiffe://td/ns/bank/sa/waypoint", {}, /it is for spiffe:\/\/td\/ns\/bank/],
    [OURS, { trustDomain: "other" }, /it is for .*, and we are spiffe:\/\/other\/ns\/shop\/sa\/waypoint/],
    ["spiffe://td/waypoint", {}, /is not a service account's/],
  ];
  for (const [name, identity, message] of refused) {
    const leaf = await authority.issue([name]);
    assert.throws(() => check(leaf, identity), { message });
  }
  const two = await authority.issue([OURS, "spiffe://td/ns/shop/sa/cart"]);
  assert.throws(() => check(two), /it has 2 URI names, not one/);
  const none = await authority.issue();
  assert.throws(() => check(none), /it has 0 URI names, not one/);
});

test("an answer for another key is refused", async () => {
  const [leaf, other] = [await authority.issue([OURS]), await authority.issue([OURS])];
  assert.throws(() => check(leaf, { key: other }), /it is for another key than ours/);
});

test("only the mounted roots count, not those that the answer brings", async () => {
  const leaf = await authority.issue([OURS]);
  const stranger = await TestAuthority.create({ name: "CN=stranger" });
  assert.throws(() => check(leaf, { roots: stranger.root }), /it does not lead to a root in \/roots: no root/);
  assert.equal(check(leaf, { roots: stranger.root + root.root }).spiffeId, OURS);
});

test("an answer that has ended, or lacks its chain, is refused with the reason", async () => {
  const ended = await authority.issue([OURS], -1_000);
  assert.throws(() => check(ended), /does not lead to a root in \/roots: it ended at/);
  const leaf = await authority.issue([OURS]);
  const now = Date.now();
  const bare = { expected, roots: root.root, rootFile: "/roots", now };
  assert.throws(() => checkedSvid([leaf.certificate, root.root], ownKey(leaf), bare), /does not lead to a root/);
  for (const answer of [[], [leaf.certificate], ["no PEM", root.root]])
    assert.throws(() => checkedSvid(answer, ownKey(leaf), bare), /it holds no certificate of ours/);
});
