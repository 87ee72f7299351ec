import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, before, test } from "mocha";
import type { BundleSource } from "../../src/bundle-config.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { writeBundleDocument } from "../../src/spire/bundle-document.ts";
import { BundleMemory } from "../../src/spire/bundle-memory.ts";
import { BundleReader } from "../../src/spire/bundle-reader.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

const url = "https://bundle.west.test/";
const west: BundleSource = { trustDomains: ["west.test"], url, profile: { kind: "https_web" }, rootsFile: undefined };
const labels = `{trust_domain=west.test,url=${url}}`;
/** When the virtual clock is at its beginning. */
const BEGAN_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

let roots: readonly Buffer[];
before(async () => {
  const life = { notBeforeMs: BEGAN_MS - DAY_MS, notAfterMs: BEGAN_MS + 365 * DAY_MS };
  const made = ["CN=one", "CN=two", "CN=three"].map((name) => TestAuthority.create({ name, ...life }));
  roots = (await Promise.all(made)).map(({ root }) => derOf(root));
});
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const saying = (which: readonly number[], sequence: number | bigint = 1, refreshHintSeconds = 300): string =>
  writeBundleDocument({ authorities: which.map((at) => roots[at]!), sequence: BigInt(sequence), refreshHintSeconds });

type Folder = Awaited<ReturnType<typeof folderOf>>;

/** A reader, and an endpoint that says what `endpoint.text` is, or fails with `endpoint.down`. */
async function lab(given?: Folder) {
  const host = new TestHost();
  const folder = given ?? (await folderOf({}));
  if (given === undefined) cleanups.push(() => folder[Symbol.asyncDispose]());
  const trust = new TrustBundles("east.test");
  const endpoint = { text: saying([0]), down: undefined as string | undefined, asked: 0 };
  const memory = new BundleMemory(host, folder.at("trust-bundles.json"));
  await memory.open();
  const fetch = (): Promise<string> => {
    endpoint.asked++;
    return endpoint.down === undefined ? Promise.resolve(endpoint.text) : Promise.reject(new Error(endpoint.down));
  };
  const reader = new BundleReader(host, { fetch, trust, memory, onFaults: () => {} });
  cleanups.push(() => reader.close());
  const trusted = (): readonly number[] =>
    trust.rootsOf("west.test").map((root) => roots.findIndex((known) => known.equals(root)));
  return { host, reader, endpoint, trust, trusted, folder };
}

test("a bundle is read at once, again within a quarter of its hint, and vouches for its own trust domain alone", async () => {
  const { host, reader, endpoint, trust, trusted } = await lab();
  await reader.read([west]);
  assert.deepEqual(trusted(), [0]);
  assert.deepEqual(trust.rootsOf("east.test"), []);
  endpoint.text = saying([0, 1], 2);
  await host.clock.pass(60_000);
  assert.deepEqual(trusted(), [0]);
  await host.clock.pass(30_000);
  assert.deepEqual(trusted(), [0, 1]);
  assert.equal(endpoint.asked, 2);
});

test("what was read last stays while the endpoint fails, and a problem says since when once that lasts", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  await reader.read([west]);
  endpoint.down = "it does not answer";
  await host.clock.pass(85_000);
  assert.equal(reader.faults.length, 0);
  await host.clock.pass(60_000);
  assert.deepEqual(trusted(), [0]);
  const [fault] = reader.faults;
  assert.match(
    fault!.message,
    /was last read at 2023-11-14T22:13:20\.000Z, which stays in force, .*it does not answer/,
  );
  assert.equal(fault!.severity, "warning");
  endpoint.down = undefined;
  await host.clock.pass(120_000);
  assert.equal(reader.faults.length, 0);
});

test("a bundle that was never read is an error, and is tried again within seconds", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  endpoint.down = "connection refused";
  await reader.read([west]);
  const [fault] = reader.faults;
  assert.match(fault!.message, /is not known, so nothing at https:\/\/bundle\.west\.test\/ vouches for it: connection/);
  assert.equal(fault!.severity, "error");
  endpoint.down = undefined;
  await host.clock.pass(6_000);
  assert.deepEqual([trusted(), reader.faults], [[0], []]);
});

test("a damaged bundle takes nothing away, and an empty one everything", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  await reader.read([west]);
  endpoint.text = '{"keys":[{"use":"x509-svid","kty":"EC","x5c":["AAAA"]}]}';
  await host.clock.pass(300_000);
  assert.deepEqual(trusted(), [0]);
  assert.match(reader.faults[0]!.message, /keys\[0\]\.x5c\[0\] is no certificate/);
  endpoint.text = saying([]);
  await host.clock.pass(120_000);
  assert.deepEqual(trusted(), []);
  assert.match(reader.faults[0]!.message, /says at .* that it has no roots, so none of its identities is believed/);
});

test("each change of roots is said with their names, and one that leaves none of them as an error", async () => {
  const { host, reader, endpoint } = await lab();
  await reader.read([west]);
  endpoint.text = saying([0, 1], 2);
  await host.clock.pass(85_000);
  assert.match(host.lines.at(-1)!, /^warn spire: the roots of another trust domain have changed .*added=CN=two \(/);
  endpoint.text = saying([2], 3);
  await host.clock.pass(85_000);
  assert.match(
    host.lines.at(-1)!,
    /^error spire: all roots of another trust domain have been replaced.*removed=CN=one .*CN=two/,
  );
  assert.equal(host.metric(`trust_bundle_root_changes_total${labels}`), 2);
  assert.equal(host.metric(`trust_bundle_roots${labels}`), 1);
});

test("other roots under an older sequence count only once they have been said three times in a row", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  endpoint.text = saying([0, 1], 12);
  await reader.read([west]);
  endpoint.text = saying([0], 3);
  await host.clock.pass(90_000);
  assert.deepEqual(trusted(), [0, 1]);
  endpoint.text = saying([0, 1], 12);
  await host.clock.pass(90_000);
  endpoint.text = saying([0], 3);
  await host.clock.pass(85_000);
  assert.deepEqual(trusted(), [0, 1], "said twice at most since the replica lagged behind last");
  await host.clock.pass(90_000);
  assert.deepEqual(trusted(), [0]);
});

test("a sequence beyond 2^53 is compared exactly", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  endpoint.text = saying([0, 1], 2n ** 63n + 1n);
  await reader.read([west]);
  endpoint.text = saying([0], 2n ** 63n);
  await host.clock.pass(85_000);
  assert.deepEqual(trusted(), [0, 1]);
  endpoint.text = saying([0], 2n ** 63n + 2n);
  await host.clock.pass(90_000);
  assert.deepEqual(trusted(), [0]);
});

test("after a restart the bundle is trusted before its endpoint answers, with its age", async () => {
  const first = await lab();
  await first.reader.read([west]);
  await first.reader.close();
  assert.match(await readFile(first.folder.at("trust-bundles.json"), "utf8"), /2023-11-14T22:13:20\.000Z/);
  const second = await lab(first.folder);
  second.endpoint.down = "not yet";
  await second.host.clock.pass(3_600_000);
  await second.reader.read([west]);
  assert.deepEqual(second.trusted(), [0]);
  await second.host.clock.pass(15_000);
  assert.equal(second.host.metric(`trust_bundle_age_seconds${labels}`), 3615);
});

test("what was read elsewhere, or by another proof, is not remembered for a bundle", async () => {
  const first = await lab();
  await first.reader.read([west]);
  await first.reader.close();
  const id = "spiffe://west.test/spire/server";
  const others: readonly BundleSource[] = [
    { ...west, url: "https://evil.test/" },
    { ...west, profile: { kind: "https_spiffe", id } },
    { ...west, trustDomains: ["south.test"] },
  ];
  for (const source of others) {
    const { reader, endpoint, trust } = await lab(first.folder);
    endpoint.down = "not yet";
    await reader.read([source]);
    assert.deepEqual(trust.pooledRoots, []);
  }
});

test("a damaged memory costs one line in the log, and nothing else", async () => {
  await using folder = await folderOf({ "trust-bundles.json": "{" });
  const { host, reader, trusted } = await lab(folder);
  assert.match(host.lines[0]!, /^warn spire: what was known of other trust domains' bundles is lost/);
  await reader.read([west]);
  assert.deepEqual(trusted(), [0]);
  await reader.close();
});

test("a bundle that is not named any more vouches for nobody, and leaves no series and no memory", async () => {
  const { host, reader, trusted, folder } = await lab();
  await reader.read([west]);
  assert.ok(host.series.some((name) => name.startsWith("trust_bundle")));
  await reader.read([]);
  assert.deepEqual(trusted(), []);
  assert.deepEqual(
    host.series.filter((name) => name.startsWith("trust_bundle")),
    [],
  );
  await reader.close();
  assert.doesNotMatch(await readFile(folder.at("trust-bundles.json"), "utf8"), /west\.test/);
});

test("a bundle whose last root is about to end is an error while there is no later one", async () => {
  const { host, reader, endpoint } = await lab();
  const hourMs = 3_600_000;
  const short = await TestAuthority.create({ notBeforeMs: BEGAN_MS - 10 * hourMs, notAfterMs: BEGAN_MS + 2 * hourMs });
  const ending = derOf(short.root);
  const document = { sequence: 1n, refreshHintSeconds: 300 };
  endpoint.text = writeBundleDocument({ authorities: [ending], ...document });
  await reader.read([west]);
  await host.clock.pass(hourMs / 2);
  assert.equal(reader.faults.length, 0);
  await host.clock.pass(hourMs / 2);
  assert.match(
    reader.faults[0]!.message,
    /^The last root of trust domain west\.test ends at 2023-11-15T00:13:20\.000Z/,
  );
  assert.equal(reader.faults[0]!.severity, "error");
  endpoint.text = writeBundleDocument({ authorities: [ending, roots[0]!], ...document });
  await host.clock.pass(120_000);
  assert.equal(reader.faults.length, 0);
});

test("one who knows of other roots has the bundle read soon, and not more often than every ten seconds", async () => {
  const { host, reader, endpoint, trusted } = await lab();
  await reader.read([west]);
  endpoint.text = saying([0, 1], 2);
  reader.hurry("south.test");
  await host.clock.pass(15_000);
  assert.equal(endpoint.asked, 1);
  reader.hurry("west.test");
  reader.hurry("west.test");
  await host.clock.pass(1);
  assert.deepEqual([trusted(), endpoint.asked], [[0, 1], 2]);
  reader.hurry("west.test");
  await host.clock.pass(9_000);
  assert.equal(endpoint.asked, 2);
  await host.clock.pass(1_001);
  assert.equal(endpoint.asked, 3);
});
