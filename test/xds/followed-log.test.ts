import assert from "node:assert/strict";
import { test } from "mocha";
import { DeltaSession } from "../../src/xds/delta-session.ts";
import { type DeltaRequest, FSDS_TYPE } from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";
import { decodeDeltaResponse, encodeDeltaResponse, toResource } from "../../src/xds/wire.ts";
import { VirtualClock } from "../sim/world.ts";

const BYTES = 2_000;
const set = (name: string, revision: string) => ({
  name,
  after: toResource(FSDS_TYPE, name, Buffer.alloc(BYTES, `${revision}|`)),
});
const logOf = (count: number, revision: string): ResourceLog => {
  const log = new ResourceLog();
  log.append(Array.from({ length: count }, (_, at) => set(`n${at}`, revision)));
  return log;
};
const marker = () => toResource(FSDS_TYPE, "__synced__/1", Buffer.from("end"));

function reader(log: ResourceLog, part: Partial<DeltaRequest> = {}) {
  let nonces = 0;
  const session = new DeltaSession(log, new VirtualClock(), {
    ...{ typeUrl: FSDS_TYPE, nodeName: "", limits: { responseBytesMax: 600_000, subscribedNamesMax: 10 } },
    ...{ nextNonce: () => `${(nonces += 1)}`, marker },
  });
  const ask = (said: Partial<DeltaRequest>): void => {
    const nothing = {
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map<string, string>(),
      rejection: undefined,
    };
    session.receive({ ...nothing, typeUrl: FSDS_TYPE, node: undefined, nonce: "", ...said });
  };
  const held = new Map(part.initialVersions);
  const order: string[] = [];
  /** Takes one response and answers it. */
  const take = (): boolean => {
    const response = session.poll();
    if (response === undefined) return false;
    const { resources, removed } = decodeDeltaResponse(Buffer.concat(encodeDeltaResponse(response, "{}")));
    for (const { name, version } of resources) {
      held.set(name, version);
      order.push(name);
    }
    // After them, as everywhere in delta xDS (contract ztunnel.md 2.4): a slice may bring what has left meanwhile.
    for (const name of removed) held.delete(name);
    ask({ nonce: response.nonce });
    return true;
  };
  ask(part);
  return { session, held, order, take };
}

const contents = (log: ResourceLog): Map<string, string> =>
  new Map([
    ...[...log.names()].map((name) => [name, log.versionOf(name)!] as const),
    [marker().name, marker().version],
  ]);

for (const taken of [0, 1, 2, 9])
  test(`a reader that changes logs after ${taken} responses ends with what the new one has, and one marker at the end`, () => {
    const before = logOf(1_000, "old");
    const after = logOf(900, "new");
    after.append([set("n5", "old"), set("only-here", "new")]);
    const { session, held, order, take } = reader(before);
    for (let response = 0; response < taken; response++) take();
    before.append([{ name: "n7", after: undefined }, set("n8", "newer"), set("late", "old")]);
    session.follow(after);
    while (take());
    assert.deepEqual(held, contents(after));
    assert.equal(order.filter((name) => name === marker().name).length, 1);
    assert.ok(session.caughtUp);
    // What the log before does now is nobody's business.
    before.append([set("n9", "even newer")]);
    assert.equal(take(), false);
  });

test("a reader that returned with what it held changes logs before it was told anything", () => {
  const before = logOf(10, "old");
  const after = logOf(5, "old");
  const initialVersions = new Map([...contents(logOf(12, "old"))].filter(([name]) => name.startsWith("n")));
  const { session, held, take } = reader(before, { initialVersions });
  session.follow(after);
  while (take());
  assert.deepEqual(held, contents(after));
});

test("a marker waits for the last slice of a large state, and a state that changes meanwhile is whole, too", () => {
  const log = logOf(1_000, "old");
  const { held, order, take } = reader(log);
  take();
  assert.ok(!order.includes(marker().name), "a part was called the whole");
  log.append([set("n0", "newer"), { name: "n999", after: undefined }]);
  while (take());
  assert.deepEqual(held, contents(log));
  assert.equal(order.at(-1), marker().name);
});
