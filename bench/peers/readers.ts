import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ReadingOrder, ReadingReport } from "./reader-process.ts";

/** Peers that take what others share and do nothing with it, in a process of their own. */
export class BareReaders implements Disposable {
  readonly #process: ChildProcess = fork(join(import.meta.dirname, "reader-process.js"), { execArgv: [] });

  /** Opens all connections. @returns milliseconds until all of each state is there, and acknowledged. */
  async read(order: ReadingOrder): Promise<ReadingReport & { readonly ms: number }> {
    const start = performance.now();
    this.#process.send(order);
    return { ...(await this.next()), ms: performance.now() - start };
  }

  /** Resident, in bytes. */
  async memory(): Promise<number> {
    this.#process.send("memory");
    return (await this.next()).rss;
  }

  /** The next report: that each place has said something. */
  async next(): Promise<ReadingReport> {
    const [report] = (await once(this.#process, "message")) as [ReadingReport];
    if (report.error !== undefined) throw new Error(`reading peer: ${report.error}`);
    return report;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
