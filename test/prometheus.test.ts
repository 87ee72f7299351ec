import assert from "node:assert/strict";
import { test } from "mocha";
import { PrometheusMetrics } from "../src/prometheus.ts";

test("what was counted, set and observed is what Prometheus scrapes", async () => {
  const metrics = new PrometheusMetrics();
  const pushes = metrics.counter("pilot_xds_pushes", "Responses sent.", ["type"]);
  pushes.add(2, { type: "wds" });
  pushes.add();
  metrics.gauge("pilot_services", "Services.").set(7);
  metrics.histogram("pilot_proxy_convergence_time", "Seconds.", [0.1, 0.5]).observe(0.2);
  let size = 1;
  metrics.sampled("records", "Records now.", () => size);
  size = 5;
  const lines = (await metrics.text()).split("\n");
  for (const expected of [
    "# TYPE pilot_xds_pushes counter",
    'pilot_xds_pushes{type="wds"} 2',
    "pilot_xds_pushes 1",
    "pilot_services 7",
    'pilot_proxy_convergence_time_bucket{le="0.1"} 0',
    'pilot_proxy_convergence_time_bucket{le="0.5"} 1',
    "records 5",
  ])
    assert.ok(lines.includes(expected), `${expected} in ${lines.join("\n")}`);
});

test("two modules that ask for one metric share it, and one that wants another kind is a broken invariant", async () => {
  const metrics = new PrometheusMetrics();
  metrics.counter("streams", "Streams.").add(1);
  metrics.counter("streams", "Streams.").add(1);
  assert.match(await metrics.text(), /^streams 2$/m);
  assert.throws(() => metrics.gauge("streams", "Streams."), /metric streams is a counter, not a gauge/);
});

test("hosts keep their metrics apart", async () => {
  const [one, other] = [new PrometheusMetrics(), new PrometheusMetrics()];
  one.gauge("pilot_services", "Services.").set(1);
  assert.doesNotMatch(await other.text(), /pilot_services/);
});

test("a series that is removed is absent, and the others stay", async () => {
  const metrics = new PrometheusMetrics();
  const states = metrics.gauge("states", "By cluster.", ["cluster"]);
  const timeouts = metrics.counter("timeouts_total", "By cluster.", ["cluster"]);
  for (const cluster of ["west", "north"]) {
    states.set(1, { cluster });
    timeouts.add(1, { cluster });
  }
  states.remove({ cluster: "west" });
  timeouts.remove({ cluster: "west" });
  const text = await metrics.text();
  assert.doesNotMatch(text, /west/);
  assert.equal(text.match(/\{cluster="north"\} 1/g)?.length, 2);
});
