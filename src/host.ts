import type { ChangeWatch } from "./change-watch.ts";

/** Milliseconds since the Unix epoch. */
export type EpochMs = number;

/** The passage of time, as one process sees it. Tasks due together run in the order they were scheduled. */
export interface Clock {
  /** Wall time. It can jump: for certificates and logs, never to measure. */
  now(): EpochMs;
  /** Milliseconds since this process began. It only grows: for measuring. */
  elapsedMs(): number;
  /**
   * Runs `task` once, `delayMs` milliseconds from now, unless disposed first. 0 means after the I/O now waiting.
   * @throws RangeError if `delayMs` is negative or not finite.
   */
  after(delayMs: number, task: () => void): Disposable;
}

/** Chance, as one process sees it; simulations seed it. */
export interface Random {
  /** Uniform in [0, 1); not for secrets. */
  next(): number;
  /** `length` unpredictable bytes, fit for serial numbers and keys. */
  bytes(length: number): Uint8Array;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "none";
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** One scope of the log, as `ads` or `ca`. */
export interface Logger {
  /** True if a line of `level` would be written: for lines that cost something to make. */
  enabled(level: LogLevel): boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface Log {
  /** The logger of a scope; the same object each time. */
  scope(name: string): Logger;
}

export type Labels = Readonly<Record<string, string>>;

/** Only grows. */
export interface Counter {
  add(count?: number, labels?: Labels): void;
  /** Forgets one series: what it counted is gone for good. */
  remove(labels: Labels): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
  /** Forgets one series: it is not 0 then, but absent. */
  remove(labels: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
  /** Forgets one series: it is not empty then, but absent. */
  remove(labels: Labels): void;
}

/** Asking twice for one name gives the same metric. Names are Prometheus names. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  /** `buckets` are upper bounds, ascending, in the metric's own unit. */
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): Histogram;
}

/** All that a module may ask of its machine. */
export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Told of changes on their way, while traces are collected. */
  readonly changes?: ChangeWatch | undefined;
}
