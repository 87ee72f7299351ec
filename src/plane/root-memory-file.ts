import { readFile } from "node:fs/promises";
import { type RememberedRoot, type RootMemory, readRoots, shapeOf, writeRoots } from "../ca/remembered-roots.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../host.ts";
import { writeWhole } from "../whole-file.ts";

/** What is known of roots, in a file of the state folder. One that cannot be read is as none, and one line in the log. */
export class RootMemoryFile implements RootMemory {
  readonly #log: Logger;
  readonly #path: string;
  #remembered: readonly RememberedRoot[] | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(log: Logger, path: string) {
    this.#log = log;
    this.#path = path;
  }

  get remembered(): readonly RememberedRoot[] | undefined {
    return this.#remembered;
  }

  async open(): Promise<void> {
    try {
      this.#remembered = readRoots(await readFile(this.#path, "utf8"));
    } catch (thrown) {
      if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return;
      const why = messageOf(thrown);
      this.#log.warn("what was known of roots is lost, so waits between them begin anew", { file: this.#path, why });
    }
  }

  remember(roots: readonly RememberedRoot[]): void {
    if (this.#remembered !== undefined && shapeOf(this.#remembered) === shapeOf(roots)) return;
    this.#remembered = roots;
    this.#writing = this.#writing
      .then(() => writeWhole(this.#path, writeRoots(roots)))
      .catch((thrown: unknown) =>
        this.#log.warn("a restart forgets which roots are new", { file: this.#path, why: messageOf(thrown) }),
      );
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#writing;
  }
}
