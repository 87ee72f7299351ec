import { readFile } from "node:fs/promises";
import { messageOf } from "../../errors.ts";
import type { Host } from "../../host.ts";
import { writeWhole } from "../../whole-file.ts";

/** An editor's save shows soon, and a small file costs nothing to read. */
const LOOK_MS = 250;

/** A file that we write and others may edit while we run. */
export class FollowedFile implements AsyncDisposable {
  readonly #host: Host;
  readonly #path: string;
  readonly #read: (text: string) => void;
  #seen: string | undefined;
  #unwritten: (() => string) | undefined;
  #complaint: string | undefined;
  #timer: Disposable | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  /** @param read takes a text that changed; it throws if it cannot, and what it said before holds. */
  constructor(host: Host, path: string, read: (text: string) => void) {
    this.#host = host;
    this.#path = path;
    this.#read = read;
  }

  /** Looks now, and from then on four times a second. */
  async follow(): Promise<void> {
    await this.look();
    if (this.#closed) return;
    this.#timer = this.#host.clock.after(LOOK_MS, () => void this.follow());
  }

  /** Resolves when it has been read, or was not there. Never rejects. */
  look(): Promise<void> {
    return this.#next(async () => {
      const text = await readFile(this.#path, "utf8").catch(() => undefined);
      // What is still to be written will be in the file, and not what it says before.
      if (text !== undefined && text !== this.#seen && this.#unwritten === undefined) this.#take(text);
    });
  }

  /** @param text what to write when it is its turn: it is asked once for all that was said before. */
  write(text: () => string): void {
    this.#unwritten = text;
    void this.#next(async () => {
      const latest = this.#unwritten?.();
      this.#unwritten = undefined;
      if (latest === undefined) return;
      this.#seen = latest;
      await writeWhole(this.#path, latest).catch((thrown: unknown) => this.#complain("written", messageOf(thrown)));
    });
  }

  /** Resolves when it says what was written so far. */
  settled(): Promise<void> {
    return this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#work;
  }

  /** A text that is written piece by piece cannot be read at first. */
  #take(text: string): void {
    const before = this.#seen;
    this.#seen = text;
    try {
      this.#read(text);
      this.#complaint = undefined;
    } catch (thrown) {
      this.#seen = before;
      this.#complain("read", messageOf(thrown));
    }
  }

  /** Once, although it is tried again and again; as an error, which the demo shows, too: who edits it sits before that. */
  #complain(what: "read" | "written", why: string): void {
    if (why !== this.#complaint)
      this.#host.log
        .scope("spire")
        .error(`the stand-in's file cannot be ${what}; what it said before holds`, { path: this.#path, why });
    this.#complaint = why;
  }

  #next(task: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(task);
    return this.#work;
  }
}
