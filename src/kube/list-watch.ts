import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import { Absence, LOOK_AGAIN_MS } from "./absence.ts";
import type { ApiError, WatchEvent } from "./api.ts";
import { Backoff } from "../backoff.ts";
import type { Found } from "./discovery.ts";
import { ListPaths, type Selection } from "./list-paths.ts";
import type { Mirror } from "./mirror.ts";
import { PagedList } from "./paged-list.ts";
import type { ListReason, ReflectorReports } from "./reflector-reports.ts";
import { WatchEvents } from "./watch-events.ts";

/** What the driver is to do next; it reports what came of it. */
export type Step =
  | { readonly do: "wait"; readonly delayMs: number }
  /** Find the version in which the kind is served: what Discovery.find is asked for. */
  | { readonly do: "discover"; readonly ageMs: number; readonly confirm: boolean }
  | { readonly do: "list"; readonly path: string }
  | { readonly do: "watch"; readonly path: string };

export type Phase = "listing" | "watching" | "retrying" | "absent" | "forbidden";

/** What is known of the server, for all kinds. */
export interface StreamTraits {
  readonly streamsLists: boolean;
  streamsNoLists(): void;
  lost(cause?: string): void;
}

/** For a list that is streamed, and for an answer to a watch at all. */
const ANSWER_MS = 10_000;
/**
 * Bookmarks come once a minute, and one that is late by half of that is not coming: the connection may still answer the
 * pings by which the transport finds a dead one within a minute. Of a kind that has not changed since the server began,
 * though, it may send none; such a watch is taken up anew about as often as the server would end it.
 */
const SILENT_MS = 90_000;
const SILENT_WITHOUT_BOOKMARKS_MS = 300_000;
/** A watch that the server ends sooner was not worth opening. */
const SHORT_MS = 5_000;
/** From here on, a watch has worked: failures before it are forgotten. */
const LASTED_MS = 30_000;
const EXPIRED_JITTER_MS = 1_000;
const ABSENT_MS = 30_000;
const REFUSALS_MAX = 3;

/**
 * How one kind is listed and watched; no I/O. Lists are consistent reads, so they are never older than what is held,
 * and events of one watch come in order. That is what keeps an older object from following a newer one: resource versions
 * of different objects, or of what was read by different ways, are not compared.
 */
export class ListWatch {
  readonly #host: Host;
  readonly #traits: StreamTraits;
  readonly #mirror: Mirror;
  readonly #reports: ReflectorReports;
  readonly #onSynced: () => void;
  readonly #backoff: Backoff;
  readonly #paths: ListPaths;
  readonly #events: WatchEvents;
  readonly #absence = new Absence();
  #step: Step;
  #phase: Phase = "listing";
  #problem: string | undefined;
  #reason: ListReason = "start";
  #synced = false;
  #paged: PagedList | undefined;
  /** Streaming did not work out; lists are paged until one is complete. */
  #pagesOnly = false;
  #openedAtMs: number | undefined;
  /** The server sends bookmarks of this kind. */
  #bookmarks = false;
  #heardAtMs: number;
  /** Watches refused in a row. */
  #refusals = 0;
  constructor(
    host: Host,
    traits: StreamTraits,
    selection: Selection,
    mirror: Mirror,
    reports: ReflectorReports,
    onSynced: () => void,
  ) {
    this.#host = host;
    this.#traits = traits;
    this.#mirror = mirror;
    this.#reports = reports;
    this.#onSynced = onSynced;
    this.#backoff = new Backoff(host.random);
    this.#paths = new ListPaths(selection, host.random);
    this.#events = new WatchEvents(mirror, reports);
    this.#heardAtMs = host.clock.elapsedMs();
    this.#step = { do: "wait", delayMs: 0 };
  }

  get step(): Step {
    return this.#step;
  }
  get phase(): Phase {
    return this.#phase;
  }
  get synced(): boolean {
    return this.#synced;
  }
  /** What is wrong; undefined if nothing is. */
  get problem(): string | undefined {
    return this.#problem;
  }
  /** True while a list runs, paged or streamed. */
  get relisting(): boolean {
    return this.#paged !== undefined || this.#events.streamed !== undefined;
  }
  /** How long a watch may say nothing. */
  get patienceMs(): number {
    if (this.#events.streamed !== undefined || this.#openedAtMs === undefined) return ANSWER_MS;
    return this.#bookmarks ? SILENT_MS : SILENT_WITHOUT_BOOKMARKS_MS;
  }
  /** When the server last said anything about this kind, as `clock.elapsedMs`. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** A wait is over. */
  waited(): void {
    if (this.#absence.believed) this.#step = { do: "discover", ageMs: ABSENT_MS / 2, confirm: false };
    else if (this.#absence.suspected) this.#step = { do: "discover", ageMs: 1_000, confirm: true };
    else this.#resume();
  }

  discovered(found: Found): void {
    this.#heard();
    const { version } = found;
    if (version === undefined) return this.#missing(found.certain);
    const wasAbsent = this.#absence.believed;
    this.#absence.refute();
    if (!wasAbsent && version === this.#paths.version)
      return this.#retry("the kind is said to be served, but is not found");
    this.#paths.version = version;
    this.#mirror.use(version);
    this.#reports.installed(version);
    this.#relistLater("installed");
    this.#list();
  }

  /** The page that was asked for. */
  page(body: unknown): void {
    this.#heard();
    const list = this.#paged!;
    const [known, listed] = [this.#mirror.size, list.keys.size];
    try {
      const version = list.page(body);
      this.#reports.events("add", this.#mirror.size - known);
      this.#reports.events("update", list.keys.size - listed - (this.#mirror.size - known));
      if (version === undefined) this.#step = this.#nextPage();
      else this.#listed(version, list.keys);
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      this.#retry(`the list ${error.message}`);
    }
  }

  opened(): void {
    this.#heard();
    this.#openedAtMs = this.#host.clock.elapsedMs();
    if (this.#events.streamed === undefined) this.#watching();
  }

  /** @returns whether the watch goes on. */
  event(event: WatchEvent): boolean {
    this.#heard();
    if (event.type === "BOOKMARK" && this.#events.streamed === undefined) this.#bookmarks = true;
    const outcome = this.#events.take(event);
    if (outcome.is === "listed") {
      this.#listed(outcome.version, outcome.keys);
      this.#watching();
    } else if (outcome.is === "error") this.ended(outcome.error);
    else if (outcome.is === "broken") {
      this.#openedAtMs = undefined;
      if (!this.relisting) this.#relistLater("refused");
      this.#retry(outcome.how);
    }
    return outcome.is === "taken" || outcome.is === "listed";
  }

  /** A watch has ended, in good order if without an error. */
  ended(error: ApiError | undefined): void {
    const lastedMs = this.#openedAtMs === undefined ? 0 : this.#host.clock.elapsedMs() - this.#openedAtMs;
    this.#openedAtMs = undefined;
    if (this.#events.streamed !== undefined) return this.#streamEnded(error);
    if (lastedMs >= LASTED_MS) this.#backoff.reset();
    if (lastedMs >= SHORT_MS) this.#refusals = 0;
    if (error?.status === 410) return this.#expired(lastedMs);
    // As after a restore of etcd: the version that we know is one that the server has not reached.
    if (error !== undefined && isRefusal(error) && ++this.#refusals >= REFUSALS_MAX) this.#relistLater("refused");
    if (error !== undefined) this.failed(error);
    else if (lastedMs >= SHORT_MS) this.#resume();
    else this.#retry("the server ended the watch as soon as it was open");
  }

  /** A watch has said nothing for `patienceMs`, and was given up. */
  silent(): void {
    const opened = this.#openedAtMs !== undefined;
    const patienceMs = this.patienceMs;
    this.#openedAtMs = undefined;
    // Whether it is the connection or only this watch, a small request finds out before many wait for it.
    this.#traits.lost();
    if (this.#events.streamed !== undefined) {
      if (opened) this.#traits.streamsNoLists();
      this.#listPages();
    } else if (opened) {
      if (this.#bookmarks) this.#reports.silent(patienceMs);
      this.#bookmarks = false;
      this.#backoff.reset();
      this.#resume();
    } else this.#retry(`the server has not answered a watch in ${patienceMs} ms`);
  }

  /** A request has failed; of a list nothing is left but the objects that it brought. */
  failed(error: ApiError): void {
    if (error.status === 0) this.#traits.lost(error.message);
    else this.#heard();
    if (error.status === 403) return this.#forbidden(error);
    if (error.status !== 404 || this.#step.do === "discover")
      return this.#retry(error.message, error.retryAfterMs, error.status === 0);
    this.#endList();
    this.#step = { do: "discover", ageMs: 1_000, confirm: true };
  }

  #resume(): void {
    if (this.#events.from === undefined) this.#list();
    else this.#step = { do: "watch", path: this.#paths.watch(this.#events.from) };
  }

  #relistLater(reason: ListReason): void {
    this.#events.from = undefined;
    this.#reason = reason;
  }

  #list(): void {
    this.#phase = "listing";
    this.#reports.listing(this.#reason);
    if (this.#pagesOnly || !this.#traits.streamsLists) return this.#listPages();
    this.#events.streamed = new Set();
    this.#step = { do: "watch", path: this.#paths.streamedList() };
  }

  #listPages(): void {
    this.#events.streamed = undefined;
    this.#pagesOnly = true;
    this.#paged = new PagedList(this.#mirror);
    this.#step = this.#nextPage();
  }

  #nextPage(): Step {
    return { do: "list", path: this.#paths.page(this.#paged!.continue) };
  }

  #listed(version: string, keys: ReadonlySet<string>): void {
    const removed = this.#mirror.retain(keys);
    this.#reports.events("delete", removed);
    this.#reports.listed(keys.size, removed, this.#reason);
    this.#events.from = version;
    this.#reason = "retry";
    this.#pagesOnly = false;
    this.#endList();
    this.#sync();
    this.#resume();
  }

  #endList(): void {
    this.#paged = undefined;
    this.#events.streamed = undefined;
  }

  #sync(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#onSynced();
  }

  #watching(): void {
    this.#phase = "watching";
    this.#problem = undefined;
  }

  /** Before the end of the list, that is. Where a role lets us list but not watch, pages tell which it is. */
  #streamEnded(error: ApiError | undefined): void {
    if (error?.status === 400 || error?.status === 422) this.#traits.streamsNoLists();
    if (error === undefined || [400, 403, 422].includes(error.status)) this.#listPages();
    else this.failed(error);
  }

  #expired(lastedMs: number): void {
    this.#relistLater("expired");
    if (lastedMs < LASTED_MS) return this.#retry("the version to watch from is gone");
    this.#phase = "listing";
    this.#step = { do: "wait", delayMs: EXPIRED_JITTER_MS * this.#host.random.next() };
  }

  /** @param said by the server's traits, for all of its kinds. */
  #retry(cause: string, askedMs?: number, said = false): void {
    this.#endList();
    const delayMs = this.#backoff.next(askedMs);
    this.#phase = "retrying";
    this.#problem = cause;
    this.#reports.failed(cause, delayMs, said);
    this.#step = { do: "wait", delayMs };
  }

  #forbidden({ message }: ApiError): void {
    this.#endList();
    // Soon at first: a server that starts refuses everybody until it has read its roles.
    const delayMs = this.#backoff.next();
    this.#phase = "forbidden";
    this.#problem = message;
    this.#reports.forbidden(message, delayMs);
    this.#step = { do: "wait", delayMs };
  }

  #missing(certain: boolean): void {
    const wasAbsent = this.#absence.believed;
    this.#absence.suspect(this.#host.clock.elapsedMs(), certain, this.#mirror.size);
    if (!this.#absence.believed) {
      this.#step = { do: "wait", delayMs: LOOK_AGAIN_MS };
      return;
    }
    if (!wasAbsent) {
      const removed = this.#mirror.retain(new Set());
      this.#reports.events("delete", removed);
      this.#reports.absent(removed);
    }
    this.#phase = "absent";
    this.#problem = undefined;
    this.#events.from = undefined;
    this.#step = { do: "wait", delayMs: this.#around(ABSENT_MS) };
    this.#sync();
  }

  #around(delayMs: number): number {
    return delayMs * (0.8 + 0.4 * this.#host.random.next());
  }

  #heard(): void {
    this.#heardAtMs = this.#host.clock.elapsedMs();
  }
}

/** Answers to a watch that will be the same for the same version. */
const isRefusal = ({ status }: ApiError): boolean => [400, 422, 504].includes(status);
