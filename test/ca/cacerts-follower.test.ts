import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import type { Authority } from "../../src/ca/authority.ts";
import { AuthorityKeeper } from "../../src/ca/authority-keeper.ts";
import { CacertsFollower, LOOK_MS } from "../../src/ca/cacerts-follower.ts";
import { loadCacerts } from "../../src/ca/cacerts.ts";
import { newCsr, verifySvid } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { toPem } from "../../src/pem.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const trustDomain = "cluster.local";
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-follow-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(own: TestAuthority, ...roots: readonly TestAuthority[]): void {
  writeFileSync(join(folder, "ca-cert.pem"), own.root);
  writeFileSync(join(folder, "ca-key.pem"), own.key);
  writeFileSync(join(folder, "cert-chain.pem"), own.root);
  writeFileSync(join(folder, "root-cert.pem"), roots.map(({ root }) => root).join(""));
}

/** Follows a folder that holds `own` under `root`, with a signer that rotates. */
async function lab({ rootWaitMs = 0 } = {}) {
  const test = new TestHost();
  // The certificates are dated by a library, with the machine's time.
  const started = Date.now() - test.clock.now();
  const clock = {
    now: () => test.clock.now() + started,
    elapsedMs: () => test.clock.elapsedMs(),
    after: (delayMs: number, task: () => void) => test.clock.after(delayMs, task),
  };
  const host = { clock, random: test.random, log: test.log, metrics: test.metrics };
  const root = await TestAuthority.create("CN=root");
  const own = await TestAuthority.create("CN=first", root);
  write(own, root);
  const authority = (await loadCacerts(folder, trustDomain, clock.now()))!;
  const signer = new LocalSigner(host, authority, trustDomain);
  const changes: Authority[] = [];
  let failure: Error | undefined;
  const fail = (error: Error | undefined): void => void (failure = error);
  const onChange = (changed: Authority): Promise<void> => {
    if (failure !== undefined) return Promise.reject(failure);
    changes.push(changed);
    signer.rotate(changed);
    return Promise.resolve();
  };
  const keeper = new AuthorityKeeper(host, { trustDomain, authority, rootWaitMs, onChange });
  const follower = new CacertsFollower(host, folder, keeper);
  const settle = async (): Promise<void> => {
    await follower.reload();
    await follower.reload();
  };
  const roots = () => signer.bundles.get(trustDomain)!.roots.length;
  /** Signs, and verifies against the roots of now. */
  const issue = async (): Promise<string> => {
    const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 600 };
    const chain = await signer.sign(request, new AbortController().signal);
    const bundle = signer.bundles
      .get(trustDomain)!
      .roots.map((bytes) => toPem("CERTIFICATE", bytes))
      .join("");
    const elements = [...chain.map((bytes) => toPem("CERTIFICATE", bytes)), bundle];
    return verifySvid(elements, clock.now()).spiffeId;
  };
  const complaints = () => test.lines.filter((line) => line.startsWith("error ca: cacerts changed and cannot be used"));
  return { test, root, own, keeper, follower, changes, settle, complaints, roots, issue, fail };
}

test("an intermediate that replaces another signs from then on", async () => {
  const { root, settle, changes, complaints, issue } = await lab();
  await settle();
  assert.equal(changes.length, 0, "what was there at the start is no change");
  write(await TestAuthority.create("CN=second", root), root);
  await settle();
  assert.equal(changes.length, 1);
  assert.equal(await issue(), "spiffe://cluster.local/ns/shop/sa/cart");
  await settle();
  assert.equal(changes.length, 1, "and is told of once");
  assert.deepEqual(complaints(), []);
});

test("files that are being written are not judged before they are still", async () => {
  const { root, own, follower, changes, complaints } = await lab();
  const second = await TestAuthority.create("CN=second", root);
  writeFileSync(join(folder, "ca-cert.pem"), second.root);
  await follower.reload();
  write(second, root);
  await follower.reload();
  assert.deepEqual([changes.length, complaints()], [0, []]);
  await follower.reload();
  assert.equal(changes.length, 1);
  assert.notDeepEqual(changes[0]!.chain[0], own.root);
});

test("what cannot be used changes nothing, and is said once, each time it comes", async () => {
  const { test: host, root, own, settle, changes, complaints, issue } = await lab();
  const other = await TestAuthority.create("CN=other");
  for (let count = 1; count <= 2; count += 1) {
    writeFileSync(join(folder, "ca-key.pem"), other.key);
    await settle();
    await settle();
    assert.equal(complaints().length, count);
    assert.equal(host.metric("cacerts_unusable"), 1);
    write(own, root);
    await settle();
    assert.equal(host.metric("cacerts_unusable"), 0);
  }
  assert.match(complaints()[0]!, /ca-key.pem: it is not the key of ca-cert.pem/);
  assert.equal(changes.length, 0);
  await issue();
});

test("files that go leave what was there signing", async () => {
  const { settle, changes, complaints, issue } = await lab();
  rmSync(join(folder, "ca-key.pem"));
  await settle();
  rmSync(folder, { recursive: true });
  await settle();
  assert.match(complaints()[0]!, /lacks ca-key.pem/);
  assert.match(complaints()[1]!, /holds no authority any more/);
  assert.equal(changes.length, 0);
  await issue();
});

test("a root replaces another in steps only: both, then the signer, then the new one alone", async () => {
  const { root, own, settle, changes, complaints, roots, issue } = await lab();
  const later = await TestAuthority.create("CN=later root");
  const next = await TestAuthority.create("CN=next", later);
  write(next, later);
  await settle();
  assert.match(complaints()[0]!, /workloads would refuse each other; put the new root beside the old/);
  assert.equal(changes.length, 0);
  for (const [signer, anchors] of [
    [own, [root, later]],
    [next, [root, later]],
    [next, [later]],
  ] as const) {
    write(signer, ...anchors);
    await settle();
    assert.equal(roots(), anchors.length);
    await issue();
  }
  assert.equal(changes.length, 3);
  assert.equal(complaints().length, 1);
});

test("a root that has ended may be replaced at once: there is nobody left to part", async () => {
  const { test: host, settle, changes, complaints, issue } = await lab();
  host.clock.advance(3 * 3_600_000);
  const notAfterMs = Date.now() + 10 * 3_600_000;
  const later = await TestAuthority.create({ name: "CN=later root", notAfterMs });
  write(await TestAuthority.create({ name: "CN=later", notAfterMs }, later), later);
  await settle();
  assert.deepEqual(complaints(), []);
  assert.equal(changes.length, 1);
  await issue();
});

test("nothing changes any more once it is closed, though a look was under way", async () => {
  const { test: host, root, own, follower, changes } = await lab();
  await follower.reload();
  await follower.reload();
  write(await TestAuthority.create("CN=second", root), root);
  await follower.reload();
  follower.start();
  host.clock.advance(LOOK_MS);
  await follower.close();
  const { length } = changes;
  write(own, root);
  host.clock.advance(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([length, changes.length, host.clock.pending], [1, 1, 0]);
});

test("a change that could not be made is tried again, and said once", async () => {
  const { root, settle, changes, complaints, fail, issue } = await lab();
  await settle();
  fail(new Error("the disk is full"));
  write(await TestAuthority.create("CN=second", root), root);
  await settle();
  await settle();
  assert.deepEqual([changes.length, complaints().length], [0, 1]);
  assert.match(complaints()[0]!, /the disk is full/);
  fail(undefined);
  await settle();
  assert.equal(changes.length, 1);
  await issue();
});

test("the folder is looked at every few seconds, until it is closed", async () => {
  const { test: host, root, follower, changes } = await lab();
  const looked = async (): Promise<void> => {
    host.clock.advance(LOOK_MS);
    await until(() => host.clock.pending > 0);
  };
  follower.start();
  write(await TestAuthority.create("CN=second", root), root);
  await looked();
  await looked();
  assert.equal(changes.length, 1);
  await follower.close();
  assert.equal(host.clock.pending, 0);
});
