import assert from "node:assert/strict";
import { test } from "mocha";
import { DialTurns } from "../../src/peering/dial-turns.ts";
import { TestHost } from "../kits/test-host.ts";

/** Peers that are dialled together, and what each was given. */
function dialled(peers: number) {
  const host = new TestHost();
  const turns = new DialTurns(host.clock);
  const begun: number[] = [];
  const taken = Array.from({ length: peers }, (_, peer) => turns.take(() => begun.push(peer)));
  return { host, turns, begun, end: (peer: number) => taken[peer]![Symbol.dispose]() };
}

test("of hundreds of peers 32 are dialled at once, and each that is done lets the next begin, in their order", () => {
  const { begun, end } = dialled(500);
  assert.equal(begun.length, 32);
  for (let peer = 0; peer < 500; peer += 1) end(peer);
  assert.deepEqual(
    begun,
    Array.from({ length: 500 }, (_, peer) => peer),
  );
});

test("peers that do not answer hold up the others for a second", () => {
  const { host, begun, end } = dialled(33);
  host.clock.advance(999);
  assert.equal(begun.length, 32);
  host.clock.advance(1);
  assert.equal(begun.at(-1), 32);
  end(0);
  end(0);
  end(32);
});

test("a turn that is given back twice, or after its second, makes room for one other only", () => {
  const { host, turns, begun, end } = dialled(34);
  end(0);
  end(0);
  assert.equal(begun.length, 33);
  host.clock.advance(1_000);
  end(1);
  for (let peer = 0; peer < 40; peer += 1) turns.take(() => begun.push(100 + peer));
  assert.equal(begun.length, 34 + 31, "peer 33 began when the second was over, and is being dialled");
});

test("a peer that is given up before its turn is not dialled", () => {
  const { begun, end } = dialled(34);
  end(32);
  end(0);
  assert.equal(begun.at(-1), 33);
});
