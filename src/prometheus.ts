import assert from "node:assert/strict";
import * as prometheus from "prom-client";
import type { Counter, Gauge, Histogram, Metrics } from "./host.ts";

type Kind = "counter" | "gauge" | "histogram";

/** Metrics as Prometheus scrapes them. Whoever adds a label answers for how many values it can take. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new prometheus.Registry();
  readonly #known = new Map<string, { readonly kind: Kind; readonly metric: unknown }>();

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything in the text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    return this.#once("counter", name, () => {
      const counter = new prometheus.Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
      return {
        add: (count = 1, values = {}) => counter.inc(values, count),
        remove: (values) => counter.remove(values),
      };
    });
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    return this.#once("gauge", name, () => {
      const gauge = new prometheus.Gauge({ name, help, labelNames: [...labels], registers: [this.#registry] });
      return { set: (value, values = {}) => gauge.set(values, value), remove: (values) => gauge.remove(values) };
    });
  }

  /** A gauge that is read when somebody looks: for what is known anyway, as sizes and ages. */
  sampled(name: string, help: string, read: () => number): void {
    new prometheus.Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  histogram(name: string, help: string, buckets: readonly number[], labels: readonly string[] = []): Histogram {
    return this.#once("histogram", name, () => {
      const histogram = new prometheus.Histogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labels],
        registers: [this.#registry],
      });
      return {
        observe: (value, values = {}) => histogram.observe(values, value),
        remove: (values) => histogram.remove(values),
      };
    });
  }

  /** What Node knows of itself: `process_*`, `nodejs_eventloop_lag_seconds`, garbage collection, heap. */
  addProcess(): void {
    prometheus.collectDefaultMetrics({ register: this.#registry });
  }

  #once<T>(kind: Kind, name: string, make: () => T): T {
    const known = this.#known.get(name);
    assert(known === undefined || known.kind === kind, `metric ${name} is a ${known?.kind}, not a ${kind}`);
    if (known !== undefined) return known.metric as T;
    const metric = make();
    this.#known.set(name, { kind, metric });
    return metric;
  }
}
