import assert from "node:assert/strict";
import { test } from "mocha";
import { whyEnvoyIsNotReady } from "../../src/gateway/envoy-health.ts";
import { EnvoyStandIn } from "./envoy-stand-in.ts";

const why = (envoy: EnvoyStandIn) => whyEnvoyIsNotReady(envoy, "istiod:15012");

test("a gateway is ready once Envoy is live and listens for HBONE", async () => {
  assert.equal(await why(new EnvoyStandIn()), undefined);
});

test("losing the control plane afterwards takes nothing away", async () => {
  const envoy = new EnvoyStandIn();
  envoy.stats = { "control_plane.connected_state": 0, "listener_manager.lds.update_success": 0 };
  assert.equal(await why(envoy), undefined);
});

test("what Envoy waits for is said, the first cause first", async () => {
  const envoy = new EnvoyStandIn();
  envoy.state = "INITIALIZING";
  envoy.listeners = "stats::0.0.0.0:15090\n";
  const connected = { "control_plane.connected_state": 1 };
  const cases: readonly [Readonly<Record<string, number>>, RegExp][] = [
    [{}, /^Envoy is INITIALIZING: it is not connected to the control plane istiod:15012/],
    [{ ...connected }, /the control plane istiod:15012 has sent it no listeners yet/],
    [{ ...connected, "listener_manager.lds.update_rejected": 1 }, /it refused the listeners that it was sent/],
    [
      { "listener_manager.lds.update_success": 1, "listener_manager.total_listeners_warming": 2 },
      /its listeners wait for their secrets or routes/,
    ],
    [{ "listener_manager.lds.update_success": 1 }, /it has no listener connect_terminate: has our Gateway an HBONE/],
  ];
  for (const [stats, sentence] of cases) {
    envoy.stats = stats;
    assert.match((await why(envoy))!, sentence);
  }
  envoy.up = false;
  assert.match((await why(envoy))!, /Envoy does not answer on 127.0.0.1:15000; it is starting, or has ended/);
});

test("an Envoy that is live without the listener is not ready, and one that drains neither", async () => {
  const envoy = new EnvoyStandIn();
  envoy.listeners = "connect_terminate_2::0.0.0.0:15008\n";
  assert.match((await why(envoy))!, /^Envoy is LIVE: /);
  const draining = new EnvoyStandIn();
  draining.state = "DRAINING";
  assert.match((await why(draining))!, /^Envoy is DRAINING: /);
});
