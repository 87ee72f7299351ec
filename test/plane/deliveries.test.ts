import assert from "node:assert/strict";
import { test } from "mocha";
import { Deliveries } from "../../src/plane/deliveries.ts";
import type { ClientStatus } from "../../src/xds/client-status.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type SubscriptionStatus } from "../../src/xds/resource.ts";
import { VirtualClock } from "../sim/world.ts";

function client(said: Partial<SubscriptionStatus>): ClientStatus {
  const subscription = {
    ...{ typeUrl: ADDRESS_TYPE, wildcard: true, subscribed: 0, sentNonce: "1", ackedNonce: "1", sentAt: 0, ackedAt: 0 },
    ...{ lastRejection: "", rejections: 0, backlog: 0, backlogBytes: 0 },
    ...said,
  };
  const nobody = {
    id: "",
    remoteAddress: "",
    connectedAt: 0,
    identity: undefined,
    via: undefined,
    cluster: "",
    node: undefined,
  };
  return { ...nobody, subscriptions: [subscription] };
}

function delivered(clients: ClientStatus[]) {
  const clock = new VirtualClock();
  let count = 0;
  let failed = 0;
  const deliveries = new Deliveries(clock, () => clients);
  deliveries.once((delivered) => (delivered ? (count += 1) : (failed += 1)));
  return { clock, deliveries, count: () => count, failed: () => failed };
}

test("what was sent is delivered once every client that follows workloads has acknowledged all of it", () => {
  const clients = [client({}), client({ sentNonce: "2" }), client({ typeUrl: AUTHORIZATION_TYPE, backlog: 9 })];
  const { clock, count } = delivered(clients);
  clock.advance(100);
  assert.equal(count(), 0);
  clients[1] = client({ backlog: 1 });
  clock.advance(100);
  assert.equal(count(), 0);
  clients[1] = client({});
  clock.advance(20);
  assert.equal(count(), 1);
  clock.advance(100);
  assert.deepEqual([count(), clock.pending], [1, 0]);
});

test("without a client nothing is delivered, and nobody waits", () => {
  const { clock, count, failed } = delivered([]);
  clock.advance(20);
  assert.deepEqual([count(), failed(), clock.pending], [0, 1, 0]);
});

test("a client that does not answer is no measure: it is waited for half a minute", () => {
  const { clock, count, failed } = delivered([client({ sentNonce: "2" })]);
  clock.advance(29_000);
  assert.equal(failed(), 0);
  clock.advance(2_000);
  assert.deepEqual([count(), failed(), clock.pending], [0, 1, 0]);
});
