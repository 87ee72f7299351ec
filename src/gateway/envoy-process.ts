import { type ChildProcess, spawn } from "node:child_process";
import { messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { EnvoyCommand } from "./settings.ts";

/** Envoy closes its sockets and leaves within a second. */
const STOP_MS = 5_000;

/** Our Envoy, whose logs are ours. It is never started again by us: the kubelet does that, and counts it. ⇄ */
export class EnvoyProcess {
  readonly #child: ChildProcess;
  readonly #killWithUs = (): void => void this.#child.kill("SIGKILL");
  /** Resolves when it is gone, with how it ended, as `exit code 1`. Never rejects. */
  readonly ended: Promise<string>;

  constructor(command: EnvoyCommand, bootstrapFile: string) {
    this.#child = spawn(command.path, argumentsOf(command, bootstrapFile), {
      stdio: ["ignore", "inherit", "inherit"],
      // In a process group of its own: a Ctrl-C is ours, and must not end it before it is drained.
      detached: true,
    });
    // A second signal ends us in the middle of draining. (Of a container whose first process is killed nothing is left.)
    process.once("exit", this.#killWithUs);
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        process.off("exit", this.#killWithUs);
        resolve(how);
      };
      this.#child.once("error", (error) => end(`${command.path} cannot be run: ${messageOf(error)}`));
      this.#child.once("exit", (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks it to end, and then does not ask. */
  async stop(clock: Clock): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = clock.after(STOP_MS, this.#killWithUs);
    await this.ended;
    timer[Symbol.dispose]();
  }
}

function argumentsOf({ concurrency, logLevel }: EnvoyCommand, bootstrapFile: string): readonly string[] {
  return [
    ...["-c", bootstrapFile, "--log-level", logLevel],
    // We have no second Envoy to hand over to, and pods share the machine's abstract sockets if they share its network.
    "--disable-hot-restart",
    // Whoever is connected is told at its next request, not by chance within ten minutes.
    ...["--drain-strategy", "immediate"],
    // A line of the access log within a second: Envoy's own ten are long for who looks for the call that just failed.
    ...["--file-flush-interval-msec", "1000"],
    ...(concurrency === undefined ? [] : ["--concurrency", `${concurrency}`]),
  ];
}
