/**
 * Lets few lists run at once in a process, since each costs its server and us memory by the size of its kind. Clusters
 * take turns, and within one the first to come is the first to go: a cluster that relists all day delays another by
 * one list, not by all of its own.
 */
export class RelistGate {
  readonly #max: number;
  /** Who waits, by cluster; the cluster that is next comes first. */
  readonly #queues = new Map<string, Set<() => void>>();
  #running = 0;

  constructor(max = 2) {
    this.#max = max;
  }

  /** Lists that run now; never more than `max`. */
  get running(): number {
    return this.#running;
  }

  /** @returns the turn, to be disposed of when the list has ended; undefined if `signal` ended the wait. */
  enter(cluster: string, signal: AbortSignal): Promise<Disposable | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#running < this.#max) return Promise.resolve(this.#admit());
    return new Promise((resolve) => {
      const leave = (): void => {
        signal.removeEventListener("abort", giveUp);
        queue.delete(begin);
        if (queue.size === 0) this.#queues.delete(cluster);
      };
      const begin = (): void => (leave(), resolve(this.#admit()));
      const giveUp = (): void => (leave(), resolve(undefined));
      const queue = this.#queues.get(cluster) ?? new Set();
      this.#queues.set(cluster, queue.add(begin));
      signal.addEventListener("abort", giveUp);
    });
  }

  #admit(): Disposable {
    this.#running += 1;
    let over = false;
    return {
      [Symbol.dispose]: () => {
        if (over) return;
        over = true;
        this.#running -= 1;
        this.#next();
      },
    };
  }

  #next(): void {
    const [next] = this.#queues;
    if (!next) return;
    const [cluster, queue] = next;
    const [begin] = queue;
    begin!();
    // The others of this cluster wait until every other cluster had a turn.
    if (this.#queues.delete(cluster)) this.#queues.set(cluster, queue);
  }
}
