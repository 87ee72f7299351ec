import type { Counter, Gauge, Histogram, Metrics } from "../host.ts";
import type { WriteOutcome } from "./write-queue.ts";

/** Upstream's, of its queues of work (contract operations.md 1.4). */
const QUEUE_BUCKETS = [0.01, 0.1, 0.2, 0.5, 1, 3, 5];
/** Outcomes that alerts ask after: they are told of at the first of them, so 0 has to be there before. */
const ALARMING: readonly WriteOutcome[] = ["denied", "refused"];

/** What is counted of one writer: under upstream's names as one of its queues, and under ours. */
export class WriteMetrics {
  readonly #writer: string;
  readonly #writes: Counter;
  readonly #pending: Gauge;
  readonly #depth: Gauge;
  readonly #latency: Histogram;
  readonly #duration: Histogram;
  readonly #kinds = new Set<string>();

  /** @param writer tells writers of one process apart. */
  constructor(metrics: Metrics, writer: string) {
    this.#writer = writer;
    this.#writes = metrics.counter("status_writes_total", "Statuses and objects written", ["kind", "result"]);
    this.#pending = metrics.gauge("status_writes_pending", "Statuses and objects that wait to be written", ["writer"]);
    const label = ["queueID"];
    this.#depth = metrics.gauge("pilot_worker_queue_depth", "What waits to be written, by writer.", label);
    this.#latency = metrics.histogram(
      "pilot_worker_queue_latency",
      "Seconds from when a write was due until it began.",
      QUEUE_BUCKETS,
      label,
    );
    this.#duration = metrics.histogram(
      "pilot_worker_queue_duration",
      "Seconds from the begin of a write until it was answered.",
      QUEUE_BUCKETS,
      label,
    );
  }

  pending(count: number): void {
    this.#pending.set(count, { writer: this.#writer });
    this.#depth.set(count, { queueID: this.#writer });
  }

  begun(waitedMs: number): void {
    this.#latency.observe(waitedMs / 1000, { queueID: this.#writer });
  }

  ended(kind: string, result: WriteOutcome, tookMs: number): void {
    if (!this.#kinds.has(kind)) for (const outcome of ALARMING) this.#writes.add(0, { kind, result: outcome });
    this.#kinds.add(kind);
    this.#writes.add(1, { kind, result });
    this.#duration.observe(tookMs / 1000, { queueID: this.#writer });
  }
}
