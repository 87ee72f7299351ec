import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { Counter, Host } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";

const EVERY_MS = 1_000;
const BATCH_MAX = 512;
/** A collector that is away misses what comes beyond them. */
const WAITING_MAX = 2_048;
/** A process that ends waits no longer for a collector that is away, or slow. */
const SHUTDOWN_MS = 3_000;
const RESULTS = ["exported", "failed", "dropped"] as const;

/** Parts of traces on their way to a collector, a batch a second at most and one at once. */
export class SpanBatches implements SpanProcessor {
  readonly #host: Host;
  readonly #exporter: SpanExporter;
  readonly #log: SparseLog;
  readonly #spans: Counter;
  readonly #waiting: ReadableSpan[] = [];
  #next: Disposable | undefined;
  #sending: Promise<void> | undefined;

  constructor(host: Host, exporter: SpanExporter) {
    this.#host = host;
    this.#exporter = exporter;
    this.#log = new SparseLog(host.log.scope("admin"), host.clock);
    this.#spans = host.metrics.counter("trace_spans_total", "Parts of traces, by what became of them.", ["result"]);
    for (const result of RESULTS) this.#spans.add(0, { result });
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#waiting.length >= WAITING_MAX) return this.#spans.add(1, { result: "dropped" });
    this.#waiting.push(span);
    this.#schedule();
  }

  async forceFlush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#sending !== undefined) {
      await this.#sending;
      this.#send();
    }
  }

  /** What the collector does not take within some seconds is lost. */
  async shutdown(): Promise<void> {
    let limit: Disposable | undefined;
    const late = new Promise<void>((resolve) => (limit = this.#host.clock.after(SHUTDOWN_MS, resolve)));
    await Promise.race([this.forceFlush().then(() => this.#exporter.shutdown()), late]);
    limit?.[Symbol.dispose]();
    this.#next?.[Symbol.dispose]();
    if (this.#waiting.length > 0) this.#spans.add(this.#waiting.length, { result: "dropped" });
    this.#waiting.length = 0;
  }

  #schedule(): void {
    this.#next ??= this.#host.clock.after(EVERY_MS, () => this.#send());
  }

  #send(): void {
    this.#next?.[Symbol.dispose]();
    this.#next = undefined;
    if (this.#sending !== undefined || this.#waiting.length === 0) return;
    this.#sending = this.#export(this.#waiting.splice(0, BATCH_MAX)).finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #export(batch: ReadableSpan[]): Promise<void> {
    return new Promise((resolve) =>
      this.#exporter.export(batch, ({ code, error }) => {
        this.#spans.add(batch.length, { result: code === 0 ? "exported" : "failed" });
        const why = error?.message ?? "it gave no reason";
        if (code !== 0) this.#log.warn("the collector of traces did not take them; they are lost", { why });
        resolve();
      }),
    );
  }
}
