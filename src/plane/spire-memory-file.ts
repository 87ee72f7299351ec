import { readFile } from "node:fs/promises";
import { messageOf } from "../errors.ts";
import type { Logger } from "../host.ts";
import type { HeldBundles } from "../spire/bundles.ts";
import { readBundles, writeBundles } from "../spire/remembered-bundles.ts";
import { writeWhole } from "../whole-file.ts";

/** What SPIRE said of whom to trust, in a file of the state folder. One that cannot be read is as none, and one line in the log. */
export class SpireMemoryFile {
  readonly #log: Logger;
  readonly #path: string;
  #written = "";
  #writing: Promise<void> = Promise.resolve();

  constructor(log: Logger, path: string) {
    this.#log = log;
    this.#path = path;
  }

  /** Undefined if nothing is remembered of this trust domain. */
  async read(trustDomain: string): Promise<HeldBundles | undefined> {
    try {
      this.#written = await readFile(this.#path, "utf8");
      return readBundles(this.#written, trustDomain);
    } catch (thrown) {
      if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
      const why = messageOf(thrown);
      this.#log.warn("what SPIRE said before our last stop is lost, so it is asked anew", { file: this.#path, why });
      return undefined;
    }
  }

  write(held: HeldBundles): void {
    const text = writeBundles(held);
    if (text === this.#written) return;
    this.#written = text;
    this.#writing = this.#writing
      .then(() => writeWhole(this.#path, text))
      .catch((thrown: unknown) =>
        this.#log.warn("a restart forgets what SPIRE says", { file: this.#path, why: messageOf(thrown) }),
      );
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#writing;
  }
}
