import { isDeepStrictEqual } from "node:util";
import type { Counter, Logger } from "../host.ts";
import type { RegisteredEntries } from "./registration-plan.ts";
import type { EntryResult, SpireEntry, SpireServer } from "./spire.ts";

/** The server takes each entry of a call by itself: a call of these is answered well within its deadline. */
const ENTRIES_PER_CALL = 100;

export interface EntryWriterOptions {
  readonly server: SpireServer;
  readonly isOwn: (id: string) => boolean;
  /** Asked before each call. */
  readonly lives: () => boolean;
  readonly log: Logger;
  /** By `change` and `result`. */
  readonly counter: Counter;
}

/** Changes entries at a SPIRE server, and knows what it has then: from one full listing to the next. */
export class EntryWriter {
  /** What the server would not take, by id, in its words; it is not asked for the same again. */
  readonly refused = new Map<string, string>();
  /** As they were then: another template may make another entry of the same id. */
  readonly #refusedEntries = new Map<string, SpireEntry>();
  readonly #options: EntryWriterOptions;

  constructor(
    readonly registered: RegisteredEntries,
    options: EntryWriterOptions,
  ) {
    this.#options = options;
  }

  /** @throws what the server's API throws; what was done by then is not known. */
  async create(entries: readonly SpireEntry[]): Promise<void> {
    await this.#change("create", this.#untried(entries), (some) => this.#options.server.createEntries(some));
  }

  /** @throws as `create`. */
  async update(entries: readonly SpireEntry[]): Promise<void> {
    await this.#change("update", this.#untried(entries), (some) => this.#options.server.updateEntries(some));
  }

  /** @throws as `create`. */
  async delete(entries: readonly SpireEntry[]): Promise<void> {
    const { server } = this.#options;
    await this.#change("delete", this.#untried(entries), (some) => server.deleteEntries(some.map(({ id }) => id)));
  }

  #untried(entries: readonly SpireEntry[]): readonly SpireEntry[] {
    return entries.filter((entry) => !isDeepStrictEqual(this.#refusedEntries.get(entry.id), entry));
  }

  async #change(
    change: string,
    entries: readonly SpireEntry[],
    send: (some: readonly SpireEntry[]) => Promise<readonly EntryResult[]>,
  ): Promise<void> {
    const { lives, log } = this.#options;
    for (let at = 0; at < entries.length && lives(); at += ENTRIES_PER_CALL) {
      const some = entries.slice(at, at + ENTRIES_PER_CALL);
      const results = await send(some);
      some.forEach((entry, which) => this.#note(change, entry, results[which] ?? UNANSWERED));
      log.info("registration entries changed", { change, entries: some.length });
    }
  }

  #note(change: string, entry: SpireEntry, { why, message, entry: there }: EntryResult): void {
    const { counter, isOwn } = this.#options;
    counter.add(1, { change, result: why });
    const done = why === "created" || why === "updated";
    // A conflict was made by another replica a moment ago, or by somebody else: either way it is there.
    const now = there ?? (done ? entry : undefined);
    if (done || (why === "conflict" && now !== undefined)) this.registered.add(now!, isOwn(now!.id));
    else if (why === "absent" || why === "deleted") this.registered.delete(entry.id);
    else return this.#refuse(entry, message);
    this.refused.delete(entry.id);
    this.#refusedEntries.delete(entry.id);
  }

  #refuse(entry: SpireEntry, message: string): void {
    this.refused.set(entry.id, message);
    this.#refusedEntries.set(entry.id, entry);
  }
}

const UNANSWERED: EntryResult = { why: "refused", message: "the server said nothing of it", entry: undefined };
