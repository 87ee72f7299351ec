import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { ADDRESS_TYPE, FSDS_TYPE, SGDS_TYPE } from "../../src/xds/resource.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { EAST, factsOf, gatewayOf, LinkLab, serviceOf, WEST } from "./link-lab.ts";

const refused = { reason: "ConnectionRefused", message: "10.0.0.1 port 15012: nothing listens there" } as const;

test("a link asks for what the peer is, shares and runs, and shows it once all of that was said", async () => {
  const lab = await LinkLab.linked();
  assert.equal(lab.status.state, "connecting");
  assert.deepEqual(
    lab.call.requests.map(({ typeUrl }) => typeUrl),
    [SGDS_TYPE, FSDS_TYPE, ADDRESS_TYPE],
  );
  lab.call.connected();
  lab.call.say(FSDS_TYPE, [encodeFederatedService(serviceOf("payments"), 0), snapshotEnd("1", 0)]);
  await lab.pass(0);
  assert.deepEqual([lab.status.state, lab.status.reason, lab.status.everSynced], ["syncing", "SyncPending", false]);
  assert.deepEqual(lab.services, []);
  lab.call.sayAll();
  await lab.pass(0);
  assert.deepEqual([lab.status.state, lab.status.reason, lab.status.everSynced], ["live", undefined, true]);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.equal(lab.metric("peer_connection_state"), 1);
  assert.ok(lab.host.lines.some((line) => line.includes("peering cluster west sync complete")));
});

for (const [who, says] of [
  ["of another cluster", [encodeClusterFacts(factsOf({ cluster: clusterId("north") }))]],
  ["nobody that we know", []],
] as const)
  test(`who has got a peer's address and is ${who} takes nothing away, and is asked again later`, async () => {
    const lab = await LinkLab.live([serviceOf("payments")]);
    lab.call.ended();
    await lab.reconnect();
    const end = snapshotEnd("1", 0);
    lab.call.say(SGDS_TYPE, [...says, end], ["west"]);
    lab.call.say(FSDS_TYPE, [end], ["west/bank/payments"]);
    lab.call.say(ADDRESS_TYPE, [end]);
    assert.equal(lab.call.closed, true);
    await lab.pass(0);
    assert.equal(lab.status.reason, "IdentityMismatch");
    assert.match(lab.status.message, /leads to west; correct its address/);
    await lab.reconnect();
    assert.deepEqual(lab.call.held(FSDS_TYPE), ["west/bank/payments"]);
    lab.call.sayAll([serviceOf("payments")]);
    await lab.pass(60_000);
    assert.deepEqual([lab.status.state, lab.services], ["live", ["west/bank/payments 1"]]);
  });

test("every response is acknowledged with its nonce", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  assert.deepEqual(
    lab.call.answers.map(({ typeUrl, nonce, rejection }) => [typeUrl, nonce, rejection]),
    [
      [SGDS_TYPE, "1", undefined],
      [FSDS_TYPE, "2", undefined],
      [ADDRESS_TYPE, "3", undefined],
    ],
  );
  assert.equal(lab.metric("peer_convergence_time_count", ",type=FSDS,success=true"), 1);
});

test("a stream that is cut takes nothing away; for how long it has been cut is said, and only differences come after (fault 10)", async () => {
  const lab = await LinkLab.live([serviceOf("payments"), serviceOf("ledger")]);
  lab.call.ended();
  await lab.pass(600_000);
  assert.deepEqual(lab.services, ["west/bank/ledger 1", "west/bank/payments 1"]);
  assert.deepEqual([lab.status.state, lab.status.staleness], ["stale", "within-grace"]);
  assert.ok(lab.peers.views()[0]!.ageMs >= 600_000);
  assert.ok(lab.metric("peer_snapshot_age_seconds") >= 595);
  await lab.reconnect();
  assert.deepEqual(lab.call.held(FSDS_TYPE).toSorted(), ["west/bank/ledger", "west/bank/payments"]);
  lab.call.say(FSDS_TYPE, [encodeFederatedService(serviceOf("payments", { ready: 0 }), 0)], ["west/bank/ledger"]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/ledger 1", "west/bank/payments 0"], "ledger may be about to come again");
  lab.call.sayAll();
  await lab.pass(5_000);
  assert.deepEqual(lab.services, ["west/bank/payments 0"]);
  assert.deepEqual([lab.status.state, lab.status.staleness, lab.peers.views()[0]!.ageMs], ["live", "fresh", 0]);
});

test("a peer that starts anew and knows nothing yet takes nothing away (fault 12)", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  lab.call.ended();
  await lab.reconnect();
  lab.call.say(FSDS_TYPE, [], ["west/bank/payments"]);
  lab.call.say(SGDS_TYPE, [], ["west"]);
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  lab.call.ended();
  await lab.reconnect();
  assert.deepEqual(lab.call.held(FSDS_TYPE), ["west/bank/payments"], "it is asked about again");
  lab.call.say(FSDS_TYPE, [], ["west/bank/payments"]);
  lab.call.sayAll([serviceOf("payments", { ready: 3, total: 3 })], "2");
  await lab.pass(0);
  assert.deepEqual(lab.services, ["west/bank/payments 3"]);
});

test("what a live peer withdraws takes no more traffic at once, and goes five seconds later", async () => {
  const lab = await LinkLab.live([serviceOf("payments"), serviceOf("ledger"), serviceOf("audit")]);
  lab.call.say(FSDS_TYPE, [], ["west/bank/ledger", "west/bank/audit"]);
  await lab.pass(0);
  const until = (): readonly (number | undefined)[] =>
    Array.from(lab.sources.federated.entries(), ([, { withdrawnUntilMs }]) => withdrawnUntilMs).sort();
  const endMs = lab.host.clock.now() + 5_000;
  assert.deepEqual(until(), [endMs, endMs, undefined], "and says until when it is held");
  await lab.pass(4_900);
  assert.deepEqual(lab.services, ["west/bank/audit 0", "west/bank/ledger 0", "west/bank/payments 1"]);
  lab.call.say(FSDS_TYPE, [encodeFederatedService(serviceOf("audit"), 0)]);
  await lab.pass(200);
  assert.deepEqual(lab.services, ["west/bank/audit 1", "west/bank/payments 1"], "one that came back stays");
  assert.deepEqual(until(), [undefined, undefined]);
  await lab.pass(10_000);
  assert.deepEqual(lab.services, ["west/bank/audit 1", "west/bank/payments 1"]);
});

test("a Gateway that is deleted drains nothing", async () => {
  const lab = await LinkLab.live([serviceOf("payments"), serviceOf("ledger")]);
  lab.call.say(FSDS_TYPE, [], ["west/bank/ledger"]);
  await lab.pass(0);
  lab.unlink();
  await lab.pass(0);
  await lab.pass(0);
  assert.deepEqual(lab.services, []);
});

test("a peer that cannot be reached is dialled after pauses that double to half a minute, and the log says so in the product's words", async () => {
  const lab = await LinkLab.linked();
  const pauses: number[] = [];
  for (let round = 0; round < 12; round++) {
    const before = lab.calls.length;
    lab.call.ended(refused);
    const fromMs = lab.host.clock.elapsedMs();
    while (lab.calls.length === before) lab.host.clock.advance(10);
    pauses.push(lab.host.clock.elapsedMs() - fromMs);
  }
  pauses.forEach((pause, round) => assert.ok(pause <= Math.min(30_000, 500 * 2 ** round) + 60, `${pause}`));
  assert.ok(Math.max(...pauses) > 8_000, `${pauses}`);
  assert.ok(new Set(pauses).size > 6, "chance keeps peers apart");
  const line = lab.host.lines.find((text) => text.includes("disconnected"))!;
  assert.match(
    line,
    /^warn peering: deltaadsc disconnected, retrying in [0-9.]+s: 10\.0\.0\.1 .* target=peering-west$/,
  );
  assert.equal(lab.metric("peer_reconnects_total", ",reason=ConnectionRefused"), 12);
  await lab.pass(0);
  assert.deepEqual([lab.status.state, lab.status.reason], ["connecting", "ConnectionRefused"]);
});

test("a peer that comes to us after it was away is dialled at once, but not again and again", async () => {
  const lab = await LinkLab.linked();
  for (let round = 0; round < 12; round++) {
    lab.call.ended(refused);
    const before = lab.calls.length;
    while (lab.calls.length === before) lab.host.clock.advance(10);
  }
  lab.host.clock.advance(1_000);
  lab.call.ended(refused);
  const before = lab.calls.length;
  lab.peers.entered(EAST);
  assert.equal(lab.calls.length, before, "another has come");
  lab.peers.entered(WEST);
  assert.equal(lab.calls.length, before + 1);
  lab.call.ended(refused);
  lab.peers.entered(WEST);
  assert.equal(lab.calls.length, before + 1, "it was tried just now");
  await lab.reconnect();
  lab.peers.entered(WEST);
  assert.equal(lab.call.closed, false, "a link that is there stays as it is");
});

test("a stream that was good for a minute makes the next pause short", async () => {
  const lab = await LinkLab.linked();
  const fails = async (): Promise<void> => {
    const before = lab.calls.length;
    lab.call.ended(refused);
    while (lab.calls.length === before) await lab.pass(100);
  };
  for (let round = 0; round < 8; round++) await fails();
  await lab.reconnect();
  lab.call.sayAll();
  await lab.pass(61_000);
  const [before, fromMs] = [lab.calls.length, lab.host.clock.elapsedMs()];
  lab.call.ended();
  while (lab.calls.length === before) await lab.pass(10);
  assert.ok(lab.host.clock.elapsedMs() - fromMs <= 510);
});

test("a peer that takes the connection and says nothing is given up after ten seconds", async () => {
  const lab = await LinkLab.linked();
  const { call } = lab;
  await lab.pass(10_000);
  assert.equal(call.closed, true);
  assert.equal(lab.status.reason, "DialTimeout");
  assert.match(lab.status.message, /10\.0\.0\.1 port 15012 has not answered within 10 s/);
});

test("all addresses of a peer are tried before anybody waits", async () => {
  const lab = new LinkLab();
  const hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((ip) => ({ kind: "ip", ip }) as const);
  lab.link(gatewayOf({ hosts }));
  lab.graph.flush();
  await lab.peers.start();
  lab.peers.dial();
  for (const _ of hosts) {
    lab.call.ended(refused);
    await lab.pass(0);
  }
  assert.deepEqual(
    lab.calls.map(({ ip }) => ip),
    ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
  );
});

test("another address in the Gateway is dialled at once, and nothing is lost meanwhile", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  const { call } = lab;
  lab.link(gatewayOf({ hosts: [{ kind: "ip", ip: "10.0.0.9" }] }));
  await lab.pass(0);
  assert.equal(call.closed, true);
  assert.equal(lab.call.ip, "10.0.0.9");
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.deepEqual(lab.call.held(FSDS_TYPE), ["west/bank/payments"]);
});

test("a Gateway that is deleted takes all of its peer with it, at once", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  lab.unlink();
  await lab.pass(0);
  await lab.pass(0);
  assert.deepEqual(lab.services, []);
  assert.equal(lab.sources.facts.get(WEST), undefined);
  assert.equal(lab.sources.statuses.get(WEST), undefined);
  assert.equal(lab.call.closed, true);
  assert.deepEqual(
    lab.host.series.filter((series) => series.includes("peer=west")),
    [],
  );
  await lab.pass(60_000);
  assert.equal(lab.calls.length, 1);
});

test("a Gateway that becomes unfit leaves what was right in force", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  lab.link(gatewayOf({ refused: { reason: "MissingNetwork", message: "has no network" } }));
  await lab.pass(0);
  assert.deepEqual([lab.services, lab.call.closed], [["west/bank/payments 1"], false]);
});

for (const policy of ["retain", "unhealthy", "remove"] as const)
  test(`what has been stale for longer than its grace is for the policy: ${policy}`, async () => {
    const lab = await LinkLab.live([serviceOf("payments")], { stale: { graceMs: 120_000, policy } });
    lab.call.ended();
    await lab.pass(119_000);
    assert.equal(lab.status.staleness, "within-grace");
    await lab.pass(2_000);
    assert.equal(lab.status.staleness, policy);
    assert.deepEqual(lab.services, ["west/bank/payments 1"], "what shows of it is for the registry");
    await lab.reconnect();
    lab.call.sayAll();
    await lab.pass(0);
    assert.equal(lab.status.staleness, "fresh");
  });

test("a peer that is heard and does not hear us is stale only where it is not heard (fault 13)", async () => {
  const [lab, other] = [await LinkLab.live([serviceOf("payments")]), await LinkLab.live([])];
  lab.call.ended({ reason: "Disconnected", message: "10.0.0.1 port 15012: the peer no longer answers pings" });
  await lab.pass(15_000);
  await other.pass(15_000);
  assert.deepEqual([lab.status.state, other.status.state], ["stale", "live"]);
  assert.match(lab.status.message, /^10\.0\.0\.1 port 15012/);
  await lab.reconnect();
  lab.call.sayAll();
  await lab.pass(0);
  assert.equal(lab.status.state, "live");
});

test("a response that cannot be read is rejected with the reason, and the stream goes on", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  lab.call.receiver.received(
    {
      typeUrl: FSDS_TYPE,
      nonce: "bad",
      resources: [{ name: "__synced__/1", version: "1", body: new Uint8Array([255]) }],
      removed: ["west/bank/payments"],
    },
    10,
  );
  await lab.pass(0);
  const answer = lab.call.answers.at(-1)!;
  assert.equal(answer.nonce, "bad");
  assert.match(answer.rejection ?? "", /SnapshotEnd/);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.equal(lab.metric("peer_convergence_time_count", ",type=FSDS,success=false"), 1);
});

test("a peer whose clock is minutes from ours is said to be", async () => {
  const lab = await LinkLab.linked();
  lab.host.clock.advance(5_000);
  lab.call.connected();
  lab.call.sayAll();
  assert.equal(lab.host.lines.filter((line) => line.includes("the clock of peer")).length, 0);
  await lab.pass(0);
  lab.call.ended();
  lab.host.clock.advance(300_000);
  await lab.reconnect();
  lab.call.sayAll();
  assert.ok(lab.host.lines.some((line) => /the clock of peer west is 30\d s behind ours/.test(line)));
});

test("a peer that is back and has not confirmed what is held makes it no younger", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  const leftAt = lab.host.clock.now();
  lab.call.ended();
  await lab.pass(60_000);
  await lab.reconnect();
  await lab.pass(10_000);
  const [syncing] = lab.peers.views();
  assert.deepEqual([syncing!.state, syncing!.heardAt, syncing!.staleness], ["syncing", leftAt, "within-grace"]);
  assert.ok(syncing!.ageMs >= 70_000);
  lab.call.ended();
  await lab.pass(0);
  assert.equal(lab.peers.views()[0]!.heardAt, leftAt);
});
