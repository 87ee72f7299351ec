import assert from "node:assert/strict";
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { clusterId } from "../../../src/names.ts";
import type { KnownWriter } from "../../../src/registry/kube/known-writer.ts";
import { forgetOthers, LastKnown } from "../../../src/registry/kube/last-known.ts";
import { seededRandom } from "../../sim/world.ts";
import { TestHost } from "../../kits/test-host.ts";
import { pod, service } from "../mesh.ts";

const west = clusterId("west");
let dir: string;
let host: TestHost;
let known: LastKnown[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "causeway-known-"));
  host = new TestHost();
  known = [];
});
afterEach(async () => {
  for (const one of known) await one.close();
  await rm(dir, { recursive: true, force: true });
});

const folder = (): string => join(dir, "clusters", "west");
const log = (): string => join(folder(), "last-known.ndjson");
const warnings = (): string[] => host.lines.filter((line) => line.startsWith("warn"));

async function open(): Promise<LastKnown> {
  const opened = await LastKnown.open(host, folder(), west);
  known.push(opened);
  return opened;
}
/** What a start would serve if the process were killed now. */
async function served(): Promise<string[]> {
  const copy = join(dir, "copy");
  await cp(folder(), copy, { recursive: true });
  const opened = await LastKnown.open(host, copy, west);
  const objects: KubeObject[] = [];
  for await (const object of opened.replay()) objects.push(object);
  await rm(copy, { recursive: true });
  return names(objects);
}
/** As a start after `close`, or after the process was killed. */
async function restarted(): Promise<readonly KubeObject[]> {
  const objects: KubeObject[] = [];
  for await (const object of (await open()).replay()) objects.push(object);
  return objects;
}
const names = (objects: readonly KubeObject[]): string[] => objects.map(({ metadata }) => metadata.name).sort();

async function saved(...objects: readonly KubeObject[]): Promise<{ state: LastKnown; writer: KnownWriter }> {
  const state = await open();
  const writer = state.begin();
  for (const object of objects) writer.set(object);
  await writer.commit();
  return { state, writer };
}
const cart = (ip = "10.0.0.1"): KubeObject => pod("cart", ip);

test("at first nothing is known of a cluster", async () => {
  assert.deepEqual(await restarted(), []);
  assert.equal(known[0]!.heardAt, undefined);
  assert.deepEqual(warnings(), []);
});

test("what a cluster said is there after a restart, with its age", async () => {
  host.clock.advance(5000);
  await saved(cart(), service("cart", "10.96.0.1"));
  host.clock.advance(60_000);
  assert.deepEqual(names(await restarted()), ["cart", "cart"]);
  assert.equal(host.clock.now() - known[1]!.heardAt!, 60_000);
});

test("only its owner can read it, and nothing of it is private", async () => {
  await saved({ ...pod("cart", "10.0.0.1", {}, { containers: [{ env: [{ name: "P", value: "hunter2" }] }] }) });
  assert.equal((await stat(log())).mode & 0o777, 0o600);
  assert.equal((await stat(folder())).mode & 0o777, 0o700);
  assert.doesNotMatch(await readFile(log(), "utf8"), /hunter2/);
});

test("changes are written within a second, in one batch", async () => {
  const { writer } = await saved(cart(), pod("old", "10.0.0.2"));
  const before = (await stat(log())).size;
  writer.set(cart("10.0.0.9"));
  writer.set(pod("new", "10.0.0.3"));
  writer.delete(pod("old", "10.0.0.2"));
  assert.equal((await stat(log())).size, before);
  host.clock.advance(1000);
  await writer.flush();
  const text = (await readFile(log(), "utf8")).slice(before);
  assert.equal(text.match(/"seal"/g)!.length, 1);
  const objects = await restarted();
  assert.deepEqual(names(objects), ["cart", "new"]);
  assert.equal(ipOf(objects.find(({ metadata }) => metadata.name === "cart")!), "10.0.0.9");
});

test("nothing of a state that was not committed is ever served", async () => {
  await saved(cart());
  const state = await open();
  const fresh = state.begin();
  for (let i = 0; i < 3000; i++) fresh.set(pod(`p${i}`, "10.0.0.1"));
  await fresh.flush();
  assert.equal((await readdir(folder())).length, 2);
  assert.deepEqual(await served(), ["cart"]);
  await fresh.close();
  assert.deepEqual(await readdir(folder()), ["last-known.ndjson"]);
});

test("the feed in use goes on writing while another is built, and after that has joined writes no more", async () => {
  const { state, writer } = await saved(cart());
  const fresh = state.begin();
  fresh.set(pod("fresh", "10.0.0.5"));
  await fresh.flush();
  writer.set(pod("late", "10.0.0.6"));
  await writer.flush();
  assert.deepEqual(await served(), ["cart", "late"]);
  await fresh.commit();
  writer.set(pod("stray", "10.0.0.7"));
  await writer.flush();
  await writer.close();
  assert.deepEqual(await served(), ["fresh"]);
  fresh.delete(pod("fresh", ""));
  await fresh.close();
  assert.deepEqual(await served(), []);
});

test("a line that was being written at a crash is dropped, with the batch that it is in", async () => {
  const { writer } = await saved(cart());
  writer.set(pod("new", "10.0.0.3"));
  await writer.flush();
  const whole = await readFile(log());
  const first = whole.indexOf("\n", whole.indexOf('"seal"')) + 1;
  for (let cut = first; cut < whole.length; cut += 5) {
    await writeFile(log(), whole.subarray(0, cut));
    assert.deepEqual(names(await restarted()), ["cart"], `cut at ${cut}`);
  }
  assert.deepEqual(warnings(), []);
});

test("a tail that a crash of the machine left full of zeros is dropped", async () => {
  await saved(cart());
  await appendFile(log(), Buffer.alloc(5000));
  assert.deepEqual(names(await restarted()), ["cart"]);
  assert.deepEqual(warnings(), []);
});

test("a file that is damaged anywhere is put aside with a warning, and nothing of it is served", async () => {
  const { writer } = await saved(cart(), pod("a", "10.0.0.2"));
  for (const name of ["b", "c"]) {
    writer.set(pod(name, "10.0.0.3"));
    await writer.flush();
  }
  await writer.close();
  const whole = await readFile(log());
  const last = whole.lastIndexOf('{"key"');
  let aside = 0;
  for (let at = 0; at < last; at += 13) {
    const damaged = Buffer.from(whole);
    damaged[at] = damaged[at]! ^ 1;
    await writeFile(log(), damaged);
    const objects = names(await restarted());
    if (objects.length > 0) {
      // A seal that is no seal any more joins its batch to the next, and both are dropped if they are the last.
      assert.deepEqual(objects, ["a", "cart"], `byte ${at}`);
      continue;
    }
    aside++;
    assert.deepEqual(await readdir(folder()), ["last-known.damaged"]);
  }
  assert.ok(aside > 50, `${aside}`);
  assert.equal(warnings().filter((line) => /put aside as last-known\.damaged/.test(line)).length, aside);
});

for (const [what, change] of [
  ["of a later format", (text: string) => text.replace('"format":1', '"format":2')],
  ["of another cluster", (text: string) => text.replace('"cluster":"west"', '"cluster":"east"')],
  ["cut short within its first state", (text: string) => text.slice(0, text.indexOf("\n") + 1)],
  ["empty", () => ""],
  ["something else", () => "hello\n"],
] as const)
  test(`a file that is ${what} is put aside`, async () => {
    await saved(cart());
    await known[0]!.close();
    await writeFile(log(), change(await readFile(log(), "utf8")));
    assert.deepEqual(await restarted(), []);
    assert.equal(warnings().length, 1);
    const { writer } = await saved(cart());
    await writer.close();
    assert.deepEqual(names(await restarted()), ["cart"]);
  });

test("a first state that lost a part in its middle is put aside, though every batch of it is sound", async () => {
  const many = Array.from({ length: 3000 }, (_, i) => pod(`p${i}`, "10.0.0.1"));
  const { state } = await saved(...many);
  await state.close();
  const text = await readFile(log(), "utf8");
  const seals = [...text.matchAll(/\{"seal".*\n/g)];
  assert.ok(seals.length > 2);
  await truncate(log(), seals[0]!.index + seals[0]![0].length);
  assert.deepEqual(await restarted(), []);
  assert.equal(warnings().length, 1);
});

test("the log is compacted when it has doubled, and says the same", async () => {
  const { writer } = await saved(...Array.from({ length: 100 }, (_, i) => pod(`p${i}`, "10.0.0.1")));
  let largest = 0;
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 100; i++) writer.set(pod(`p${i}`, `10.0.${round}.${i + 1}`));
    if (round === 50) writer.delete(pod("p0", ""));
    await writer.flush();
    largest = Math.max(largest, (await stat(log())).size);
  }
  assert.ok(largest < 1_500_000, `${largest}`);
  writer.set(pod("after", "10.1.1.1"));
  await writer.close();
  const objects = await restarted();
  assert.equal(objects.length, 101);
  assert.equal(objects.filter((object) => JSON.stringify(object).includes('"ip":"10.0.99.')).length, 100);
  assert.deepEqual(await readdir(folder()), ["last-known.ndjson"]);
});

test("a disk that cannot be written costs one warning, and is tried again", async () => {
  await writeFile(join(dir, "clusters"), "in the way");
  const state = await open();
  assert.equal(warnings().length, 1);
  const writer = state.begin();
  writer.set(cart());
  await writer.commit();
  host.clock.advance(30_000);
  await writer.flush();
  host.clock.advance(30_000);
  await writer.flush();
  assert.equal(warnings().length, 2, warnings().join("\n"));
  await rm(join(dir, "clusters"));
  writer.set(pod("new", "10.0.0.2"));
  host.clock.advance(30_000);
  await writer.flush();
  assert.equal(host.lines.filter((line) => /is saved again/.test(line)).length, 1);
  await writer.close();
  assert.deepEqual(names(await restarted()), ["cart", "new"]);
});

test("a disk that is full leaves what was saved as it was, and takes what changed when it has room", async function () {
  if (!(await stat("/dev/full").catch(() => undefined))) this.skip();
  await saved(cart());
  const state = await open();
  await symlink("/dev/full", join(folder(), "last-known.new-0"));
  const writer = state.begin();
  writer.set(pod("new", "10.0.0.2"));
  await writer.commit();
  assert.match(warnings().join(), /cannot be saved; .*ENOSPC/);
  assert.deepEqual(await served(), ["cart"]);
  // The disk is never so small that it fills memory, too.
  const labels = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`label-${i}`, "x".repeat(63)]));
  for (let i = 0; i < 2500; i++) writer.set(pod(`p${i}`, "10.0.0.1", labels));
  assert.match(warnings().at(-1)!, /faster than the disk takes it/);
  await state.close();
  assert.equal(host.clock.pending, 0);
  assert.deepEqual(names(await restarted()), ["cart"]);
});

test("a folder that cannot be read is no reason not to start", async function () {
  if (process.getuid?.() === 0) this.skip();
  await saved(cart());
  await chmod(folder(), 0);
  assert.deepEqual(await restarted(), []);
  assert.equal(warnings().length, 1);
  await chmod(folder(), 0o700);
});

test("a cluster that says nothing new for long is as old as its last word", async () => {
  const { writer } = await saved(cart());
  for (let minute = 0; minute < 10; minute++) {
    host.clock.advance(61_000);
    for (let again = 0; again < 5; again++) writer.confirm();
    host.clock.advance(1000);
    await writer.flush();
  }
  assert.ok((await stat(log())).size < 2500);
  await restarted();
  assert.ok(host.clock.now() - known.at(-1)!.heardAt! <= 62_000);
});

test("a cluster that leaves for good leaves nothing on disk, and what others keep there stays", async () => {
  const { state, writer } = await saved(cart());
  const fresh = state.begin();
  fresh.set(cart());
  await fresh.flush();
  await state.forget();
  writer.set(cart());
  await fresh.commit();
  assert.deepEqual(await readdir(join(dir, "clusters")), []);
  const again = (await saved(cart())).state;
  await writeFile(join(folder(), "token-key.pem"), "");
  await again.forget();
  assert.deepEqual(await readdir(folder()), ["token-key.pem"]);
});

test("of clusters that left while nobody was here nothing stays on disk, and of the others all does", async () => {
  await saved(cart());
  const north = await LastKnown.open(host, join(dir, "clusters", "north"), clusterId("north"));
  await north.begin().commit();
  await north.close();
  await mkdir(join(dir, "clusters", "home"));
  await writeFile(join(dir, "clusters", "home", "token-key.pem"), "");
  await forgetOthers(host, join(dir, "clusters"), new Set([west]));
  assert.deepEqual((await readdir(join(dir, "clusters"))).sort(), ["home", "west"]);
  assert.deepEqual(await served(), ["cart"]);
  assert.deepEqual(await readdir(join(dir, "clusters", "home")), ["token-key.pem"]);
  await forgetOthers(host, join(dir, "nowhere"), new Set());
  assert.deepEqual(warnings(), []);
});

test("what a crash left half written is cleared away", async () => {
  await saved(cart());
  await writeFile(join(folder(), "last-known.new-7"), "half");
  assert.deepEqual(names(await restarted()), ["cart"]);
  assert.deepEqual(await readdir(folder()), ["last-known.ndjson"]);
});

for (let seed = 1; seed <= 10; seed++)
  test(`whenever the process is killed, what is served is a state that was (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    let state = await open();
    let writer: KnownWriter | undefined;
    const now = new Map<string, string>();
    /** Every state that was ever flushed, the last ones at the end. */
    const states: string[] = ["[]"];
    const shown = (): string => JSON.stringify([...now].sort());
    for (let step = 0; step < 80; step++) {
      const name = `p${random.below(6)}`;
      const ip = `10.0.${random.below(250)}.1`;
      if (random.chance(0.1) || !writer) {
        const fresh = state.begin();
        for (const [name, ip] of now) fresh.set(pod(name, ip));
        await fresh.commit();
        await writer?.close();
        writer = fresh;
        states.push(shown());
      } else if (random.chance(0.2)) {
        now.delete(name);
        writer.delete(pod(name, ""));
      } else {
        now.set(name, ip);
        writer.set(pod(name, ip));
      }
      if (random.chance(0.5)) {
        await writer.flush();
        states.push(shown());
      }
      if (random.chance(0.1)) {
        // Killed: nothing is closed; and the last write may be torn.
        const size = (await stat(log())).size;
        const torn = random.chance(0.5);
        if (torn) await truncate(log(), size - 1 - random.below(20));
        const objects = await restarted();
        const served = JSON.stringify(objects.map((object) => [object.metadata.name, ipOf(object)]).sort());
        const recent = states.slice(torn ? -3 : -1);
        assert.ok(objects.length === 0 || recent.includes(served), `step ${step}: ${served} of ${recent.join(" | ")}`);
        await state.close();
        state = known.at(-1)!;
        writer = undefined;
      }
    }
  });

const ipOf = (object: KubeObject): string => (object["status"] as { podIPs: { ip: string }[] }).podIPs[0]!.ip;
