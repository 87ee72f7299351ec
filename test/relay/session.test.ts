import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { Contest } from "../../src/relay/contest.ts";
import type { ManagerMessage } from "../../src/relay/messages.ts";
import { RelaySession, type Word } from "../../src/relay/session.ts";
import { testOrder } from "../kits/relay-desk.ts";
import { VirtualClock } from "../sim/world.ts";

const east = clusterId("east");
const hello = { kind: "hello", hello: { cluster: east, version: "1", clock: 0 } } as const;
const ping = { kind: "ping", clock: 0 } as const;
const order = (generation: string): Word => testOrder(generation, [Buffer.from("root")]);
const said = (message: ManagerMessage | undefined): string | undefined =>
  message?.kind === "order" ? message.order.generation : message?.kind;

function greeted(): { readonly clock: VirtualClock; readonly session: RelaySession } {
  const clock = new VirtualClock();
  const session = new RelaySession(clock, east);
  session.take(hello);
  return { clock, session };
}

test("nothing is told to a cluster before its Hello", () => {
  const session = new RelaySession(new VirtualClock(), east);
  session.tell(order("g1"));
  assert.equal(session.poll(), undefined);
  session.take(hello);
  assert.equal(said(session.poll()), "g1");
});

test("a cluster that reads slowly gets the last order, and each answer", () => {
  const { session } = greeted();
  session.tell(order("g1"));
  session.tell(order("g2"));
  session.answer({ kind: "refusal", id: "1", code: "denied", reason: "", retryAfterMs: 0 });
  assert.deepEqual([session.poll(), session.poll(), session.poll()].map(said), ["refusal", "g2", undefined]);
  session.tell(order("g3"));
  session.tell(order("g2"));
  assert.equal(session.poll(), undefined);
});

test("an order that is not known for a moment takes nothing back", () => {
  const { session } = greeted();
  session.tell(order("g1"));
  session.poll();
  session.tell(undefined);
  session.tell(order("g1"));
  assert.equal(session.poll(), undefined);
});

test("the same refusal is said once, and another one again", () => {
  const { session } = greeted();
  const why = (reason: string): Word => ({ kind: "refusal", id: "", code: "invalid", reason, retryAfterMs: 0 });
  const told: (string | undefined)[] = [];
  for (const reason of ["a", "a", "b"]) {
    session.tell(why(reason));
    told.push(said(session.poll()));
  }
  assert.deepEqual(told, ["refusal", undefined, "refusal"]);
});

test("a ping goes out after 20 s in which nothing else did", () => {
  const { clock, session } = greeted();
  clock.advance(15_000);
  session.tell(order("g1"));
  assert.equal(said(session.poll()), "g1");
  clock.advance(19_999);
  assert.equal(session.poll(), undefined);
  clock.advance(1);
  assert.deepEqual(session.poll(), { kind: "ping", clock: clock.now() });
  assert.equal(session.poll(), undefined);
});

test("a stream on which nothing came for 60 s is dead, and pings keep it alive", () => {
  const { clock, session } = greeted();
  for (let rounds = 0; rounds < 10; rounds += 1) {
    clock.advance(59_999);
    assert.equal(session.whyDead(), undefined);
    assert.equal(session.take(ping), undefined);
  }
  clock.advance(60_000);
  assert.match(session.whyDead()!.message, /nothing was heard of cluster east for 60 s$/);
  const silent = new RelaySession(clock, east);
  clock.advance(60_000);
  assert.match(silent.whyDead()!.message, /not even Hello/);
});

test("a cluster that asks and reads nothing is not kept answers for without end", () => {
  const { session } = greeted();
  const answer = { kind: "refusal", id: "1", code: "denied", reason: "", retryAfterMs: 0 } as const;
  for (let at = 0; at < 16; at += 1) session.answer(answer);
  assert.throws(() => session.answer(answer), { code: "exhausted" });
});

test("two messages a second are never too many, and a flood is", () => {
  const { clock, session } = greeted();
  for (let at = 0; at < 600; at += 1) {
    clock.advance(500);
    session.take(ping);
  }
  assert.throws(
    () => {
      for (let at = 0; at < 61; at += 1) session.take(ping);
    },
    { code: "exhausted" },
  );
});

test("control planes that end each other's streams are a fight, one that restarts is none, and a fight is over in time", () => {
  const clock = new VirtualClock();
  const contest = new Contest(clock);
  assert.deepEqual([contest.took(east, "a:1", "b:2"), contest.took(east, "b:2", "a:3")], [false, false]);
  assert.equal(contest.took(east, "a:3", "b:4"), true);
  assert.match(contest.whyContested(east)!, /one from a:3 and one from b:4/);
  clock.advance(300_001);
  assert.equal(contest.whyContested(east), undefined);
  for (let day = 0; day < 5; day += 1) {
    clock.advance(86_400_000);
    assert.equal(contest.took(east, "a:1", "a:2"), false);
  }
});
