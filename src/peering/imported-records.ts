import { messageOf } from "../errors.ts";
import type { Clock, EpochMs } from "../host.ts";
import type { ImportDenial } from "../registry/model/peer.ts";
import { ContentDigest } from "../xds/content-digest.ts";
import type { ReceivedResource } from "../xds/delta-client.ts";
import type { Tally } from "./allowance.ts";
import type { Writes } from "./paced-writes.ts";
import type { Denial, DenialReason, Verdict } from "./rules.ts";

/** For how long what a peer has withdrawn takes no new traffic before it goes (contract peering.md 2.13). */
const DRAIN_MS = 5_000;
/** More than this at once are not drained, but go. */
const DRAINS_MAX = 10_000;
/** Names of records that were not taken are remembered up to this many; all of them are counted. */
const DENIALS_MAX = 1_000;

/** No key of ours is longer, and no version: what is, is not kept, not even as what was refused. */
const NAME_CHARACTERS_MAX = 1_024;
const VERSION_CHARACTERS_MAX = 256;

/** What is particular to one type of records; names are keys of its source. */
export interface RecordKind<K extends string, V> {
  readonly source: Writes<K, V>;
  /** @throws MeshError `invalid`, naming the field. */
  decode(body: Uint8Array): V;
  check(name: string, value: V): Verdict;
  /** What is written of a value that was taken. */
  present(value: V): V;
  /** What is written of one that was withdrawn, until its connections have ended; undefined if it goes at once. */
  readonly drained?: (value: V, untilMs: EpochMs) => V;
  /** Where names that were not taken are shown, with the reason. */
  readonly denied?: Writes<K, ImportDenial>;
}

/** One record as it is kept over a restart. */
export interface SavedRecord {
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly value: unknown;
}

interface Held<V> {
  readonly version: string;
  readonly value: V;
  /** Encoded. */
  readonly bytes: number;
}

/** One peer's records of one type: held from the start, shown once the peer has joined. */
export class ImportedRecords<K extends string, V> {
  readonly #clock: Clock;
  readonly #kind: RecordKind<K, V>;
  readonly #tally: Tally;
  readonly #onDenied: (reason: DenialReason) => void;
  readonly #held = new Map<K, Held<V>>();
  readonly #denials = new Map<string, Denial>();
  /** Those that were withdrawn, and still show. */
  readonly #draining = new Map<K, Disposable>();
  readonly #digest = new ContentDigest();
  #shown = false;

  constructor(clock: Clock, kind: RecordKind<K, V>, tally: Tally, onDenied: (reason: DenialReason) => void) {
    this.#clock = clock;
    this.#kind = kind;
    this.#tally = tally;
    this.#onDenied = onDenied;
  }

  get size(): number {
    return this.#held.size;
  }
  /** Over every name and version that is held: equal to the exporter's if all that it shares with us is. */
  get digest(): string {
    return this.#digest.toString();
  }
  /** By name; what they would have replaced is still held. */
  get denials(): ReadonlyMap<string, Denial> {
    return this.#denials;
  }
  /** Versions by name, to resume with: a record that was not taken is sent again then. */
  get versions(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#held, ([name, { version }]) => [name, version]));
  }
  get(key: K): V | undefined {
    return this.#held.get(key)?.value;
  }

  knows(name: string): boolean {
    return this.#held.has(name as K) || this.#denials.has(name);
  }

  take({ name, version, body }: ReceivedResource): void {
    const long = whyTooLong(name, version);
    if (long !== undefined)
      return this.#deny(name.slice(0, NAME_CHARACTERS_MAX), { reason: "unreadable", message: long });
    let value: V;
    try {
      value = this.#kind.decode(body);
    } catch (thrown) {
      return this.#deny(name, { reason: "unreadable", message: messageOf(thrown) });
    }
    this.#put(name as K, { version, value, bytes: body.byteLength });
  }

  remove(name: string): void {
    this.#forgive(name);
    const value = this.get(name as K);
    this.#drop(name as K);
    if (value !== undefined && this.#shown) this.#drain(name as K, value);
  }

  /** Shows what is held, and every change from now on. */
  show(): void {
    if (this.#shown) return;
    this.#shown = true;
    this.refresh();
  }

  /** After something changed that `present` depends on. */
  refresh(): void {
    if (!this.#shown) return;
    for (const [key, { value }] of this.#held) this.#kind.source.set(key, this.#kind.present(value));
  }

  /** After the rules changed: what may not be there any more goes. */
  recheck(): void {
    for (const [key, { value }] of [...this.#held]) {
      const denied = this.#kind.check(key, value);
      if (denied === undefined) continue;
      this.#drop(key);
      this.#deny(key, denied);
    }
  }

  /** Nothing of it is left, at once. */
  clear(): void {
    for (const key of [...this.#held.keys()]) this.#drop(key);
    for (const key of [...this.#draining.keys()]) this.#drained(key);
    for (const name of [...this.#denials.keys()]) this.#forgive(name);
  }

  /** Waits for nothing any more. */
  close(): void {
    for (const key of [...this.#draining.keys()]) this.#endDrain(key);
  }

  save(): readonly SavedRecord[] {
    return Array.from(this.#held, ([name, held]) => ({ name, ...held }));
  }

  /** @param records that this has saved: their shape is what it was; whether they may still be taken is asked again. */
  load(records: readonly SavedRecord[]): void {
    for (const { name, version, bytes, value } of records) this.#put(name as K, { version, bytes, value: value as V });
  }

  #put(key: K, held: Held<V>): void {
    const denied = this.#kind.check(key, held.value) ?? this.#full(key, held.bytes);
    if (denied !== undefined) return this.#deny(key, denied);
    this.#forgive(key);
    const before = this.#held.get(key);
    if (before !== undefined) this.#digest.remove(key, before.version);
    this.#held.set(key, held);
    this.#digest.add(key, held.version);
    this.#endDrain(key);
    if (this.#shown) this.#kind.source.set(key, this.#kind.present(held.value));
  }

  #full(key: K, bytes: number): Verdict {
    const message = this.#tally.add(bytes, this.#held.get(key)?.bytes);
    return message === undefined ? undefined : { reason: "quota", message };
  }

  #drop(key: K): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#tally.remove(held.bytes);
    this.#held.delete(key);
    this.#digest.remove(key, held.version);
    if (this.#shown) this.#kind.source.delete(key);
  }

  #drain(key: K, value: V): void {
    const { drained, source, present } = this.#kind;
    if (drained === undefined || this.#draining.size >= DRAINS_MAX) return;
    source.set(key, present(drained(value, this.#clock.now() + DRAIN_MS)));
    this.#draining.set(
      key,
      this.#clock.after(DRAIN_MS, () => this.#drained(key)),
    );
  }

  #drained(key: K): void {
    this.#endDrain(key);
    this.#kind.source.delete(key);
  }

  #endDrain(key: K): void {
    this.#draining.get(key)?.[Symbol.dispose]();
    this.#draining.delete(key);
  }

  #deny(name: string, denial: Denial): void {
    this.#onDenied(denial.reason);
    if (!this.#denials.has(name) && this.#denials.size >= DENIALS_MAX) return;
    this.#denials.set(name, denial);
    this.#kind.denied?.set(name as K, denial);
  }

  #forgive(name: string): void {
    if (this.#denials.delete(name)) this.#kind.denied?.delete(name as K);
  }
}

function whyTooLong(name: string, version: string): string | undefined {
  if (name.length > NAME_CHARACTERS_MAX)
    return `its name has ${name.length} characters; ${NAME_CHARACTERS_MAX} is the most`;
  if (version.length <= VERSION_CHARACTERS_MAX) return undefined;
  return `its version has ${version.length} characters; ${VERSION_CHARACTERS_MAX} is the most`;
}
