import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { checkedLists } from "../../src/ca/crl-check.ts";
import { IssuanceLog } from "../../src/ca/issuance-log.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import type { Caller } from "../../src/caller.ts";
import { certificateView } from "../../src/commands/certificate-view.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const caller: Caller = { identity, cluster: clusterId("east"), via: "token", pod: undefined, expiresAt: Infinity };

const nothing = (host: TestHost) => ({
  issuances: new IssuanceLog(host),
  signer: () => undefined,
  trustBundles: () => [],
  revocations: () => [],
});

test("certz says who signs and until when, how much was issued, and what was refused last", async () => {
  const host = new TestHost();
  await using folder = await folderOf({});
  const signer = new LocalSigner(host, await selfMadeRoot(host, folder.path, "cluster.local"), "cluster.local");
  const issuances = new IssuanceLog(host);
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 600 };
  const chain = await signer.sign(request, new AbortController().signal);
  issuances.issued(identity, { chain, entries: [] }, "local key", { address: "10.0.0.9:1", caller });
  for (let count = 0; count < 25; count += 1) {
    host.clock.advance(1000);
    const error = new MeshError("denied", `reason ${count}`);
    issuances.refused("impersonation", error, { address: "10.0.0.9:1", caller, asked: "spiffe://x" });
  }
  const shown = certificateView(
    { issuances, signer: () => signer.describe(), trustBundles: () => [], revocations: () => [] },
    host.clock.now(),
  ) as {
    readonly signer: { readonly roots: readonly { readonly sha256: string; readonly expires_in_seconds: number }[] };
    readonly last_refusals: readonly { readonly at: string; readonly why: string; readonly caller: string }[];
  };
  const [root] = signer.bundles.get("cluster.local")!.roots;
  const tenYears = 10 * 365 * 86_400;
  assert.deepEqual(shown.signer, {
    kind: "local key",
    key: "ec-p256",
    trust_domain: "cluster.local",
    expires_at: new Date(signer.expiresAt).toISOString(),
    expires_in_seconds: tenYears - 25,
    chain: [],
    roots: shown.signer.roots,
  });
  assert.equal(shown.signer.roots.length, 1);
  assert.equal(shown.signer.roots[0]!.expires_in_seconds, tenYears - 25);
  const fingerprint = new X509Certificate(root!).fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(shown.signer.roots[0]!.sha256.replaceAll(":", "").toLowerCase(), fingerprint);
  assert.equal(shown.last_refusals.length, 20);
  assert.equal(shown.last_refusals[0]!.why, "reason 24");
  assert.equal(shown.last_refusals[0]!.caller, "spiffe://cluster.local/ns/shop/sa/cart");
  assert.equal(shown.last_refusals[0]!.at, new Date(host.clock.now()).toISOString());
  const { issued, refused } = shown as unknown as { issued: number; refused: object };
  assert.deepEqual([issued, refused], [1, { impersonation: 25 }]);
});

test("certz shows each revocation list: whose, how old, when the next is due, and how much it revokes", async () => {
  const host = new TestHost();
  const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
  const now = Date.now();
  const text = await root.list({ fromMs: now - 3_600_000, dueMs: now - 1_000, number: 9, revoked: ["0a"] });
  const lists = checkedLists(text + (await root.list({ dueMs: null })), [new X509Certificate(root.root)], now);
  const viewed = { ...nothing(host), revocations: () => lists };
  const { revocation_lists: shown } = certificateView(viewed, now) as { revocation_lists: Record<string, unknown>[] };
  const { this_update, next_update, ...rest } = shown[0]!;
  assert.deepEqual(rest, { issuer: "CN=root", number: "9", revoked: 1, age_seconds: 3600, overdue: true });
  assert.equal(Date.parse(String(next_update)) - Date.parse(String(this_update)), 3_599_000);
  assert.deepEqual([shown[1]!["number"], "next_update" in shown[1]!], [undefined, false]);
});

test("certz shows which roots vouch for which trust domain", async () => {
  const [ours, theirs] = [await TestAuthority.create("CN=ours"), await TestAuthority.create("CN=theirs")];
  const trustBundles = () => [
    { trustDomain: "east.test", roots: [derOf(ours.root)] },
    { trustDomain: "west.test", roots: [derOf(theirs.root), derOf(ours.root)] },
  ];
  const view = certificateView({ ...nothing(new TestHost()), trustBundles }, Date.now());
  const { trusted } = view as { trusted: Record<string, { subject: string; sha256: string }[]> };
  const subjects = Object.entries(trusted).map(([name, roots]) => [name, ...roots.map(({ subject }) => subject)]);
  assert.deepEqual(subjects, [
    ["east.test", "CN=ours"],
    ["west.test", "CN=theirs", "CN=ours"],
  ]);
  assert.equal(trusted["east.test"]![0]!.sha256, trusted["west.test"]![1]!.sha256);
});
