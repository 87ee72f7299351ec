import type { Clock, EpochMs, Gauge, Host } from "./host.ts";
import type { LogLevels } from "./log-levels.ts";
import { LogScopes } from "./log.ts";
import { PrometheusMetrics } from "./prometheus.ts";
import { systemRandom } from "./system-random.ts";
import { VERSION } from "./version.ts";

export { systemRandom };

/** Node takes delays as 32-bit numbers, and runs at once what is due later than that. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface SystemHostOptions {
  readonly logLevels: LogLevels;
  readonly logAsJson: boolean;
  /** What it is to dashboards; the control plane by default. */
  readonly component?: "gateway";
}

/** The machine itself, with what the admin pages show of it. */
export interface SystemHost extends Host {
  readonly log: LogScopes;
  readonly metrics: PrometheusMetrics;
}

/** Logs go to standard error; one that cannot be written is lost, and ends nothing. */
export function systemHost(options: SystemHostOptions): SystemHost {
  if (!process.stderr.listeners("error").includes(ignored)) process.stderr.on("error", ignored);
  const output = { now: preciseNow(), write: (line: string) => void process.stderr.write(line) };
  const metrics = new PrometheusMetrics();
  if (options.component === undefined) describeControlPlane(metrics);
  else buildOf(metrics).set(1, { component: options.component, tag: VERSION });
  metrics.addProcess();
  return {
    clock: systemClock,
    random: systemRandom,
    log: new LogScopes(output, options.logLevels, options.logAsJson),
    metrics,
  };
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsedMs: () => performance.now(),
  after(delayMs, task) {
    if (!Number.isFinite(delayMs) || delayMs < 0) throw new RangeError(`delayMs is ${delayMs}`);
    if (delayMs === 0) {
      const immediate = setImmediate(task);
      return { [Symbol.dispose]: () => clearImmediate(immediate) };
    }
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, TIMER_MS_MAX);
      timer = setTimeout(() => (leftMs > stepMs ? wait(leftMs - stepMs) : task()), stepMs);
    };
    wait(delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

const ignored = (): void => {};

/** Wall time with microseconds: the monotonic clock tells them, and follows the wall clock when that is set. */
function preciseNow(): () => EpochMs {
  let offsetMs = performance.timeOrigin;
  return () => {
    const now = Date.now();
    const precise = offsetMs + performance.now();
    if (Math.abs(precise - now) < 2) return precise;
    offsetMs = now - performance.now();
    return now;
  };
}

const buildOf = (metrics: PrometheusMetrics): Gauge =>
  metrics.gauge("istio_build", "The build of this component; always 1.", ["component", "tag"]);

function describeControlPlane(metrics: PrometheusMetrics): void {
  metrics.gauge("pilot_info", "The version of this control plane; always 1.", ["version"]).set(1, { version: VERSION });
  // Upstream's dashboards look for the control plane under "pilot".
  for (const component of ["pilot", "causeway"]) buildOf(metrics).set(1, { component, tag: VERSION });
  metrics.sampled("istiod_uptime_seconds", "Seconds since this process began.", () => performance.now() / 1000);
}
