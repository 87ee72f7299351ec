import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { checkedLists } from "../../src/ca/crl-check.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { MeshError } from "../../src/errors.ts";
import { derOf, type Pair, SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const DAY_MS = 86_400_000;
const one = "spiffe://one.test/ns/shop/sa/cart";
const two = "spiffe://two.test/ns/shop/sa/cart";
const now = Date.now();

/** Of one.test, which is ours, with this root. */
function bundlesWith(root: TestAuthority): TrustBundles {
  const bundles = new TrustBundles("one.test");
  bundles.setOwn([derOf(root.root)]);
  return bundles;
}

const chainOf = (leaf: Pair, ...authorities: readonly TestAuthority[]): readonly Uint8Array[] => [
  derOf(leaf.certificate),
  ...authorities.map(({ root }) => derOf(root)),
];

function refused(work: () => unknown, reason: RegExp): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof MeshError && error.code === "unauthenticated", String(error));
    assert.match(error.message, reason);
    return true;
  });
}

test("a leaf is whom its URI names, over intermediates in any order and until the first certificate of its chain ends", async () => {
  const root = await TestAuthority.create({ name: "CN=root" });
  const upper = await TestAuthority.create({ name: "CN=upper", notAfterMs: now + 1_800_000 }, root);
  const lower = await TestAuthority.create({ name: "CN=lower" }, upper);
  const bundles = bundlesWith(root);
  const leaf = await lower.issue([one]);
  for (const others of [
    [lower, upper],
    [upper, lower],
    [root, upper, lower],
  ]) {
    const { identity, expiresAt } = bundles.verify(chainOf(leaf, ...others), "client", now);
    assert.deepEqual(identity, { trustDomain: "one.test", namespace: "shop", serviceAccount: "cart" });
    assert.ok(Math.abs(expiresAt - (now + 1_800_000)) < 1000, new Date(expiresAt).toISOString());
  }
  refused(() => bundles.verify(chainOf(leaf, upper), "client", now), /no root of its trust domain issued "CN=leaf"/);
  refused(() => bundles.verify(chainOf(leaf, lower), "server", now), /issued "CN=lower", "CN=upper" did/);
});

test("a leaf of one trust domain under the root of another is refused, though both roots are known", async () => {
  const [ours, theirs] = [await TestAuthority.create("CN=one"), await TestAuthority.create("CN=two")];
  const bundles = bundlesWith(ours);
  bundles.offer("mesh-config", [{ trustDomain: "two.test", roots: [derOf(theirs.root)] }]);
  const verify = async (authority: TestAuthority, uri: string) =>
    bundles.verify(chainOf(await authority.issue([uri]), authority), "client", now).identity.trustDomain;
  assert.equal(await verify(ours, one), "one.test");
  assert.equal(await verify(theirs, two), "two.test");
  const [forged, borrowed] = [chainOf(await theirs.issue([one]), theirs), chainOf(await ours.issue([two]), ours)];
  refused(
    () => bundles.verify(forged, "client", now),
    /spiffe:\/\/one\.test\/.*root vouches for trust domain two\.test only/,
  );
  refused(
    () => bundles.verify(borrowed, "server", now),
    /spiffe:\/\/two\.test\/.*root vouches for trust domain one\.test only/,
  );
});

test("an intermediate of another trust domain leads nowhere, whatever else is shown beside it", async () => {
  const [ours, theirs] = [await TestAuthority.create("CN=one"), await TestAuthority.create("CN=two")];
  const [below, foreign] = [
    await TestAuthority.create("CN=intermediate", ours),
    await TestAuthority.create("CN=intermediate", theirs),
  ];
  const bundles = bundlesWith(ours);
  bundles.offer("mesh-config", [{ trustDomain: "two.test", roots: [derOf(theirs.root)] }]);
  const forged = chainOf(await foreign.issue([one]), below, foreign, ours, theirs);
  refused(() => bundles.verify(forged, "client", now), /root vouches for trust domain two\.test only/);
  const good = chainOf(await below.issue([one]), foreign, below, theirs, ours);
  assert.equal(bundles.verify(good, "client", now).identity.trustDomain, "one.test");
});

test("two trust domains under one root are told apart only once each was offered, and follow the root when it changes", async () => {
  const [shared, next] = [await TestAuthority.create("CN=shared"), await TestAuthority.create("CN=next")];
  const bundles = bundlesWith(shared);
  const before = chainOf(await shared.issue([two]), shared);
  refused(() => bundles.verify(before, "client", now), /vouches for trust domain one\.test only/);
  bundles.offer("peer/west", [{ trustDomain: "two.test", roots: "own" }]);
  assert.equal(bundles.verify(before, "client", now).identity.trustDomain, "two.test");
  bundles.setOwn([derOf(next.root)]);
  refused(() => bundles.verify(before, "client", now), /no root of its trust domain/);
  assert.equal(bundles.verify(chainOf(await next.issue([two])), "client", now).identity.trustDomain, "two.test");
});

test("what several sources say adds up, what one withdraws goes, and whoever follows hears of each change", async () => {
  const [ours, a, b] = [
    await TestAuthority.create(),
    await TestAuthority.create("CN=a"),
    await TestAuthority.create("CN=b"),
  ];
  const bundles = bundlesWith(ours);
  let changes = 0;
  bundles.observe(() => (changes += 1));
  const ofTwo = (...roots: TestAuthority[]) => [
    { trustDomain: "two.test", roots: roots.map(({ root }) => derOf(root)) },
  ];
  bundles.offer("mesh-config", ofTwo(a, b));
  bundles.offer("peer/west", ofTwo(b));
  assert.deepEqual(bundles.rootsOf("two.test"), [derOf(a.root), derOf(b.root)]);
  assert.deepEqual(bundles.pooledRoots, [derOf(ours.root), derOf(a.root), derOf(b.root)]);
  bundles.offer("mesh-config", []);
  assert.deepEqual(bundles.rootsOf("two.test"), [derOf(b.root)]);
  bundles.offer("peer/west", []);
  assert.deepEqual(bundles.rootsOf("two.test"), []);
  assert.equal(changes, 3);
  assert.throws(() => bundles.offer("peer/west", [{ trustDomain: "two.test", roots: [Buffer.of(1)] }]));
  assert.deepEqual(
    [...bundles.bundles.entries()].map(([name]) => name),
    ["one.test"],
  );
});

test("what all peers say is one change, however many they are", async () => {
  const root = await TestAuthority.create();
  const bundles = bundlesWith(root);
  let changes = 0;
  bundles.observe(() => (changes += 1));
  const peers = Array.from(
    { length: 500 },
    (_, at) => [`peer/${at}`, [{ trustDomain: `td${at}`, roots: "own" }]] as const,
  );
  bundles.replace("peer/", peers);
  assert.deepEqual([changes, bundles.bundles.size], [1, 501]);
  assert.deepEqual(bundles.rootsOf("td499"), [derOf(root.root)]);
  const stranger = chainOf(await root.issue(["spiffe://unknown.test/ns/a/sa/b"]));
  refused(() => bundles.verify(stranger, "client", now), /for trust domain one\.test, td0, td1 and 498 others only/);
  bundles.replace("peer/", peers);
  assert.equal(changes, 1);
  bundles.replace("peer/", peers.slice(0, 1));
  assert.deepEqual([...bundles.bundles.entries()].map(([name]) => name).sort(), ["one.test", "td0"]);
  assert.equal(changes, 2);
});

test("a leaf under no root that is known is refused, with the name of who issued it", async () => {
  const bundles = bundlesWith(await TestAuthority.create("CN=one"));
  const foreign = await TestAuthority.create("CN=stranger");
  const shown = chainOf(await foreign.issue([one]), foreign);
  refused(() => bundles.verify(shown, "client", now), /"CN=stranger" is no root of its trust domain/);
  refused(() => bundles.verify(shown.slice(0, 1), "client", now), /issued "CN=leaf", "CN=stranger" did/);
  refused(() => new TrustBundles("one.test").verify(shown, "client", now), /is no root of its trust domain/);
});

test("whatever of a chain has ended, or has not begun, leads nowhere", async () => {
  const long = await TestAuthority.create({ name: "CN=long", notAfterMs: now + 10 * DAY_MS });
  const short = await TestAuthority.create({ name: "CN=short", notAfterMs: now + DAY_MS }, long);
  const leaf = await short.issue([one], 5 * DAY_MS);
  const bundles = bundlesWith(long);
  const at = (time: number) => () => bundles.verify(chainOf(leaf, short), "client", time);
  assert.ok(at(now)());
  refused(at(now + 2 * DAY_MS), /"CN=short" ended at/);
  refused(at(now + 6 * DAY_MS), /: it ended at/);
  refused(at(now - DAY_MS), /begins at/);
  refused(() => bundlesWith(short).verify(chainOf(leaf), "client", now + 2 * DAY_MS), /"CN=short" ended at/);
});

test("nothing leads over an authority that is revoked, for as long as the list says so", async () => {
  const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
  const below = await TestAuthority.create("CN=below", root);
  const leaf = await below.issue([one]);
  const listsOf = async (...revoked: string[]) =>
    checkedLists(await root.list({ revoked }), [new X509Certificate(root.root)], now);
  const bundles = bundlesWith(root);
  const verify = () => bundles.verify(chainOf(leaf, below), "client", now);
  bundles.setOwn([derOf(root.root)], await listsOf("7f"));
  assert.equal(verify().identity.trustDomain, "one.test");
  bundles.setOwn([derOf(root.root)], await listsOf("01"));
  refused(verify, /"CN=below" with serial number 01 is revoked/);
  bundles.setOwn([derOf(root.root)]);
  assert.equal(verify().identity.trustDomain, "one.test");
});

test("what is no authority, or may not have an authority below it, issues nothing that counts", async () => {
  const root = await TestAuthority.create({ name: "CN=root", pathLength: 0 });
  const bundles = bundlesWith(root);
  const verify = async (shape: Parameters<typeof TestAuthority.create>[0], above = root) => {
    const authority = await TestAuthority.create(shape, above);
    const leaf = await authority.issue([one]);
    return () => bundles.verify(chainOf(leaf, authority), "client", now);
  };
  refused(await verify({ name: "CN=below" }), /"CN=root" allows 0 authorities below it, and there are 1/);
  const open = await TestAuthority.create("CN=open");
  bundles.setOwn([derOf(open.root)]);
  refused(await verify({ name: "CN=leaf that signs", ca: false }, open), /is no authority/);
  const lists = { name: "CN=lists", usages: x509.KeyUsageFlags.cRLSign };
  refused(await verify(lists, open), /issued "CN=leaf", "CN=lists" did/);
  const servers = { name: "CN=servers", purposes: [x509.ExtendedKeyUsage.serverAuth] };
  refused(await verify(servers, open), /"CN=servers" is not for clients/);
  refused(await verify({ name: "CN=weak", algorithm: "RSA-1024" }, open), /RSA of 1024 bits/);
  assert.ok((await verify({ name: "CN=fine" }, open))());
});

test("an authority's certificate, one with two names and one with none prove nobody", async () => {
  const root = await TestAuthority.create("CN=root");
  const bundles = bundlesWith(root);
  const authority = await TestAuthority.create({ name: "CN=named", uris: [one] }, root);
  refused(() => bundles.verify([derOf(authority.root)], "client", now), /it is an authority's/);
  for (const uris of [[one, two], [one, one], []]) {
    const leaf = await root.issue(uris);
    refused(() => bundles.verify(chainOf(leaf), "client", now), /not exactly one URI name/);
  }
  refused(() => bundles.verify([], "client", now), /none was shown/);
  refused(() => bundles.verify([Buffer.of(0x30, 0)], "client", now), /the client certificate proves nobody/);
});
