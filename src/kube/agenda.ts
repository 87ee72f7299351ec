/** A key, and when it fell due. */
export interface Due {
  readonly key: string;
  readonly dueMs: number;
}

interface Entry extends Due {
  readonly order: number;
}

/** Keys by when they fall due, each once; of those due together, the first one put in comes first. */
export class Agenda {
  readonly #due = new Map<string, Entry>();
  /** A heap. Entries that are no longer what `#due` says are left in it until they come up. */
  #heap: Entry[] = [];
  #order = 0;

  get size(): number {
    return this.#due.size;
  }

  /** When the first key falls due; undefined if there is none. */
  get firstMs(): number | undefined {
    return this.#first()?.dueMs;
  }

  /** Moves `key`, if it is there, to `dueMs`. */
  put(key: string, dueMs: number): void {
    const entry = { key, dueMs, order: this.#order++ };
    this.#due.set(key, entry);
    if (this.#heap.length > 2 * this.#due.size + 64) this.#heap = [...this.#due.values()].sort(compare);
    else this.#rise(entry);
  }

  delete(key: string): void {
    this.#due.delete(key);
  }

  /** Takes out the first key, if it is due at `nowMs`. */
  take(nowMs: number): Due | undefined {
    const first = this.#first();
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.#drop();
    this.#due.delete(first.key);
    return first;
  }

  clear(): void {
    this.#due.clear();
    this.#heap = [];
  }

  #first(): Entry | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#due.get(top.key) === top) return top;
      this.#drop();
    }
    return undefined;
  }

  #rise(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compare(heap[parent]!, entry) <= 0) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #drop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && compare(heap[child + 1]!, heap[child]!) < 0) child += 1;
      if (compare(last, heap[child]!) <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const compare = (a: Entry, b: Entry): number => a.dueMs - b.dueMs || a.order - b.order;
