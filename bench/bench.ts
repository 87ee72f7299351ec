/** One number that a bench found, beside what the machine could do at best. */
export interface Measurement {
  /** As `kernel.one-pod-change`; the same from run to run. */
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same work without us, measured in the same run; in the same unit. */
  readonly limit: number;
  /** How many times worse than the limit; 1 is perfect. */
  readonly ratio: number;
}

export type Report = (measurement: Measurement) => void;

/** Lives in `bench/<name>.ts` and is listed in `bench/main.ts`. */
export interface Bench {
  readonly name: string;
  run(report: Report): Promise<void>;
}

/** A measurement of which less is better. */
export function cost(name: string, value: number, unit: string, limit: number): Measurement {
  return { name, value, unit, limit, ratio: value / limit };
}

/** A measurement of which more is better. */
export function rate(name: string, value: number, unit: string, limit: number): Measurement {
  return { name, value, unit, limit, ratio: limit / value };
}

/** Milliseconds that `work` takes. */
export function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** The middle of `runs` measurements. */
export function median(runs: number, measure: () => number): number {
  return middle(Array.from({ length: runs }, measure));
}

/** The one in the middle; sorts them. */
export const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Bytes in use by objects and buffers, after a full collection. Needs `node --expose-gc`. */
export function memoryInUse(): number {
  if (globalThis.gc === undefined) throw new Error("run benches through `npm run bench`: they need --expose-gc");
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
