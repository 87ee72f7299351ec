import type { Random } from "../host.ts";
import { Agenda } from "./agenda.ts";
import type { WantedObject, WantedObjects } from "./wanted-object.ts";
import { WritePace, type PaceLimits } from "./write-pace.ts";

/** How a write went, as far as it matters for the next one. */
export type WriteOutcome =
  /** It is there now. */
  | "written"
  /** What it was for is gone. */
  | "absent"
  /** Somebody else was faster. */
  | "conflict"
  /** It is somebody else's. */
  | "foreign"
  /** The server could not, or was not reached. */
  | "overloaded"
  /** We may not. */
  | "denied"
  /** The server will not have it. */
  | "refused";

export interface Write {
  readonly key: string;
  readonly wanted: WantedObject;
  readonly term: number;
  /** As the clock's `elapsedMs`: since when it waited for its turn. */
  readonly dueMs: number;
}

export interface WriteLimits extends PaceLimits {
  readonly inFlightMax: number;
  /** What we cannot see is written again so long after, give or take a fifth. */
  readonly reassertMs: number;
}

export const WRITE_LIMITS: WriteLimits = { perSecond: 50, burst: 50, inFlightMax: 8, reassertMs: 600_000 };

/** Of a term's first writes, so that what changes meanwhile need not wait for all of them. */
const BULK_SHARE = 0.8;
const CONFLICT_MS = { first: 500, most: 60_000 };
const OVERLOADED_MS = { first: 1_000, most: 30_000 };
/** Nothing shows when it goes. */
const FOREIGN_MS = { first: 5_000, most: 60_000 };
const DENIED_MS = { first: 60_000, most: 600_000 };
/** What failed so is tried again, ever later. */
const LATER_MS: Readonly<Partial<Record<WriteOutcome, { readonly first: number; readonly most: number }>>> = {
  conflict: CONFLICT_MS,
  overloaded: OVERLOADED_MS,
  foreign: FOREIGN_MS,
  denied: DENIED_MS,
};
/** A write that shows no effect is made again after so long, and then twice that: somebody may have undone it unseen. */
const RECHECK_MS = 30_000;
/** Two writes of one key within this begin to be spaced: each such pair doubles the space. */
const CALM_MS = 30_000;
const SPACING_MS = { first: 1_000, most: 60_000 };

interface Track {
  /** In a row. */
  failures: number;
  writtenMs: number;
  spacingMs: number;
  notBeforeMs: number;
  /** When it is written once more, should nothing show that it was. */
  recheckMs: number;
}

const freshTrack = (): Track => ({
  failures: 0,
  writtenMs: -Infinity,
  spacingMs: 0,
  notBeforeMs: 0,
  recheckMs: RECHECK_MS,
});

/**
 * Which wanted object to write next: a machine without I/O. It holds keys, not writes, so it is never larger than what
 * is wanted, and an object that changes ten times while it waits is written once.
 */
export class WriteQueue {
  readonly #wanted: WantedObjects;
  readonly #random: Random;
  readonly #limits: WriteLimits;
  readonly #pace: WritePace;
  readonly #agenda = new Agenda();
  readonly #inFlight = new Set<string>();
  /** Of the agenda: written already, and to be written once more. */
  readonly #again = new Set<string>();
  /** What changed while it was being written. */
  readonly #changed = new Set<string>();
  readonly #tracks = new Map<string, Track>();
  #term = 0;

  constructor(wanted: WantedObjects, random: Random, limits: WriteLimits = WRITE_LIMITS) {
    this.#wanted = wanted;
    this.#random = random;
    this.#limits = limits;
    this.#pace = new WritePace(limits);
  }

  /** How many are not yet written as they are wanted; not those that are to be written once more. */
  get pending(): number {
    return this.#agenda.size - this.#again.size + this.#inFlight.size;
  }

  /** A term begins: all that is not as wanted, or cannot be seen, is written. What differs for sure comes first. */
  begin(nowMs: number): void {
    this.end();
    const spacingMs = 1000 / (this.#limits.perSecond * BULK_SHARE);
    let dueMs = nowMs;
    for (const found of ["different", "unseen"] as const)
      for (const [key, wanted] of this.#wanted.entries()) {
        if (wanted.found !== found) continue;
        this.#agenda.put(key, dueMs);
        dueMs += spacingMs;
      }
  }

  /** The term is over: nothing waits, and how its last writes went is of no interest. */
  end(): void {
    this.#term += 1;
    this.#agenda.clear();
    this.#again.clear();
    this.#inFlight.clear();
    this.#changed.clear();
    this.#tracks.clear();
  }

  changed(key: string, nowMs: number): void {
    const wanted = this.#wanted.get(key);
    const track = this.#tracks.get(key);
    this.#again.delete(key);
    if (wanted === undefined) this.#tracks.delete(key);
    else if (track !== undefined) track.recheckMs = RECHECK_MS;
    if (this.#inFlight.has(key)) this.#changed.add(key);
    else if (wanted === undefined || wanted.found === "same") this.#agenda.delete(key);
    else this.#agenda.put(key, Math.max(nowMs, track?.notBeforeMs ?? 0));
  }

  /** The next write, if one may begin now. */
  take(nowMs: number): Write | undefined {
    while (this.#inFlight.size < this.#limits.inFlightMax && this.#pace.waitMs(nowMs) === 0) {
      const due = this.#agenda.take(nowMs);
      if (due === undefined) return undefined;
      const { key, dueMs } = due;
      this.#again.delete(key);
      const wanted = this.#wanted.get(key);
      if (wanted === undefined || wanted.found === "same") continue;
      this.#inFlight.add(key);
      this.#pace.spend(nowMs);
      return { key, wanted, term: this.#term, dueMs };
    }
    return undefined;
  }

  /** Milliseconds until `take` may have one; undefined if that waits for something to happen. */
  waitMs(nowMs: number): number | undefined {
    const { firstMs } = this.#agenda;
    if (firstMs === undefined || this.#inFlight.size >= this.#limits.inFlightMax) return undefined;
    return Math.max(0, firstMs - nowMs, this.#pace.waitMs(nowMs));
  }

  /** @returns true if somebody else seems to undo what we write to this key, as of this write. */
  settled({ key, wanted, term }: Write, outcome: WriteOutcome, nowMs: number, retryAfterMs?: number): boolean {
    if (outcome === "overloaded") this.#pace.overloaded(nowMs, retryAfterMs);
    else this.#pace.succeeded();
    if (term !== this.#term) return false;
    this.#inFlight.delete(key);
    const changed = this.#changed.delete(key);
    if (this.#wanted.get(key) === undefined) return false;
    const track = this.#tracks.get(key) ?? freshTrack();
    this.#tracks.set(key, track);
    const spacedMs = track.spacingMs;
    const againMs = this.#againMs(track, outcome, wanted, nowMs);
    if (changed) this.#agenda.put(key, track.notBeforeMs);
    else if (againMs !== undefined) {
      this.#agenda.put(key, againMs);
      if (outcome === "written") this.#again.add(key);
    }
    return spacedMs < SPACING_MS.most && track.spacingMs === SPACING_MS.most;
  }

  /** When to write it again if nothing happens; undefined if never. Sets when it may be at the earliest. */
  #againMs(track: Track, outcome: WriteOutcome, wanted: WantedObject, nowMs: number): number | undefined {
    const later = LATER_MS[outcome];
    if (later !== undefined) {
      const { first, most } = later;
      const delayMs = Math.min(most, first * 2 ** Math.min(track.failures, 20)) * (0.5 + 0.5 * this.#random.next());
      track.failures += 1;
      return (track.notBeforeMs = nowMs + delayMs);
    }
    track.failures = 0;
    track.notBeforeMs = nowMs;
    const seldomMs = nowMs + this.#limits.reassertMs * (0.8 + 0.4 * this.#random.next());
    if (outcome === "refused") return seldomMs;
    if (outcome === "absent") return undefined;
    track.spacingMs = spacingAfter(track, nowMs);
    track.writtenMs = nowMs;
    track.notBeforeMs = nowMs + track.spacingMs;
    if (wanted.found === "unseen") return seldomMs;
    const recheckMs = nowMs + track.recheckMs;
    track.recheckMs = Math.min(this.#limits.reassertMs, 2 * track.recheckMs);
    return Math.max(track.notBeforeMs, recheckMs);
  }
}

function spacingAfter({ writtenMs, spacingMs }: Track, nowMs: number): number {
  if (nowMs - writtenMs > Math.max(CALM_MS, 4 * spacingMs)) return 0;
  return Math.min(SPACING_MS.most, Math.max(SPACING_MS.first, 2 * spacingMs));
}
