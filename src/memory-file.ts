import { readFile } from "node:fs/promises";
import { messageOf } from "./errors.ts";
import type { Logger } from "./host.ts";
import { writeWhole } from "./whole-file.ts";

/** For the log. */
export interface MemoryLosses {
  /** What it means that the file cannot be read. */
  readonly unread: string;
  /** What it means that the file cannot be written. */
  readonly unwritten: string;
}

/** What one process leaves to the next, in a file of the state folder. One that cannot be read is as none, and one line in the log. */
export class MemoryFile {
  readonly #log: Logger;
  readonly #path: string;
  readonly #losses: MemoryLosses;
  #written: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(log: Logger, path: string, losses: MemoryLosses) {
    this.#log = log;
    this.#path = path;
    this.#losses = losses;
  }

  /** Undefined if nothing is remembered. Never rejects. @param parse throws for what nobody of us has written. */
  async read<T>(parse: (text: string) => T): Promise<T | undefined> {
    try {
      this.#written = await readFile(this.#path, "utf8");
      return parse(this.#written);
    } catch (thrown) {
      const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
      if (!absent) this.#warn(this.#losses.unread, thrown);
      return undefined;
    }
  }

  /** In the order of calls; what is there already is not written again. */
  write(text: string): void {
    if (text === this.#written) return;
    this.#written = text;
    this.#writing = this.#writing
      .then(() => writeWhole(this.#path, text))
      .catch((thrown: unknown) => {
        this.#written = undefined;
        this.#warn(this.#losses.unwritten, thrown);
      });
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#writing;
  }

  #warn(message: string, thrown: unknown): void {
    this.#log.warn(message, { file: this.#path, why: messageOf(thrown) });
  }
}
