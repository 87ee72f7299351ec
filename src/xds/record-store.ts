import { grown } from "./change-order.ts";

/** Large enough that 100,000 resources are some sixty writes, small enough that rewriting one takes under a millisecond. */
const PAGE_BYTES = 512 * 1024;
/** A full page with more of its bytes dead than this is rewritten, so the dead never hold much memory. */
const DEAD_SHARE_MAX = 1 / 4;

/** A run of whole records, shared by all who send it. Its bytes never change. */
export interface Slice {
  readonly bytes: Uint8Array;
  readonly resources: number;
}

interface Page {
  readonly bytes: Uint8Array;
  /** Where the next record goes. What lies before is never written again: a socket may still be reading it. */
  used: number;
  live: number;
  resources: number;
  /** Slots in the order they were written; a slot that was written again, here or elsewhere, is stale. */
  readonly slots: number[];
}

/** The bytes of records, appended to pages. A slot remembers where its record lies, in 24 bytes. */
export class RecordStore {
  readonly #pages = new Set<Page>();
  #open: Page | undefined;
  readonly #pageOf: (Page | undefined)[] = [];
  #offset = new Uint32Array(0);
  #length = new Uint32Array(0);

  /** Bytes of all live records. */
  bytes = 0;

  lengthOf(slot: number): number {
    return this.#length[slot] ?? 0;
  }

  /** The record of a slot that has one. */
  read(slot: number): Uint8Array {
    const offset = this.#offset[slot]!;
    return this.#pageOf[slot]!.bytes.subarray(offset, offset + this.#length[slot]!);
  }

  /** Copies `record`, replacing the one that `slot` had. */
  write(slot: number, record: Uint8Array): void {
    this.drop(slot);
    this.#place(slot, record);
    this.bytes += record.length;
  }

  drop(slot: number): void {
    const page = this.#pageOf[slot];
    if (page === undefined) return;
    this.bytes -= this.#length[slot]!;
    page.live -= this.#length[slot]!;
    page.resources -= 1;
    this.#pageOf[slot] = undefined;
    this.#length[slot] = 0;
    if (page !== this.#open && page.live < page.used * (1 - DEAD_SHARE_MAX)) this.#rewrite(page);
  }

  /** All live records and nothing else, a page a slice. */
  slices(): readonly Slice[] {
    for (const page of [...this.#pages]) if (page.live < page.used) this.#rewrite(page);
    return [...this.#pages].map((page) => ({
      bytes: page.bytes.subarray(0, page.used),
      resources: page.resources,
    }));
  }

  #place(slot: number, record: Uint8Array): void {
    const page = this.#pageWithRoom(record.length);
    this.#makeRoom(slot);
    page.bytes.set(record, page.used);
    this.#pageOf[slot] = page;
    this.#offset[slot] = page.used;
    this.#length[slot] = record.length;
    page.slots.push(slot);
    page.used += record.length;
    page.live += record.length;
    page.resources += 1;
  }

  #pageWithRoom(bytes: number): Page {
    if (this.#open !== undefined && this.#open.used + bytes <= this.#open.bytes.length) return this.#open;
    // Never from the Buffer pool: a page outlives what it would share the pool's slab with.
    const page: Page = {
      bytes: Buffer.allocUnsafeSlow(Math.max(PAGE_BYTES, bytes)),
      used: 0,
      live: 0,
      resources: 0,
      slots: [],
    };
    const full = this.#open;
    this.#open = page;
    this.#pages.add(page);
    if (full !== undefined && full.live < full.used * (1 - DEAD_SHARE_MAX)) this.#rewrite(full);
    return this.#pageWithRoom(bytes);
  }

  /** Moves what is live on `page` elsewhere; whoever still sends the page keeps it. */
  #rewrite(page: Page): void {
    this.#pages.delete(page);
    if (this.#open === page) this.#open = undefined;
    for (const slot of page.slots) if (this.#pageOf[slot] === page) this.#place(slot, this.read(slot));
  }

  #makeRoom(slot: number): void {
    if (slot < this.#offset.length) return;
    const length = Math.ceil((slot + 16) * 1.25);
    this.#offset = grown(this.#offset, new Uint32Array(length));
    this.#length = grown(this.#length, new Uint32Array(length));
  }
}
