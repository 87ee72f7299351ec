import { Backoff } from "../backoff.ts";
import { messageOf } from "../errors.ts";
import type { Counter, EpochMs, Gauge, Host, Logger } from "../host.ts";
import { EntryWriter } from "./entry-writer.ts";
import { type EntryToBe, type ParentOf, RegisteredEntries, registrationPlan, removals } from "./registration-plan.ts";
import type { SpireAgent, SpireEntry, SpireServer } from "./spire.ts";

/** Whoever registers pods with SPIRE: knows what is to be, and what must not go. */
export interface Registration {
  /** By id. A value that is the same as before is the same object. */
  wanted(): ReadonlyMap<string, EntryToBe>;
  /** Whether an entry of this id is one of ours; others are never touched. */
  isOwn(id: string): boolean;
  /** As things are now: whether it is certain that nobody is to have an entry of ours that is not wanted. */
  removable(): (entry: SpireEntry) => boolean;
  /** Why nothing may be written now; undefined if it may. */
  paused(): string | undefined;
  /** The agent of a node, of those that the server has. */
  parents(agents: readonly SpireAgent[]): ParentOf;
  /** What is wrong, as `state` has it, may be another. */
  stateChanged(): void;
}

/** For as long as this replica is the one that writes. */
export interface Writing {
  lives(): boolean;
}

export interface RegistrationState {
  /** `idle` if another replica writes. */
  readonly phase: "idle" | "starting" | "settled" | "failing" | "paused";
  readonly wanted: number;
  /** Entries of ours that the server has. */
  readonly registered: number;
  /** Wanted, but SPIRE has no agent on their nodes. */
  readonly waiting: readonly EntryToBe[];
  /** Wanted, but made by somebody else already. */
  readonly elsewhere: number;
  /** What the server would not take, by id, in its words. */
  readonly refused: ReadonlyMap<string, string>;
  /** Surplus entries that are too many to be believed. */
  readonly held: number;
  /** Why the last round failed, or why nothing is written; undefined if neither. */
  readonly reason: string | undefined;
  /** When the server was last known to have all that is wanted and could be made. */
  readonly settledAt: EpochMs | undefined;
}

const IDLE: RegistrationState = {
  ...{ phase: "idle", wanted: 0, registered: 0, waiting: [], elsewhere: 0, refused: new Map(), held: 0 },
  ...{ reason: undefined, settledAt: undefined },
};

/** A rollout changes many pods in a moment. */
const GATHER_MS = 250;
const LIST_EVERY_MS = 60_000;
const AGENTS_EVERY_MS = 30_000;
/** While pods wait for an agent. */
const AGENTS_SOON_MS = 5_000;
/** A pod that we have not seen yet looks as one that is gone. */
const DOUBT_MS = 30_000;
const NEXT_REMOVALS_MS = 5_000;
const REMOVALS_AT_LEAST = 10;
const RETRY_MS = { first: 1_000, longest: 60_000 };

/**
 * Makes the entries of ours what is wanted, round by round: lists the server whole once a minute, and remembers what it
 * has in between. It writes only while it leads, and removes only what has been wrong for a while and is certain to be.
 */
export class Registrar {
  readonly #host: Host;
  readonly #server: SpireServer;
  readonly #registration: Registration;
  readonly #removalShare: number;
  readonly #log: Logger;
  readonly #gauge: Gauge;
  readonly #counter: Counter;
  #writing: Writing | undefined;
  /** What the server has; undefined if that must be asked. */
  #entries: EntryWriter | undefined;
  #listedMs = 0;
  #agentsMs = -Infinity;
  #parentOf: ParentOf = () => undefined;
  /** When each surplus entry was first seen to be one. */
  #surplusSince: ReadonlyMap<string, number> = new Map();
  readonly #backoff: Backoff;
  #state = IDLE;
  #timer: { readonly atMs: number; readonly handle: Disposable } | undefined;
  #running = false;

  /** @param removalShare 0 to 1: of our entries, how many may go at once. */
  constructor(host: Host, server: SpireServer, registration: Registration, removalShare: number) {
    this.#host = host;
    this.#server = server;
    this.#registration = registration;
    this.#removalShare = removalShare;
    this.#backoff = new Backoff(host.random, RETRY_MS.longest, RETRY_MS.first);
    this.#log = host.log.scope("spire");
    this.#gauge = host.metrics.gauge("spire_registration_entries", "Registration entries for pods", ["state"]);
    this.#counter = host.metrics.counter(
      "spire_registration_changes_total",
      "Registration entries that SPIRE's server was asked to change, and how that went",
      ["change", "result"],
    );
  }

  get state(): RegistrationState {
    return this.#state;
  }

  begin(writing: Writing): void {
    this.#writing = writing;
    this.#entries = undefined;
    this.#agentsMs = -Infinity;
    this.#surplusSince = new Map();
    this.#backoff.reset();
    this.#say({ ...IDLE, phase: "starting" });
    this.#soon(0);
  }

  /** Writes no more; a call that was sent is not awaited. Idempotent. */
  end(): void {
    this.#writing = undefined;
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
    this.#say(IDLE);
  }

  /** What is wanted, or whether it may be written, is another. */
  noteChange(): void {
    // A server that fails is not asked the sooner for it.
    if (!this.#backoff.failing) this.#soon(GATHER_MS);
  }

  #soon(delayMs: number): void {
    const atMs = this.#host.clock.elapsedMs() + delayMs;
    if (this.#writing === undefined || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return;
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = { atMs, handle: this.#host.clock.after(delayMs, () => void this.#round()) };
  }

  async #round(): Promise<void> {
    this.#timer = undefined;
    const writing = this.#writing;
    if (writing === undefined || !writing.lives()) return;
    if (this.#running) return this.#soon(GATHER_MS);
    this.#running = true;
    try {
      const nextMs = await this.#settle(writing);
      if (writing !== this.#writing) return;
      this.#backoff.reset();
      this.#soon(nextMs);
    } catch (thrown) {
      if (writing === this.#writing) this.#fail(thrown);
    } finally {
      this.#running = false;
    }
  }

  /** @returns when to look again, in milliseconds. @throws what the server's API throws. */
  async #settle(writing: Writing): Promise<number> {
    const reason = this.#registration.paused();
    if (reason !== undefined) {
      this.#say({ ...IDLE, phase: "paused", reason });
      return AGENTS_EVERY_MS;
    }
    await this.#askAgents();
    const entries = await this.#listed(writing);
    if (!this.#lives(writing)) return GATHER_MS;
    const wanted = this.#registration.wanted();
    const { create, update, surplus, waiting, elsewhere } = registrationPlan(
      wanted,
      this.#parentOf,
      entries.registered,
    );
    await entries.create(create);
    await entries.update(update);
    const { held, againMs } = await this.#remove(surplus, wanted, entries);
    if (!this.#lives(writing)) return GATHER_MS;
    const found = create.filter((entry) => entries.registered.hasSimilar(entry)).length;
    const { own } = entries.registered;
    this.#say({
      ...{ phase: "settled", wanted: wanted.size, registered: own.size, waiting, held, refused: entries.refused },
      ...{ elsewhere: elsewhere + found, reason: undefined, settledAt: this.#host.clock.now() },
    });
    const listMs = this.#listedMs + LIST_EVERY_MS - this.#host.clock.elapsedMs();
    return Math.max(GATHER_MS, Math.min(listMs, againMs, this.#agentsEveryMs));
  }

  #lives(writing: Writing): boolean {
    return writing === this.#writing && writing.lives();
  }

  get #agentsEveryMs(): number {
    return this.#state.waiting.length > 0 ? AGENTS_SOON_MS : AGENTS_EVERY_MS;
  }

  async #askAgents(): Promise<void> {
    if (this.#host.clock.elapsedMs() - this.#agentsMs < this.#agentsEveryMs) return;
    this.#parentOf = this.#registration.parents(await this.#server.agents());
    this.#agentsMs = this.#host.clock.elapsedMs();
  }

  async #listed(writing: Writing): Promise<EntryWriter> {
    const nowMs = this.#host.clock.elapsedMs();
    if (this.#entries !== undefined && nowMs - this.#listedMs < LIST_EVERY_MS) return this.#entries;
    const isOwn = (id: string): boolean => this.#registration.isOwn(id);
    const found = new RegisteredEntries();
    for await (const page of this.#server.entries({})) for (const entry of page) found.add(entry, isOwn(entry.id));
    this.#listedMs = nowMs;
    const lives = (): boolean => this.#lives(writing);
    const options = { server: this.#server, isOwn, lives, log: this.#log, counter: this.#counter };
    const entries = new EntryWriter(found, options);
    // Of a term that is over nothing is left to the next one.
    if (lives()) this.#entries = entries;
    return entries;
  }

  /** What has been wrong for long enough, and is certain to be. */
  async #remove(
    surplus: readonly SpireEntry[],
    wanted: ReadonlyMap<string, EntryToBe>,
    entries: EntryWriter,
  ): Promise<{ readonly held: number; readonly againMs: number }> {
    const nowMs = this.#host.clock.elapsedMs();
    const since = new Map(surplus.map(({ id }) => [id, this.#surplusSince.get(id) ?? nowMs]));
    this.#surplusSince = since;
    const ripensMs = ({ id }: SpireEntry): number => since.get(id)! + DOUBT_MS - nowMs;
    const removable = this.#registration.removable();
    const certain = surplus.filter((entry) => !entries.refused.has(entry.id) && removable(entry));
    const ripe = certain.filter((entry) => ripensMs(entry) <= 0);
    const limits = { atLeast: REMOVALS_AT_LEAST, share: this.#removalShare };
    const { remove, held } = removals(ripe, wanted, entries.registered.own.size, limits);
    await entries.delete(remove);
    if (remove.length + held < ripe.length) return { held, againMs: NEXT_REMOVALS_MS };
    const unripe = certain.map(ripensMs).filter((ms) => ms > 0);
    return { held, againMs: unripe.reduce((a, b) => Math.min(a, b), Infinity) };
  }

  #fail(thrown: unknown): void {
    const reason = messageOf(thrown);
    // What of the last call was done nobody knows.
    this.#entries = undefined;
    if (reason !== this.#state.reason)
      this.#log.warn("entries for pods cannot be kept up at SPIRE's server; trying again", { reason });
    this.#say({ ...this.#state, phase: "failing", reason });
    this.#soon(this.#backoff.next());
  }

  #say(state: RegistrationState): void {
    const before = this.#state;
    this.#state = state;
    const { wanted, registered, waiting, elsewhere, refused, held } = state;
    const counts = { wanted, registered, waiting: waiting.length, elsewhere, refused: refused.size, held };
    for (const [name, count] of Object.entries(counts)) this.#gauge.set(count, { state: name });
    if (before.phase === "failing" && state.phase === "settled") this.#log.info("entries for pods are kept up again");
    const well =
      waiting.length + refused.size + held === 0 && before.waiting.length + before.refused.size + before.held === 0;
    if (!well || state.phase !== before.phase || state.reason !== before.reason) this.#registration.stateChanged();
  }
}
