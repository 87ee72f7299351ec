import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { ExpiryWatch } from "../../src/ca/expiry-watch.ts";
import { authorityOf, cacertsIn } from "../../src/ca/cacerts.ts";
import { checkedLists } from "../../src/ca/crl-check.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import type { Host } from "../../src/host.ts";
import { TestHost } from "../kits/test-host.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const DAY_MS = 86_400_000;
const trustDomain = "cluster.local";

/** @param ageDays what has passed already when it is noted. */
async function lab({ intermediateDays = 100, rootDays = 1_000, ageDays = 0 } = {}) {
  const time = new TestHost();
  const start = Date.now();
  const offset = start - time.clock.now();
  const { random, log, metrics, clock } = time;
  const after = (delayMs: number, task: () => void) => clock.after(delayMs, task);
  const own = { now: () => clock.now() + offset, elapsedMs: () => clock.elapsedMs(), after };
  const host: Host = { clock: own, random, log, metrics };
  const root = await TestAuthority.create({ name: "CN=root", notAfterMs: start + rootDays * DAY_MS });
  const intermediate = await TestAuthority.create(
    { name: "CN=own", notAfterMs: start + intermediateDays * DAY_MS },
    root,
  );
  const files = {
    "ca-cert.pem": intermediate.root,
    "ca-key.pem": intermediate.key,
    "cert-chain.pem": "",
    "root-cert.pem": root.root,
  };
  const authority = authorityOf(cacertsIn("test", new Map(Object.entries(files)))!, trustDomain, start);
  time.clock.advance(ageDays * DAY_MS);
  let told = 0;
  const watch = new ExpiryWatch(host, () => (told += 1));
  watch.note(authority);
  const faults = () => watch.faults.map(({ severity, message }) => `${severity}: ${message}`);
  return { host, time, watch, faults, authority, start, told: () => told };
}

test("gauges count down without requests, and each root has its own", async () => {
  const { time, watch, authority, start } = await lab();
  const chainEnds = Math.floor((start + 100 * DAY_MS) / 1000);
  assert.equal(time.metric("citadel_server_cert_chain_expiry_timestamp"), chainEnds);
  time.clock.advance(DAY_MS);
  assert.ok(Math.abs(time.metric("citadel_server_cert_chain_expiry_seconds") - 99 * 86_400) <= 60);
  assert.ok(Math.abs(time.metric("citadel_server_root_cert_expiry_seconds") - 999 * 86_400) <= 60);
  const roots = () => time.series.filter((series) => series.startsWith("root_cert_expiry_timestamp_seconds{root=CN="));
  assert.equal(roots().length, 1);
  const other = await TestAuthority.create({ name: "CN=other" });
  const der = Buffer.from(other.root.replace(/-----.*?-----|\s/g, ""), "base64");
  watch.note({ ...authority, roots: [...authority.roots, der] });
  assert.equal(roots().length, 2);
  watch.note(authority);
  assert.equal(roots().length, 1);
  watch.close();
  assert.equal(time.clock.pending, 0);
});

test("a signing certificate is warned of 30 days before its end, cried of 7 days before, and once each", async () => {
  const { time, faults, told } = await lab({ ageDays: 69 });
  assert.deepEqual([faults(), told()], [[], 0]);
  time.clock.advance(2 * DAY_MS);
  assert.match(
    faults().join(),
    /^warning: The authority's intermediate "CN=own" ends at 20.*nothing that it signs outlives it: renew it soon/,
  );
  time.clock.advance(23 * DAY_MS);
  assert.match(faults().join(), /^error: .* ends at .*: renew it now/);
  time.clock.advance(7 * DAY_MS);
  assert.match(faults().join(), /^error: .*"CN=own" ended at .*: renew it now\.$/);
  const said = time.lines.filter((line) => line.includes('"CN=own" end'));
  assert.deepEqual(
    said.map((line) => line.split(" ")[0]),
    ["warn", "error", "error"],
  );
  assert.equal(told(), 3);
});

test("a root is warned of 90 days before its end", async () => {
  const { time, faults } = await lab({ intermediateDays: 999, ageDays: 909 });
  assert.deepEqual(faults(), []);
  time.clock.advance(2 * DAY_MS);
  assert.match(
    faults().join(),
    /^warning: .*root "CN=root" ends at .*, and workloads trust it: change the root in steps soon\./,
  );
});

test("an intermediate that lives a day is not warned of all its life", async () => {
  const { time, faults } = await lab({ intermediateDays: 1 });
  assert.deepEqual(faults(), []);
  time.clock.advance(0.5 * DAY_MS);
  assert.deepEqual(faults(), []);
  time.clock.advance(0.2 * DAY_MS);
  assert.match(faults().join(), /^warning/);
  time.clock.advance(0.28 * DAY_MS);
  assert.match(faults().join(), /^error/);
});

test("a list stays in force when it is overdue, which is an error until a newer one is there; each has its gauges", async () => {
  const { time, watch, authority, faults, start, told } = await lab();
  const root = await TestAuthority.create({ name: "CN=lists", usages: SIGNS_LISTS });
  const list = async (dueMs: number, revoked: readonly string[]) =>
    checkedLists(await root.list({ dueMs, revoked }), [new X509Certificate(root.root)], start);
  watch.note({ ...authority, revocations: await list(start + DAY_MS, ["0a", "0b"]) });
  assert.deepEqual(faults(), []);
  time.clock.advance(DAY_MS + 60_000);
  assert.match(
    faults().join(),
    /^error: The revocation list of "CN=lists" stays in force, though a newer one was due at 20.*: put a newer one into ca-crl.pem\.$/,
  );
  assert.equal(time.metric("crl_revoked_certificates{issuer=CN=lists}"), 2);
  watch.note({ ...authority, revocations: await list(start + 3 * DAY_MS, []) });
  assert.deepEqual([faults(), told()], [[], 2]);
  const due = Math.floor((start + 3 * DAY_MS) / 1000);
  assert.equal(time.metric("crl_next_update_timestamp_seconds{issuer=CN=lists}"), due);
  watch.note(authority);
  assert.deepEqual(
    time.series.filter((series) => series.startsWith("crl_")),
    [],
  );
});

test("an authority that its root has revoked is an error, until another signs", async () => {
  const { watch, authority, faults, start, told } = await lab();
  const root = await TestAuthority.create({ name: "CN=lists", usages: SIGNS_LISTS });
  const [old, next] = [
    await TestAuthority.create({ name: "CN=own", serial: "07" }, root),
    await TestAuthority.create({ name: "CN=own", serial: "08" }, root),
  ];
  const revocations = checkedLists(await root.list({ revoked: ["07"] }), [new X509Certificate(root.root)], start);
  const signing = ({ root: pem }: TestAuthority) => ({
    ...authority,
    chain: [new X509Certificate(pem).raw],
    revocations,
    notAfter: start + 100 * DAY_MS,
  });
  const ends = faults();
  watch.note(signing(old));
  const revoked =
    'error: The authority\'s intermediate "CN=own" with serial number 07 is revoked, and whoever has ca-crl.pem refuses what it signs: give this cluster a new authority.';
  assert.ok(faults().includes(revoked), faults().join("\n"));
  watch.note(signing(next));
  assert.deepEqual([faults().includes(revoked), ends.includes(revoked), told() > 0], [false, false, true]);
});

// Fault 22 of contract operations.md 3.4.
test("an intermediate that ends in an hour signs for that hour, and then no more", async () => {
  const { host, time, authority, start } = await lab({ intermediateDays: 1 / 24 });
  const signer = new LocalSigner(host, authority, trustDomain);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 86_400 };
  const leaf = new X509Certificate((await signer.sign(request, new AbortController().signal))[0]!);
  assert.ok(Date.parse(leaf.validTo) <= start + DAY_MS / 24);
  time.clock.advance(DAY_MS / 24);
  await assert.rejects(signer.sign(request, new AbortController().signal), { code: "unavailable" });
});
