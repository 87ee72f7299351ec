import assert from "node:assert/strict";
import { test } from "mocha";
import { endLeftoverEnvoy } from "../../src/gateway/leftover-envoy.ts";
import { TestHost } from "../kits/test-host.ts";
import { EnvoyStandIn } from "./envoy-stand-in.ts";

const OURS = "waypoint~10.0.0.1~waypoint-1.shop~shop.svc.cluster.local";

/** An Envoy that answers where ours is to. */
function lab(node: string) {
  const host = new TestHost();
  const envoy = new EnvoyStandIn();
  envoy.info = JSON.stringify({ state: "LIVE", node: { id: node } });
  const ended = (): Promise<void> => endLeftoverEnvoy(envoy, OURS, host.clock, host.log.scope("gateway"));
  return { host, envoy, ended };
}

test("where nobody answers there is nothing to end", async () => {
  const { envoy, ended, host } = lab(OURS);
  envoy.up = false;
  await ended();
  assert.deepEqual([envoy.posted, host.lines], [[], []]);
});

test("the Envoy of an agent that was killed is ended, and the log says so", async () => {
  const { envoy, ended, host } = lab(OURS);
  await ended();
  assert.deepEqual([envoy.posted, envoy.up], [["/quitquitquit"], false]);
  assert.match(host.lines.join(), /^warn gateway: the Envoy of an agent before us still runs/);
});

test("one that does not end is named once it had its time", async () => {
  const { envoy, ended, host } = lab(OURS);
  envoy.obeys = false;
  const refused = assert.rejects(
    ended,
    /still answers on 127\.0\.0\.1:15000, 5000 ms after it was told to end: kill it/,
  );
  await host.clock.pass(6_000);
  await refused;
});

test("what is not ours is left alone, and named", async () => {
  const other = lab("waypoint~10.0.0.1~other-1.shop~shop.svc.cluster.local");
  await assert.rejects(
    other.ended,
    /the Envoy of waypoint~10\.0\.0\.1~other-1\..* does: end that one, or .*--envoy-admin-port/,
  );
  const web = lab(OURS);
  web.envoy.info = "<html>";
  await assert.rejects(
    web.ended,
    /^MeshError: 127\.0\.0\.1:15000 is where our Envoy .* a server that is no Envoy does/,
  );
  assert.deepEqual([other.envoy.posted, web.envoy.posted], [[], []]);
});
