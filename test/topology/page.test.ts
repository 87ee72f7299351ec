import assert from "node:assert/strict";
import { test } from "mocha";
import { Feed, type Freshness } from "../../src/topology/page/feed.ts";
import { type Box, capOf, graphLayout, neighbour } from "../../src/topology/page/graph-layout.ts";
import { ageText, dateText, durationText } from "../../src/topology/page/times.ts";
import { TestClock } from "./test-clock.ts";

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

function asking() {
  const clock = new TestClock();
  const seen: Freshness[] = [];
  let answers = true;
  let asked = 0;
  const feed = new Feed(clock, {
    ask: () => {
      asked += 1;
      return answers ? Promise.resolve() : Promise.reject(new Error("connection refused"));
    },
    onFreshness: (freshness) => void seen.push(freshness),
  });
  const pass = async (ms: number): Promise<void> => {
    clock.pass(ms);
    await settled();
  };
  return { feed, seen, pass, asked: () => asked, answer: (is: boolean) => void (answers = is) };
}

test("the page asks every two seconds, more seldom while nobody answers, and says how old what it shows is", async () => {
  const { feed, seen, pass, asked, answer } = asking();
  feed.refresh();
  await settled();
  assert.deepEqual(seen.at(-1), { live: true, answeredMs: 0, why: "" });
  await pass(2_000);
  assert.equal(asked(), 2);
  answer(false);
  await pass(2_000);
  assert.deepEqual(seen.at(-1), { live: false, answeredMs: 2_000, why: "connection refused" });
  await pass(2_000);
  assert.equal(asked(), 3, "after a failure it waits twice as long");
  await pass(2_000);
  assert.equal(asked(), 4);
  answer(true);
  await pass(15_000);
  assert.equal(seen.at(-1)!.live, true);
});

test("a page that nobody looks at asks nothing, and asks at once when somebody does", async () => {
  const { feed, pass, asked } = asking();
  feed.refresh();
  await settled();
  feed.pause(true);
  await pass(60_000);
  assert.equal(asked(), 1);
  feed.pause(false);
  await settled();
  assert.equal(asked(), 2);
});

test("a question while another is under way is asked once, after it", async () => {
  const { feed, asked } = asking();
  feed.refresh();
  feed.refresh();
  feed.refresh();
  await settled();
  assert.equal(asked(), 2);
});

const apart = (a: Box, b: Box): boolean =>
  a.left + a.width <= b.left || b.left + b.width <= a.left || a.top + a.height <= b.top || b.top + b.height <= a.top;

test("boxes of the picture do not overlap and stay within its width, whatever that is", () => {
  for (const width of [280, 600, 760, 1_200])
    for (const others of [0, 1, 2, 7, capOf(width)]) {
      const { own, others: boxes, height, edges } = graphLayout(width, others);
      const all = [own, ...boxes];
      assert.equal(edges.length, others);
      for (const [at, box] of all.entries()) {
        assert.ok(box.left >= 0 && box.left + box.width <= width, `${width} ${others}`);
        assert.ok(box.top >= 0 && box.top + box.height <= height + 0.01, `${width} ${others}`);
        for (const other of all.slice(at + 1)) assert.ok(apart(box, other), `${width} ${others}`);
      }
    }
});

test("arrow keys lead from every box to every other", () => {
  for (const width of [300, 1_200]) {
    const { own, others } = graphLayout(width, capOf(width));
    const boxes = [own, ...others];
    const reached = new Set([0]);
    for (const at of reached)
      for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) reached.add(neighbour(boxes, at, key));
    assert.equal(reached.size, boxes.length);
  }
});

test("times are short, and of the clock that wrote them", () => {
  assert.deepEqual([0, 59_999, 60_000, 7_200_000, 86_400_000 * 3].map(durationText), [
    "0 s",
    "59 s",
    "1 min",
    "2 h",
    "3 d",
  ]);
  assert.equal(ageText("2026-11-22T00:00:00Z", Date.UTC(2026, 10, 22, 0, 5)), "5 min");
  assert.deepEqual([ageText("", 0), dateText("")], ["", ""]);
  assert.equal(dateText("2026-11-22T01:02:03.456Z"), "2026-11-22 01:02Z");
});
