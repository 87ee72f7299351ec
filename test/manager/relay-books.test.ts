import assert from "node:assert/strict";
import { test } from "mocha";
import { CertificateStore } from "../../src/manager/store/certificate-store.ts";
import { TokenStore } from "../../src/manager/store/token-store.ts";
import { clusterId } from "../../src/names.ts";
import type { TokenRecord } from "../../src/relay/enrollment.ts";
import { MemoryTrustStore } from "../kits/memory-trust-store.ts";
import { TestHost } from "../kits/test-host.ts";

const east = clusterId("east");
const now = new TestHost().clock.now();
const record: TokenRecord = {
  id: "00112233aabbccdd",
  cluster: east,
  hash: "ab".repeat(32),
  createdAt: now,
  expiresAt: now + 3_600_000,
  use: undefined,
  revokedAt: undefined,
};
const use = (key: string) => ({ at: now + 1, from: "10.0.0.1:5", key });

test("a token is kept whole, and only one of many callers has it", async () => {
  const store = new MemoryTrustStore();
  const books = [new TokenStore(store), new TokenStore(store)];
  await books[0]!.add(record);
  assert.deepEqual(await books[1]!.find(record.id), record);
  const counted = await Promise.all(["a", "b", "c", "d"].map((key, at) => books[at % 2]!.redeem(record.id, use(key))));
  assert.equal(new Set(counted.map((one) => one!.key)).size, 1);
  assert.deepEqual((await books[0]!.find(record.id))?.use, counted[0]);
  assert.deepEqual(await books[0]!.list(), [{ ...record, use: counted[0] }]);
});

test("a token that was revoked, or is gone, is nobody's", async () => {
  const tokens = new TokenStore(new MemoryTrustStore());
  assert.equal(await tokens.redeem(record.id, use("a")), undefined);
  await tokens.add(record);
  await tokens.revoke(record.id, now + 5);
  await tokens.revoke(record.id, now + 9);
  assert.equal((await tokens.find(record.id))?.revokedAt, now + 5);
  assert.equal(await tokens.redeem(record.id, use("a")), undefined);
  await tokens.revoke("ffff", now);
});

test("no token counts for longer than an hour, whatever stands in its document", async () => {
  const store = new MemoryTrustStore();
  const tokens = new TokenStore(store);
  await tokens.add({ ...record, expiresAt: now + 86_400_000 * 365 });
  assert.equal((await tokens.find(record.id))?.expiresAt, now + 3_600_000);
  store.put(`relay-token-${record.id}`, new Map([["cluster", "east"]]));
  await assert.rejects(
    tokens.find(record.id),
    /document relay-token-00112233aabbccdd is no bootstrap token of ours; remove/,
  );
});

test("tokens go a day after their end, and not before", async () => {
  const host = new TestHost();
  const store = new MemoryTrustStore();
  const tokens = new TokenStore(store);
  await tokens.add(record);
  const sweeping = tokens.keepSwept(host);
  await host.clock.pass(3_600_000 + 86_400_000 - 1);
  assert.equal(store.documents.size, 1);
  store.away = "gone fishing";
  await host.clock.pass(3_600_000);
  assert.ok(host.lines.some((line) => line.includes("gone fishing")));
  store.away = undefined;
  await host.clock.pass(3_600_000);
  assert.equal(store.documents.size, 0);
  sweeping[Symbol.dispose]();
  assert.equal(host.clock.pending, 0);
});

test("what is void is void from the next second on, ever later, and once for each cause", async () => {
  const host = new TestHost();
  const certificates = new CertificateStore(host, new MemoryTrustStore());
  assert.equal(certificates.lastVoidBefore(east), undefined);
  assert.equal(await certificates.voidBefore(east), 0);
  const first = await certificates.renounce(east, "token-1");
  assert.ok(first > host.clock.now() && first <= host.clock.now() + 1000 && first % 1000 === 0);
  assert.equal(await certificates.renounce(east, "token-1"), first);
  assert.equal(await certificates.renounce(east, "token-2"), first + 1000);
  assert.deepEqual(
    [certificates.lastVoidBefore(east), certificates.lastVoidBefore(clusterId("west"))],
    [first + 1000, 0],
  );
});

test("what another process makes void is seen within ten seconds, and while the store is away nothing counts again", async () => {
  const host = new TestHost();
  const store = new MemoryTrustStore();
  const [ours, theirs] = [new CertificateStore(host, store), new CertificateStore(host, store)];
  let seen = 0;
  await ours.follow();
  ours.observe(() => (seen += 1));
  const since = await theirs.renounce(east, "revoked");
  await host.clock.pass(10_000);
  assert.deepEqual([seen, ours.lastVoidBefore(east)], [1, since]);
  store.away = "the API server is away";
  await host.clock.pass(60_000);
  assert.deepEqual([seen, ours.lastVoidBefore(east)], [1, since]);
  await assert.rejects(ours.voidBefore(east), { code: "unavailable" });
  store.away = undefined;
  store.documents.clear();
  await host.clock.pass(10_000);
  assert.equal(ours.lastVoidBefore(east), since);
  ours.close();
  assert.equal(host.clock.pending, 0);
});

test("clusters that enroll at the same time void each its own certificates alone", async () => {
  const host = new TestHost();
  const store = new MemoryTrustStore();
  const names = ["a", "b", "c", "d", "e"].map(clusterId);
  const books = names.map(() => new CertificateStore(host, store));
  const since = await Promise.all(names.map((name, at) => books[at]!.renounce(name, "t")));
  for (const [at, name] of names.entries()) assert.equal(await books[0]!.voidBefore(name), since[at]);
});

test("a document of clusters that somebody damaged is named, and makes nobody's certificate count again", async () => {
  const host = new TestHost();
  const store = new MemoryTrustStore();
  const certificates = new CertificateStore(host, store);
  const since = await certificates.renounce(east, "t");
  store.put("relay-clients", new Map([["east", "whenever"]]));
  await assert.rejects(
    certificates.voidBefore(east),
    /document relay-clients has something at "east" that we did not write/,
  );
  assert.equal(certificates.lastVoidBefore(east), since);
});
