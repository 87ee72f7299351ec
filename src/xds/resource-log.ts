import { ChangeOrder } from "./change-order.ts";
import { ContentDigest } from "./content-digest.ts";
import { RecordStore, type Slice } from "./record-store.ts";
import type { Position, Resource, ResourceChange, ResourceRelations } from "./resource.ts";

/** How many deleted names are remembered whatever the readers have read; about 150 bytes each. */
const TOMBSTONES_MAX = 4096;

const UNRELATED: ResourceRelations = {
  aliases: () => [],
  resolve: () => [],
  companions: () => [],
  followedThrough: () => [],
  onNode: () => [],
};

/** All of a type at one moment; the same object for every client until the log changes. */
export interface ResourceSnapshot {
  readonly head: Position;
  /** How many resources the slices hold. */
  readonly count: number;
  readonly bytes: number;
  readonly slices: readonly Slice[];
}

/** Someone who reads the log from where it stopped: deletions after its position are kept for it. */
export interface LogReader {
  readonly position: Position;
}

/** Every resource of one type, and the order in which they last changed. Shared by all sessions; holds no one's state. */
export class ResourceLog {
  readonly #slotOf = new Map<string, number>();
  readonly #names: string[] = [];
  /** Undefined for a deleted name. */
  readonly #versions: (string | undefined)[] = [];
  readonly #records = new RecordStore();
  readonly #order = new ChangeOrder();
  /** Slots of deleted names, oldest deletion first. */
  readonly #tombstones = new Set<number>();
  readonly #freeSlots: number[] = [];
  readonly #readers = new Set<LogReader>();
  readonly #digest = new ContentDigest();
  #purgeAbove = TOMBSTONES_MAX;
  #head: Position = 0;
  #snapshot: ResourceSnapshot | undefined;

  /** `relations` must answer for the state that `append` makes, before `append` is called. */
  constructor(readonly relations: ResourceRelations = UNRELATED) {}

  get head(): Position {
    return this.#head;
  }
  /** How many resources there are. */
  get size(): number {
    return this.#slotOf.size - this.#tombstones.size;
  }
  /** Bytes of all records. */
  get bytes(): number {
    return this.#records.bytes;
  }
  /** Of a record, rounded; 0 if there is none. */
  get meanBytes(): number {
    return this.size === 0 ? 0 : Math.round(this.bytes / this.size);
  }
  /** How many deleted names are still remembered. */
  get tombstones(): number {
    return this.#tombstones.size;
  }
  /** 16 hexadecimal digits over every name and version: equal on replicas that hold the same. */
  get digest(): string {
    return this.#digest.toString();
  }

  get(name: string): Resource | undefined {
    const slot = this.#slotOf.get(name);
    const version = slot === undefined ? undefined : this.#versions[slot];
    return version === undefined ? undefined : { name, version, record: this.#records.read(slot!) };
  }

  /** Without the cost of `get`: for a client that names all it holds. */
  versionOf(name: string): string | undefined {
    const slot = this.#slotOf.get(name);
    return slot === undefined ? undefined : this.#versions[slot];
  }

  /** The bytes of a name's record; 0 if there is none. */
  bytesOf(name: string): number {
    const slot = this.#slotOf.get(name);
    return slot === undefined ? 0 : this.#records.lengthOf(slot);
  }

  *names(): Iterable<string> {
    for (const [name, slot] of this.#slotOf) if (this.#versions[slot] !== undefined) yield name;
  }

  /** Names whose resources are not the same in another log. */
  *differing(other: ResourceLog): Iterable<string> {
    for (const name of this.names()) if (this.versionOf(name) !== other.versionOf(name)) yield name;
    for (const name of other.names()) if (this.versionOf(name) === undefined) yield name;
  }

  /** Names changed after `position`, each once, newest first; deleted names included. Do not append while iterating. */
  *since(position: Position): Iterable<string> {
    for (const slot of this.#order.since(position)) yield this.#names[slot]!;
  }

  /** The whole type. Built once for each state of the log, of pages that mostly outlive it. */
  snapshot(): ResourceSnapshot {
    this.#snapshot ??= {
      head: this.#head,
      count: this.size,
      bytes: this.#records.bytes,
      slices: this.#records.slices(),
    };
    return this.#snapshot;
  }

  /** Keeps deletions after the reader's position, until it moves on or is detached. */
  attach(reader: LogReader): void {
    this.#readers.add(reader);
  }

  detach(reader: LogReader): void {
    this.#readers.delete(reader);
  }

  /**
   * Takes one settled batch. A name that is new counts its companions as changed too: a client that lost a service
   * lost what it knew of the endpoints (contract ztunnel.md 2.5, pitfalls 4 and 5). Records are copied.
   */
  append(changes: readonly ResourceChange[]): void {
    if (changes.length === 0) return;
    this.#head += 1;
    this.#snapshot = undefined;
    const arrived: string[] = [];
    for (const change of changes) {
      const known = this.versionOf(change.name) !== undefined;
      if (change.after === undefined) this.#delete(change.name);
      else this.#set(change.after);
      if (change.after !== undefined && (!known || change.bringCompanions === true)) arrived.push(change.name);
    }
    for (const name of arrived)
      for (const companion of this.relations.companions(name)) {
        const slot = this.#slotOf.get(companion);
        if (slot !== undefined && this.#versions[slot] !== undefined) this.#order.touch(slot, this.#head);
      }
    if (this.#tombstones.size > this.#purgeAbove) this.#purge();
  }

  #set({ name, version, record }: Resource): void {
    const slot = this.#slotFor(name);
    const before = this.#versions[slot];
    if (before === version) return;
    if (before !== undefined) this.#digest.remove(name, before);
    this.#digest.add(name, version);
    this.#tombstones.delete(slot);
    this.#versions[slot] = version;
    this.#records.write(slot, record);
    this.#order.touch(slot, this.#head);
  }

  #delete(name: string): void {
    const slot = this.#slotOf.get(name);
    const before = slot === undefined ? undefined : this.#versions[slot];
    if (slot === undefined || before === undefined) return;
    this.#digest.remove(name, before);
    this.#versions[slot] = undefined;
    this.#records.drop(slot);
    this.#tombstones.add(slot);
    this.#order.touch(slot, this.#head);
  }

  #slotFor(name: string): number {
    const known = this.#slotOf.get(name);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.#names.length;
    this.#slotOf.set(name, slot);
    this.#names[slot] = name;
    this.#versions[slot] = undefined;
    return slot;
  }

  /** Forgets the oldest deletions that every reader has seen, down to the number kept anyway. */
  #purge(): void {
    let seenByAll = this.#head;
    for (const { position } of this.#readers) seenByAll = Math.min(seenByAll, position);
    for (const slot of this.#tombstones) {
      if (this.#tombstones.size <= TOMBSTONES_MAX || this.#order.changedAt(slot) > seenByAll) break;
      this.#tombstones.delete(slot);
      this.#order.forget(slot);
      this.#slotOf.delete(this.#names[slot]!);
      this.#names[slot] = "";
      this.#freeSlots.push(slot);
    }
    // A reader that lags (for ten minutes at most: its stream then ends) must not make every append look again.
    this.#purgeAbove = Math.max(TOMBSTONES_MAX, 2 * this.#tombstones.size);
  }
}
