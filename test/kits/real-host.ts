import type { Host } from "../../src/host.ts";
import { systemClock, systemRandom } from "../../src/system-host.ts";
import { TestHost } from "./test-host.ts";

/** The machine's own time and chance, for what talks to real sockets and files; logs and metrics are remembered. */
export function realHost(): Host & Pick<TestHost, "lines" | "metric"> {
  const test = new TestHost();
  return {
    clock: systemClock,
    random: systemRandom,
    log: test.log,
    metrics: test.metrics,
    lines: test.lines,
    metric: (series) => test.metric(series),
  };
}
