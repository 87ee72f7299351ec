import assert from "node:assert/strict";
import { test } from "mocha";
import { drainEnvoy } from "../../src/gateway/drain.ts";
import { TestHost } from "../kits/test-host.ts";
import { EnvoyStandIn } from "./envoy-stand-in.ts";

const OPEN = "listener.0.0.0.0_15008.downstream_cx_active";

function lab(drainMs = 30_000) {
  const host = new TestHost();
  const envoy = new EnvoyStandIn();
  let endedMs: number | undefined;
  const begin = (): void =>
    void drainEnvoy(envoy, host.clock, host.log.scope("gateway"), drainMs).then(
      () => (endedMs = host.clock.elapsedMs()),
    );
  return { host, clock: host.clock, envoy, begin, ended: () => endedMs };
}

test("draining ends when the last connection has gone", async () => {
  const { clock, envoy, begin, ended, host } = lab();
  envoy.stats = { [OPEN]: 2 };
  begin();
  await clock.pass(10_000);
  assert.deepEqual([envoy.posted, ended()], [["/drain_listeners?graceful"], undefined]);
  envoy.stats = { [OPEN]: 0 };
  await clock.pass(250);
  assert.equal(ended(), 10_250);
  assert.ok(host.lines.some((line) => line === "info gateway: drained: no connection is open"));
});

test("without any connection it still goes on for five seconds: callers have not all heard", async () => {
  const { clock, begin, ended } = lab();
  begin();
  await clock.pass(4_999);
  assert.equal(ended(), undefined);
  await clock.pass(251);
  assert.equal(ended(), 5_000);
});

test("connections that stay are cut when the time is over, with a warning that says how many", async () => {
  const { clock, envoy, begin, ended, host } = lab(7_000);
  envoy.stats = { [OPEN]: 3 };
  begin();
  await clock.pass(7_000);
  assert.equal(ended(), 7_000);
  assert.ok(host.lines.some((line) => /the time to drain is over.* connections=3$/.test(line)));
});

test("probes, scrapes and the counts of single threads do not hold it up", async () => {
  const { clock, envoy, begin, ended } = lab();
  envoy.stats = {
    "listener.admin.downstream_cx_active": 1,
    "listener.stats.downstream_cx_active": 1,
    "listener.0.0.0.0_15008.worker_0.downstream_cx_active": 1,
    [OPEN]: 0,
  };
  begin();
  await clock.pass(5_250);
  assert.equal(ended(), 5_000);
});

test("an Envoy that is gone already is nothing to wait for", async () => {
  const { clock, envoy, begin, ended, host } = lab();
  envoy.up = false;
  begin();
  await clock.pass(0);
  assert.equal(ended(), 0);
  assert.match(host.lines.at(-1)!, /warn gateway: Envoy cannot be drained: Envoy does not answer/);
});

test("no time to drain is no time", async () => {
  const { clock, envoy, begin, ended } = lab(0);
  envoy.stats = { [OPEN]: 3 };
  begin();
  await clock.pass(0);
  assert.equal(ended(), 0);
});
