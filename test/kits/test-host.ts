import type { Counter, Gauge, Histogram, Host, Labels, LogFields, Logger, LogLevel } from "../../src/host.ts";
import { seededRandom, VirtualClock } from "../sim/world.ts";

/** A host whose time moves only when told to, and that remembers what was logged and counted. */
export class TestHost implements Host {
  readonly clock = new VirtualClock();
  readonly random = seededRandom(1);
  /** As `warn delta: NACK reason="…"`. */
  readonly lines: string[] = [];
  readonly #values = new Map<string, number>();

  readonly log = { scope: (name: string): Logger => this.#logger(name) };
  readonly metrics = {
    counter: (name: string): Counter => ({
      add: (count = 1, labels) => this.#add(name, count, labels),
      remove: (labels) => void this.#values.delete(seriesOf(name, labels)),
    }),
    gauge: (name: string): Gauge => ({
      set: (value, labels) => void this.#values.set(seriesOf(name, labels), value),
      remove: (labels) => void this.#values.delete(seriesOf(name, labels)),
    }),
    histogram: (name: string): Histogram => ({
      observe: (_, labels) => this.#add(`${name}_count`, 1, labels),
      remove: (labels) => void this.#values.delete(seriesOf(`${name}_count`, labels)),
    }),
  };

  /** The value of a series, as `pilot_xds_pushes{type=wds}`; 0 if it was never touched. */
  metric(series: string): number {
    return this.#values.get(series) ?? 0;
  }

  /** Every series that was touched and not removed. */
  get series(): readonly string[] {
    return [...this.#values.keys()];
  }

  #add(name: string, count: number, labels: Labels | undefined): void {
    const series = seriesOf(name, labels);
    this.#values.set(series, (this.#values.get(series) ?? 0) + count);
  }

  #logger(scope: string): Logger {
    const write =
      (level: LogLevel) =>
      (message: string, fields: LogFields = {}) => {
        const facts = Object.entries(fields).filter(([, value]) => value !== undefined);
        this.lines.push([`${level} ${scope}: ${message}`, ...facts.map(([key, value]) => `${key}=${value}`)].join(" "));
      };
    return {
      enabled: () => true,
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
    };
  }
}

function seriesOf(name: string, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}
