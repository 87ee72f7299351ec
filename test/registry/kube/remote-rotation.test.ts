import assert from "node:assert/strict";
import { test } from "mocha";
import { seededRandom } from "../../sim/world.ts";
import { RemoteLab, secret } from "./remote-lab.ts";

const rotate = (lab: RemoteLab, kubeconfig: string): void => lab.secrets.set(secret("one", { west: kubeconfig }));

async function joined(kubeconfig: string): Promise<RemoteLab> {
  const lab = new RemoteLab();
  rotate(lab, kubeconfig);
  lab.secrets.listed();
  await lab.pass(1000);
  assert.equal(lab.holds.get("west"), kubeconfig);
  return lab;
}

/** The number in `good12 300`; -1 if it is no such thing. */
const numberOf = (kubeconfig: string | undefined): number => Number(/^good(\d+)/.exec(kubeconfig ?? "")?.[1] ?? -1);

test("of credentials that come while others sync, those in between never join", async () => {
  const lab = await joined("good0 100");
  const seen = new Set<string>();
  for (const next of ["good1 5000", "good2 5000", "good3 200"]) rotate(lab, next);
  for (let at = 0; at < 100; at++) {
    await lab.pass(100);
    seen.add(lab.holds.get("west")!);
  }
  assert.deepEqual([...seen], ["good0 100", "good3 200"]);
  assert.equal(lab.open.size, 1);
});

test("credentials that nobody answers give way to newer ones within a second", async () => {
  const lab = await joined("good0 100");
  rotate(lab, "dead");
  await lab.pass(400);
  rotate(lab, "good1 100");
  await lab.pass(800);
  assert.equal(lab.holds.get("west"), "good1 100");
});

for (const syncMs of [300, 1500, 3000, 8000, 14_000])
  test(`credentials that change every second and take ${syncMs / 1000} s to sync still come into use`, async () => {
    const lab = await joined("good0 100");
    const ages: number[] = [];
    for (let number = 1; number <= 300; number++) {
      rotate(lab, `good${number} ${syncMs}`);
      await lab.pass(1000);
      ages.push(number - numberOf(lab.holds.get("west")));
    }
    // After it has learnt how long a sync takes, what is in use is at most two syncs old.
    assert.ok(Math.max(...ages.slice(100)) <= (2 * syncMs) / 1000 + 2, `${Math.max(...ages.slice(100))} s old`);
    await lab.pass(2 * syncMs + 1000);
    assert.equal(lab.holds.get("west"), `good300 ${syncMs}`);
    assert.equal(lab.openMax, 2);
  });

test("after 10,000 rotations, some of them broken, nothing has leaked, nothing flapped and the latest good one is in use", async function () {
  this.timeout(60_000);
  const random = seededRandom(8);
  const lab = await joined("good0 100");
  const idle = { timers: lab.host.clock.pending, series: lab.host.series.length };
  let latestGood = 0;
  const goodAt = new Map([[0, 0]]);
  lab.closing = () => new Promise((resolve) => void lab.host.clock.after(random.below(3) * 100, resolve));
  for (let number = 1; number <= 10_000; number++) {
    const kind = random.below(10);
    if (kind >= 3) goodAt.set(number, (latestGood = number));
    rotate(
      lab,
      kind === 0 ? `exec ${number}` : kind < 3 ? `dead${number}` : `good${number} ${100 + random.below(600)}`,
    );
    await lab.pass(1000);
    const used = numberOf(lab.holds.get("west"));
    const missed = [...goodAt.keys()].filter((good) => good > used && good <= number - 5);
    assert.deepEqual(missed, [], `rotation ${number}: ${used} is in use`);
    for (const good of goodAt.keys()) if (good < number - 20) goodAt.delete(good);
    assert.deepEqual(lab.left, []);
    assert.ok(lab.open.size <= 2);
    if (number % 100 === 0) lab.host.lines.length = 0;
  }
  rotate(lab, "good10001 100");
  await lab.pass(10_000);
  assert.ok(latestGood > 6000);
  assert.equal(lab.holds.get("west"), "good10001 100");
  assert.equal(lab.openMax, 2);
  assert.equal(lab.open.size, 1);
  assert.equal(lab.host.clock.pending, idle.timers);
  // The two that the first update and the first timeout touch.
  assert.ok(lab.host.series.length <= idle.series + 2);
  assert.deepEqual(lab.problems(), []);
});

for (let seed = 1; seed <= 40; seed++)
  test(`whatever secrets do, in the end each cluster holds what the newest good kubeconfig says (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const lab = new RemoteLab();
    const names = ["a", "b", "c"];
    const clusters = ["west", "north", "east"];
    const said = new Map<string, Record<string, string>>();
    let number = 0;
    lab.closing = () => new Promise((resolve) => void lab.host.clock.after(random.below(4) * 300, resolve));
    lab.leaving = (cluster) =>
      assert.ok(![...said.values()].some((data) => cluster in data), `${cluster} left while it was named`);
    const change = (kubeconfigs: readonly string[]): void => {
      const name = random.pick(names);
      if (random.chance(0.15)) {
        said.delete(name);
        return lab.secrets.delete(secret(name, {}));
      }
      const data = Object.fromEntries(
        clusters.filter(() => random.chance(0.5)).map((cluster) => [cluster, random.pick(kubeconfigs) + ++number]),
      );
      said.set(name, data);
      lab.secrets.set(secret(name, data));
    };
    for (let step = 0; step < 60; step++) {
      change(["good", "good", "good", "dead", "exec"]);
      if (step === 20) lab.secrets.listed();
      await lab.pass(random.below(15) * 100);
    }
    // Quiet: all that is left broken is repaired.
    for (const [name, data] of said) {
      for (const cluster of Object.keys(data)) data[cluster] = `good${++number} 100`;
      lab.secrets.set(secret(name, data));
    }
    await lab.pass(60_000);
    const named = new Set([...said.values()].flatMap((data) => Object.keys(data)));
    named.delete("east");
    assert.deepEqual([...lab.holds.keys()].sort(), [...named].sort());
    for (const [cluster, kubeconfig] of lab.holds)
      assert.ok(
        [...said.values()].some((data) => data[cluster] === kubeconfig),
        `${cluster} holds ${kubeconfig}`,
      );
    assert.equal(lab.open.size, named.size);
    assert.ok(lab.remote.clusters().every(({ state, reason }) => state === "synced" && reason === ""));
    said.clear();
    for (const name of names) lab.secrets.delete(secret(name, {}));
    await lab.pass(5000);
    assert.equal(lab.open.size + lab.holds.size + lab.host.clock.pending, 0);
    assert.deepEqual(lab.problems(), []);
  });
