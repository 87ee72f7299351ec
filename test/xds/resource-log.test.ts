import assert from "node:assert/strict";
import { test } from "mocha";
import type { Resource, ResourceRelations } from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";
import { seededRandom } from "../sim/world.ts";

const resource = (name: string, version: string, bytes = 40): Resource => ({
  name,
  version,
  record: Buffer.from(`${name}@${version};`.padEnd(bytes - 1, ".") + "\n"),
});
const set = (name: string, version: string, bytes?: number) => ({ name, after: resource(name, version, bytes) });
const gone = (name: string) => ({ name, after: undefined });
const contentOf = (log: ResourceLog): string[] =>
  log
    .snapshot()
    .slices.map(({ bytes }) => Buffer.from(bytes).toString())
    .join("")
    .split("\n")
    .slice(0, -1)
    .map((line) => line.slice(0, line.indexOf(";")))
    .sort();

test("since gives each name once, newest first, deletions included, and nothing before the position", () => {
  const log = new ResourceLog();
  log.append([set("a", "1"), set("b", "1")]);
  const position = log.head;
  log.append([set("c", "1")]);
  log.append([set("a", "2"), gone("b")]);
  log.append([set("c", "2")]);
  assert.deepEqual([...log.since(position)], ["c", "b", "a"]);
  assert.deepEqual([...log.since(log.head)], []);
  assert.deepEqual([...log.names()].sort(), ["a", "c"]);
  assert.equal(log.size, 2);
  assert.equal(log.get("b"), undefined);
  assert.equal(log.get("a")?.version, "2");
});

test("a value with the version it had is no change, and neither is the removal of what is not there", () => {
  const log = new ResourceLog();
  log.append([set("a", "1")]);
  const position = log.head;
  log.append([set("a", "1"), gone("never")]);
  assert.deepEqual([...log.since(position)], []);
});

test("records are copies: the encoder may use its buffer again", () => {
  const log = new ResourceLog();
  const record = Buffer.from("first");
  log.append([{ name: "a", after: { name: "a", version: "1", record } }]);
  record.fill(0);
  assert.equal(Buffer.from(log.get("a")!.record).toString(), "first");
});

test("a snapshot is one object for all who ask, and holds what lived, whatever was written after", () => {
  const log = new ResourceLog();
  log.append([set("a", "1"), set("b", "1"), set("c", "1")]);
  const snapshot = log.snapshot();
  assert.equal(log.snapshot(), snapshot);
  assert.equal(snapshot.count, 3);
  assert.equal(snapshot.bytes, 120);
  const before = Buffer.concat(snapshot.slices.map(({ bytes }) => bytes)).toString();
  log.append([set("b", "2"), gone("a"), set("d", "1")]);
  assert.deepEqual(contentOf(log), ["b@2", "c@1", "d@1"]);
  assert.equal(Buffer.concat(snapshot.slices.map(({ bytes }) => bytes)).toString(), before);
});

test("one change leaves all other pages of a large type as they were, for all snapshots to share", () => {
  const log = new ResourceLog();
  log.append(Array.from({ length: 20_000 }, (_, i) => set(`n${i}`, "1", 300)));
  const first = log.snapshot();
  assert.ok(first.slices.length >= 11 && first.slices.length <= 13, `${first.slices.length} slices`);
  log.append([set("n7", "2", 300)]);
  const second = log.snapshot();
  const shared = second.slices.filter(({ bytes }) => first.slices.some((old) => old.bytes.buffer === bytes.buffer));
  assert.ok(shared.length >= first.slices.length - 2, `${shared.length} of ${first.slices.length} pages shared`);
  assert.equal(
    second.slices.reduce((sum, { resources }) => sum + resources, 0),
    20_000,
  );
  assert.equal(
    second.slices.reduce((sum, { bytes }) => sum + bytes.length, 0),
    second.bytes,
  );
});

test("a record larger than a page has a page of its own", () => {
  const log = new ResourceLog();
  log.append([set("a", "1"), set("b", "1", 3_000_000), set("c", "1")]);
  log.append([set("b", "2", 2_000_000)]);
  assert.equal(log.snapshot().bytes, 2_000_080);
  assert.deepEqual(contentOf(log), ["a@1", "b@2", "c@1"]);
});

test("the digest depends on content alone: not on order, history or removal, but on every name and version", () => {
  const one = new ResourceLog();
  one.append([set("a", "1"), set("b", "1")]);
  one.append([set("c", "9"), set("a", "2")]);
  one.append([gone("c")]);
  const other = new ResourceLog();
  other.append([set("b", "1"), set("a", "2")]);
  assert.equal(one.digest, other.digest);
  const differing = [[set("a", "1")], [gone("a")], [set("d", "1")], [set("b", "2"), set("a", "1")]];
  const digests = differing.map((change) => {
    const log = new ResourceLog();
    log.append([set("b", "1"), set("a", "2")]);
    log.append(change);
    return log.digest;
  });
  assert.equal(new Set([one.digest, ...digests]).size, 1 + differing.length);
  assert.match(one.digest, /^[0-9a-f]{16}$/);
  one.append([gone("a"), gone("b")]);
  assert.equal(one.digest, new ResourceLog().digest);
});

test("deleted names are remembered for readers that have not read so far, and within a bound otherwise", () => {
  const log = new ResourceLog();
  const reader = { position: 0 };
  log.attach(reader);
  const churn = (from: number) => {
    for (let i = from; i < from + 6000; i++) log.append([set(`t${i}`, "1")]);
    for (let i = from; i < from + 6000; i++) log.append([gone(`t${i}`)]);
  };
  churn(0);
  assert.equal([...log.since(0)].length, 6000);
  reader.position = log.head;
  churn(6000);
  assert.equal([...log.since(reader.position)].length, 6000);
  log.detach(reader);
  churn(12_000);
  assert.ok(log.tombstones <= 2 * 6000, `${log.tombstones} deleted names remembered`);
  churn(18_000);
  churn(24_000);
  assert.ok(log.tombstones <= 2 * 6000, `${log.tombstones} deleted names remembered`);
  assert.equal(log.size, 0);
});

test("a name that is new brings its companions into the order of change, and so does one that asks for it", () => {
  const relations: ResourceRelations = {
    aliases: () => [],
    resolve: () => [],
    companions: (name) => (name === "service" ? ["w1", "w2", "absent"] : []),
    followedThrough: () => [],
    onNode: () => [],
  };
  const log = new ResourceLog(relations);
  log.append([set("w1", "1"), set("w2", "1"), set("w3", "1")]);
  const since = (change: () => void) => {
    const position = log.head;
    change();
    return [...log.since(position)].sort();
  };
  assert.deepEqual(
    since(() => log.append([set("service", "1")])),
    ["service", "w1", "w2"],
  );
  assert.deepEqual(
    since(() => log.append([set("service", "2")])),
    ["service"],
  );
  assert.deepEqual(
    since(() => log.append([{ ...set("service", "3"), bringCompanions: true }])),
    ["service", "w1", "w2"],
  );
  assert.deepEqual(
    since(() => log.append([gone("service")])),
    ["service"],
  );
  assert.deepEqual(
    since(() => log.append([set("service", "3")])),
    ["service", "w1", "w2"],
  );
});

test("through any history the log holds what a map would, in bytes and in order (40 seeds)", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const log = new ResourceLog();
    const truth = new Map<string, string>();
    const changedAt = new Map<string, number>();
    for (let step = 0; step < 80; step++) {
      const changes = Array.from({ length: 1 + random.below(6) }, () => {
        const name = `n${random.below(40)}`;
        return random.chance(0.3) ? gone(name) : set(name, `${random.below(4)}`, 60 + random.below(30_000));
      });
      log.append(changes);
      for (const { name, after } of changes) {
        if (truth.get(name) === after?.version) continue;
        if (after === undefined) truth.delete(name);
        else truth.set(name, after.version);
        changedAt.set(name, log.head);
      }
      if (random.chance(0.15)) {
        const expected = [...truth].map(([name, version]) => `${name}@${version}`).sort();
        assert.deepEqual(contentOf(log), expected, `seed ${seed}`);
      }
      const from = random.below(log.head + 1);
      const expected = [...changedAt].filter(([, at]) => at > from).map(([name]) => name);
      assert.deepEqual([...log.since(from)].sort(), expected.sort(), `seed ${seed}`);
    }
  }
});
