import { execFileSync, type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { endWithUs, eventually } from "./causeway-process.ts";
import type { Missing } from "./machine.ts";

const program = join(import.meta.dirname, "..", "..", "..", "test", "conformance", "zds.py");
const ANSWER_MS = 30_000;

/** A pod as a CNI agent hands it over. */
export interface EnrolledPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Path of its network namespace. */
  readonly netns: string;
}

type Message = { readonly add: EnrolledPod } | { readonly del: string } | { readonly snapshot: true };

/** A line of zds.py. */
interface Said {
  readonly listening?: true;
  /** What was answered, and with which error; an empty one is none. */
  readonly ack?: Message;
  readonly error?: string;
}

/** A Python that passes file descriptors. */
export function python(): true | Missing {
  try {
    execFileSync("python3", ["-c", "import socket; socket.send_fds"], { stdio: "ignore" });
    return true;
  } catch {
    return { missing: "python3 3.9 or later is not in PATH; it plays the CNI agent" };
  }
}

/** The CNI agent of a node, for one connection of one ztunnel (contract ztunnel.md 1.8). */
export class ZdsAgent {
  readonly #process: ChildProcess;
  readonly #said: Said[] = [];

  private constructor(socket: string) {
    this.#process = spawn("python3", [program, socket], { stdio: ["pipe", "pipe", "inherit"] });
    endWithUs(this.#process);
    const lines = createInterface({ input: this.#process.stdout! });
    lines.on("line", (line) => this.#said.push(JSON.parse(line) as Said));
  }

  /** Listens on `socket`, a path. */
  static async start(socket: string): Promise<ZdsAgent> {
    const agent = new ZdsAgent(socket);
    await eventually("the CNI agent listens", ANSWER_MS, () => agent.#said.some(({ listening }) => listening));
    return agent;
  }

  /** Hands over these pods, and says that there are no others. */
  async snapshot(...pods: readonly EnrolledPod[]): Promise<void> {
    for (const pod of pods) await this.#tell({ add: pod });
    await this.#tell({ snapshot: true });
  }

  async remove({ uid }: EnrolledPod): Promise<void> {
    await this.#tell({ del: uid });
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await gone;
  }

  /** @throws if ztunnel does not acknowledge it, or with an error. */
  async #tell(message: Message): Promise<void> {
    const before = this.#acks.length;
    this.#process.stdin!.write(`${JSON.stringify(message)}\n`);
    const what = `ztunnel acknowledges ${Object.keys(message)[0]!}`;
    await eventually(what, ANSWER_MS, () => this.#acks.length > before);
    const { error } = this.#acks.at(-1)!;
    if (error !== "") throw new Error(`ztunnel refused ${JSON.stringify(message)}: ${error}`);
  }

  get #acks() {
    return this.#said.filter(({ ack }) => ack !== undefined);
  }
}
