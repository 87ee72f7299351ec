import { type RememberedRoot, type RootMemory, readRoots, shapeOf, writeRoots } from "../ca/remembered-roots.ts";
import type { Logger } from "../host.ts";
import { MemoryFile } from "../memory-file.ts";

/** What is known of roots, for the next process. */
export class RootMemoryFile implements RootMemory {
  readonly #file: MemoryFile;
  #remembered: readonly RememberedRoot[] | undefined;

  constructor(log: Logger, path: string) {
    this.#file = new MemoryFile(log, path, {
      unread: "what was known of roots is lost, so waits between them begin anew",
      unwritten: "a restart forgets which roots are new",
    });
  }

  get remembered(): readonly RememberedRoot[] | undefined {
    return this.#remembered;
  }

  async open(): Promise<void> {
    this.#remembered = await this.#file.read(readRoots);
  }

  remember(roots: readonly RememberedRoot[]): void {
    if (this.#remembered !== undefined && shapeOf(this.#remembered) === shapeOf(roots)) return;
    this.#remembered = roots;
    this.#file.write(writeRoots(roots));
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#file.close();
  }
}
