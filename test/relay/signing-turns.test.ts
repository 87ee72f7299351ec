import assert from "node:assert/strict";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { clusterId } from "../../src/names.ts";
import { SigningTurns } from "../../src/relay/signing-turns.ts";
import { TestDesk } from "../kits/relay-desk.ts";
import { TestHost } from "../kits/test-host.ts";
import { until } from "../kits/until.ts";

const east = clusterId("east");
const signed = { chain: [Buffer.from("c")], root: Buffer.from("r") };

function lab() {
  const [host, desk] = [new TestHost(), new TestDesk()];
  desk.signer = () => Promise.resolve(signed);
  return { host, desk, turns: new SigningTurns(host, desk) };
}
const request = (id: string, csr = newCsr().csr) => ({ id, csr, generation: "g" });

test("the same question has the same answer for ten minutes, and one with another key or id is another question", async () => {
  const { host, desk, turns } = lab();
  const one = request("1");
  assert.equal((await turns.ask(east, one)).kind, "certificate");
  host.clock.advance(599_999);
  await turns.ask(east, one);
  assert.equal(desk.asked.length, 1);
  host.clock.advance(1);
  await turns.ask(east, one);
  await turns.ask(east, request("1"));
  await turns.ask(east, request("2", one.csr));
  await turns.ask(clusterId("west"), request("2", one.csr));
  assert.equal(desk.asked.length, 5);
});

test("a cluster that was started anew need not wait for what it asked before", async () => {
  const { desk, turns } = lab();
  const signals: AbortSignal[] = [];
  desk.signer = (_cluster, { id }, signal) => {
    signals.push(signal);
    return id === "1" ? new Promise(() => {}) : Promise.resolve(signed);
  };
  const old = turns.ask(east, request("1"));
  await until(() => signals.length === 1);
  assert.equal((await turns.ask(east, request("2"))).kind, "certificate");
  const answer = await old;
  assert.ok(answer.kind === "refusal" && signals[0]!.aborted && !signals[1]!.aborted);
  assert.match(answer.reason, /request 2 of cluster east took its place/);
});

test("what is not signed within ten minutes is refused, to be asked again", async () => {
  const { host, desk, turns } = lab();
  desk.signer = () => new Promise(() => {});
  const asked = turns.ask(east, request("1"));
  await until(() => desk.asked.length === 1);
  await host.clock.pass(600_000);
  assert.deepEqual(await asked, {
    kind: "refusal",
    id: "1",
    code: "timeout",
    reason: "nothing was signed within 10 minutes",
    retryAfterMs: 30_000,
  });
  desk.signer = () => Promise.resolve(signed);
  assert.equal((await turns.ask(east, request("1"))).kind, "certificate");
  assert.equal(host.clock.pending, 0);
});

test("ten are signed at once for a cluster, then one in half a minute, and another cluster waits for none of it", async () => {
  const { host, desk, turns } = lab();
  const kinds: string[] = [];
  for (let at = 0; at < 11; at += 1) kinds.push((await turns.ask(east, request(`${at}`))).kind);
  assert.deepEqual([...new Set(kinds.slice(0, 10)), kinds[10]], ["certificate", "refusal"]);
  assert.equal((await turns.ask(clusterId("west"), request("0"))).kind, "certificate");
  host.clock.advance(30_000);
  assert.equal((await turns.ask(east, request("11"))).kind, "certificate");
  assert.equal(desk.asked.length, 12);
});

test("a manager that ends gives up what it is at", async () => {
  const { desk, turns } = lab();
  desk.signer = () => new Promise(() => {});
  const asked = turns.ask(east, request("1"));
  await until(() => desk.asked.length === 1);
  turns.close();
  const answer = await asked;
  assert.ok(answer.kind === "refusal" && answer.code === "unavailable");
});
