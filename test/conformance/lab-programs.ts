import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestHost } from "./network.ts";

/** The programs of a lab, on its machines, and all that they print. With LAB_LOGS=folder that is kept there, a file for each. */
export class LabPrograms {
  readonly #output = new Map<ChildProcess, string[]>();

  /** One that runs until it is stopped, or `close`. */
  start(
    host: TestHost,
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const child = host.spawn(command, args, environment);
    const output: string[] = [];
    this.#output.set(child, output);
    for (const stream of [child.stdout!, child.stderr!])
      stream.on("data", (bytes: Buffer) => output.push(bytes.toString()));
    return child;
  }

  /** All that a program has printed. */
  printed(child: ChildProcess): string {
    return (this.#output.get(child) ?? []).join("");
  }

  /** @param signal SIGTERM to leave as in an upgrade, SIGKILL as in a crash. */
  async stop(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  /** Asks all to end: agents of gateways take their Envoys with them. */
  async close(): Promise<void> {
    for (const [child] of this.#output) await this.stop(child, "SIGTERM");
    const folder = process.env["LAB_LOGS"];
    if (folder === undefined) return;
    for (const [child, lines] of this.#output) writeFileSync(join(folder, `${child.pid}.log`), lines.join(""));
  }
}
