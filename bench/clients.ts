import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ClientOrder, ClientReport } from "./client-process.ts";

/** Clients in a process of their own, so that what they cost is not ours. */
export class Clients implements Disposable {
  readonly #process: ChildProcess = fork(join(import.meta.dirname, "client-process.js"), { execArgv: [] });

  /** Carries out one order. */
  async run(order: ClientOrder): Promise<ClientReport> {
    this.#process.send(order);
    return this.next();
  }

  /** The next report of an order that gives several. */
  async next(): Promise<ClientReport> {
    const [report] = (await once(this.#process, "message")) as [ClientReport];
    if (report.error !== undefined) throw new Error(`bench client: ${report.error}`);
    return report;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
