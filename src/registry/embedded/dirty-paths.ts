import type { Clock } from "../../host.ts";

/** A save is several writes; this long after the last one, it is taken to be whole. */
const QUIET_MS = 15;
/** Writing without a pause is no reason to wait longer than this. */
const QUIET_MAX_MS = 60;
/**
 * A second look comes this much later: for a write that the watcher did not report because it had just reported one
 * (chokidar holds back for 50 ms), and for a file that an editor removed to write it anew.
 */
const SECOND_LOOK_MS = 55;
/** Second looks this close to each other are one, so that a folder goes in one piece. */
const TOGETHER_MS = 15;

interface Mark {
  /** By `Clock.elapsedMs`. */
  readonly firstMs: number;
  readonly dueMs: number;
  /** 0 until it was looked at. */
  readonly looks: number;
  readonly looksWanted: number;
}

/** Paths that something happened to, and when to look at each: soon, and at least once more. */
export class DirtyPaths {
  readonly #clock: Clock;
  readonly #look: (paths: readonly string[], again: boolean) => Promise<void>;
  readonly #marks = new Map<string, Mark>();
  #timer: Disposable | undefined;
  #looking = false;
  #closed = false;

  /** @param look never overlaps itself, and must not reject. `again` is false on the first look at a path. */
  constructor(clock: Clock, look: (paths: readonly string[], again: boolean) => Promise<void>) {
    this.#clock = clock;
    this.#look = look;
  }

  mark(path: string, looksWanted = 2): void {
    const now = this.#clock.elapsedMs();
    const known = this.#marks.get(path);
    const firstMs = known?.looks === 0 ? known.firstMs : now;
    const dueMs = Math.min(now + QUIET_MS, firstMs + QUIET_MAX_MS);
    this.#marks.set(path, { firstMs, dueMs, looks: 0, looksWanted: Math.max(looksWanted, known?.looksWanted ?? 0) });
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #schedule(): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#looking || this.#closed || this.#marks.size === 0) return;
    const dueMs = Math.min(...[...this.#marks.values()].map((mark) => mark.dueMs));
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.elapsedMs()), () => void this.#run());
  }

  async #run(): Promise<void> {
    const now = this.#clock.elapsedMs();
    const first: string[] = [];
    const second: string[] = [];
    for (const [path, mark] of this.#marks) {
      if (mark.dueMs > (mark.looks === 0 ? now : now + TOGETHER_MS)) continue;
      (mark.looks === 0 ? first : second).push(path);
      if (mark.looks + 1 >= mark.looksWanted) this.#marks.delete(path);
      else this.#marks.set(path, { ...mark, dueMs: now + SECOND_LOOK_MS, looks: mark.looks + 1 });
    }
    this.#looking = true;
    if (first.length > 0) await this.#look(first, false);
    if (second.length > 0) await this.#look(second, true);
    this.#looking = false;
    this.#schedule();
  }
}
