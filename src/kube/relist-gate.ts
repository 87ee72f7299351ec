/** A list may run until this is disposed of. */
export interface Turn extends Disposable {
  /** It brings nothing now: other clusters need not wait for it. Whoever goes on with it must take a turn anew. */
  idle(): void;
}

/**
 * Lets few lists run at once in a process, since each costs its server and us memory by the size of its kind. Clusters
 * take turns, and within one the first to come is the first to go: a cluster that relists all day delays another by
 * one list, not by all of its own. Lists that their server leaves without an answer count for their own cluster only.
 */
export class RelistGate {
  readonly #max: number;
  /** Who waits, by cluster; the cluster that is next comes first. */
  readonly #queues = new Map<string, Set<() => void>>();
  /** Turns of each cluster, idle ones among them; never more than `max`. */
  readonly #turns = new Map<string, number>();
  #running = 0;

  constructor(max = 2) {
    this.#max = max;
  }

  /** Lists that run now and are not idle; never more than `max`. */
  get running(): number {
    return this.#running;
  }

  /** @returns the turn, to be disposed of when the list has ended; undefined if `signal` ended the wait. */
  enter(cluster: string, signal: AbortSignal): Promise<Turn | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#admits(cluster)) return Promise.resolve(this.#admit(cluster));
    return new Promise((resolve) => {
      const leave = (): void => {
        signal.removeEventListener("abort", giveUp);
        queue.delete(begin);
        if (queue.size === 0) this.#queues.delete(cluster);
      };
      const begin = (): void => (leave(), resolve(this.#admit(cluster)));
      const giveUp = (): void => (leave(), resolve(undefined));
      const queue = this.#queues.get(cluster) ?? new Set();
      this.#queues.set(cluster, queue.add(begin));
      signal.addEventListener("abort", giveUp);
    });
  }

  #admits(cluster: string): boolean {
    return this.#running < this.#max && (this.#turns.get(cluster) ?? 0) < this.#max;
  }

  #admit(cluster: string): Turn {
    this.#running += 1;
    this.#count(cluster, 1);
    let [busy, over] = [true, false];
    const idle = (): void => {
      if (!busy) return;
      busy = false;
      this.#running -= 1;
      this.#next();
    };
    const end = (): void => {
      if (over) return;
      over = true;
      this.#count(cluster, -1);
      if (busy) idle();
      else this.#next();
    };
    return { idle, [Symbol.dispose]: end };
  }

  #count(cluster: string, change: number): void {
    const turns = (this.#turns.get(cluster) ?? 0) + change;
    if (turns === 0) this.#turns.delete(cluster);
    else this.#turns.set(cluster, turns);
  }

  #next(): void {
    const next = [...this.#queues].find(([cluster]) => this.#admits(cluster));
    if (!next) return;
    const [cluster, queue] = next;
    const [begin] = queue;
    begin!();
    // The others of this cluster wait until every other cluster had a turn.
    if (this.#queues.delete(cluster)) this.#queues.set(cluster, queue);
  }
}
