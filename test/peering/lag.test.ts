import assert from "node:assert/strict";
import { test } from "mocha";
import { ADDRESS_TYPE, FSDS_TYPE, type Resource, SGDS_TYPE } from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { factsOf, LinkLab, serviceOf } from "./link-lab.ts";

const payments = encodeFederatedService(serviceOf("payments"), 0);

/** What the peer has, by the log that it would serve it from. */
function digestOf(resources: readonly Resource[]): string {
  const log = new ResourceLog();
  log.append(resources.map((after) => ({ name: after.name, after })));
  return log.digest;
}

/** @param has what the peer has of FSDS, as its digest says; it sends `payments`. */
async function told(has: readonly Resource[]): Promise<LinkLab> {
  const lab = await LinkLab.linked();
  const facts = encodeClusterFacts(factsOf());
  const end = (resources: readonly Resource[]) => snapshotEnd("1", lab.host.clock.now(), digestOf(resources));
  lab.call.connected();
  lab.call.say(SGDS_TYPE, [facts, end([facts])]);
  lab.call.say(FSDS_TYPE, [payments, end(has)]);
  lab.call.say(ADDRESS_TYPE, [end([])]);
  await lab.pass(0);
  return lab;
}

test("a peer that says the digest of what was just received changes nothing", async () => {
  const lab = await told([payments]);
  assert.equal(lab.status.state, "live");
  const series = lab.host.series.find((name) => name.startsWith("peer_digest_mismatch_total"));
  assert.equal(lab.host.metric(series!), 0, "there from the beginning, so that the first mismatch is growth");
});

test("a peer that has something else than what it sent is counted and logged, and what it sent shows", async () => {
  const lab = await told([payments, encodeFederatedService(serviceOf("ledger"), 0)]);
  assert.equal(lab.metric("peer_digest_mismatch_total"), 1);
  assert.deepEqual(lab.host.lines.filter((line) => line.includes("is not what it has")).length, 1);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
});

test("a change lags until every client has it, and a peer that is away lags for as long", async () => {
  const lab = await LinkLab.live([serviceOf("payments"), serviceOf("ledger")]);
  await lab.pass(5_000);
  assert.deepEqual([lab.metric("peer_lag_seconds"), lab.metric("peer_lag_events")], [0, 0]);
  assert.equal(lab.metric("peer_stale_services"), 0);
  lab.call.ended();
  await lab.pass(60_000);
  const lagged = lab.metric("peer_lag_seconds");
  assert.ok(lagged >= 55 && lagged <= 60, `${lagged}`);
  assert.equal(lab.metric("peer_stale_services"), 2);
  await lab.reconnect();
  lab.call.sayAll([serviceOf("payments")]);
  await lab.pass(10_000);
  assert.deepEqual([lab.metric("peer_lag_seconds"), lab.metric("peer_stale_services")], [0, 0]);
});
