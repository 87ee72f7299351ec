import { mkdir, open, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../host.ts";
import type { KubeObject, ObjectReference } from "../../kube/object.ts";
import type { ClusterId } from "../../names.ts";
import { isFields } from "./fields.ts";
import { deleteLine, headLine, KnownLog, sealed, setLine } from "./known-log.ts";
import { prune, pruneKey } from "./prune.ts";

/** What comes within this time is written at once. */
const BATCH_MS = 1_000;
/** More than this is written without waiting. */
const BATCH_BYTES = 256 * 1024;
/** More than this is never kept in memory for a disk that does not take it. */
const PENDING_BYTES_MAX = 32 * 1024 * 1024;
/** How long after an error the disk is tried again. */
const RETRY_MS = 30_000;
/** That nothing changed is written this often. */
const CONFIRM_MS = 60_000;
/** Smaller logs are not worth compacting. */
const COMPACT_BYTES_MIN = 1024 * 1024;

export interface KnownWriterHost {
  readonly clock: Clock;
  readonly cluster: ClusterId;
  /** A new name beside the place of the log. */
  scratch(): string;
  /** Moves a finished log to its place. @returns false if another one has come to stand there. */
  place(writer: KnownWriter, scratch: string): Promise<boolean>;
  /** The disk failed, and is tried again later. */
  failed(error: unknown): void;
  /** What is known changes faster than the disk takes it, or it takes nothing: what was written stays as it is. */
  gaveUp(): void;
  succeeded(): void;
  /** The writer writes nothing any more. */
  ended(writer: KnownWriter): void;
}

/**
 * Writes what one feed of a cluster says: at first beside the log of the feed before, and once all is known and
 * committed in its place, with every change after. It never throws and never waits: what the disk does not take is not
 * kept.
 */
export class KnownWriter {
  readonly #host: KnownWriterHost;
  #path: string;
  #file: FileHandle | undefined;
  #bytes = 0;
  /** The size of the log when each object was in it once. */
  #compactBytes = 0;
  /** Lines to write, the last of each key; the head has an empty one. */
  #pending = new Map<string, string>();
  #pendingBytes = 0;
  #confirmedMs: number;
  #confirming = false;
  #timer: Disposable | undefined;
  /** After an error, until the disk is tried again. */
  #waiting = false;
  #running: Promise<void> | undefined;
  #state: "fresh" | "committing" | "placed" | "done" = "fresh";

  constructor(host: KnownWriterHost) {
    this.#host = host;
    this.#path = host.scratch();
    this.#confirmedMs = host.clock.elapsedMs();
    this.#add("", headLine(host.cluster));
  }

  /** Kinds that are not read of a remote cluster are passed over. */
  set(object: KubeObject): void {
    // What has no name cannot be deleted either.
    const kept = this.#state === "done" || !isFields(object.metadata) ? undefined : prune(object);
    if (kept) this.#add(pruneKey(kept), setLine(pruneKey(kept), kept));
  }

  delete(object: ObjectReference): void {
    const key = pruneKey(object);
    if (this.#state !== "done") this.#add(key, deleteLine(key));
  }

  /** The cluster has just confirmed all that it said: so that its age is that of the last word, not the last change. */
  confirm(): void {
    if (this.#state !== "placed" || this.#host.clock.elapsedMs() - this.#confirmedMs < CONFIRM_MS) return;
    this.#confirming = true;
    this.#schedule(BATCH_MS);
  }

  /** All that there is was set: this becomes the log. Resolves once it is, or cannot be. */
  async commit(): Promise<void> {
    if (this.#state !== "fresh") return;
    this.#state = "committing";
    await this.flush();
  }

  /** Writes what waits; resolves once that is on disk, or cannot be. */
  async flush(): Promise<void> {
    this.#stopTimer();
    await this.#running;
    await this.#run();
  }

  /** Writes what waits and closes the log; what was never committed is removed. Idempotent. */
  async close(): Promise<void> {
    if (this.#state === "placed" || this.#state === "committing") await this.flush();
    await this.retire();
  }

  /** Nothing more is written. */
  async retire(): Promise<void> {
    const placed = this.#state === "placed";
    if (this.#state !== "done") this.#host.ended(this);
    this.#state = "done";
    this.#stopTimer();
    this.#pending.clear();
    await this.#running;
    const file = this.#file;
    this.#file = undefined;
    if (!file) return;
    await file.close().catch(() => undefined);
    if (!placed) await rm(this.#path, { force: true }).catch(() => undefined);
  }

  #add(key: string, line: string): void {
    this.#pendingBytes += line.length - (this.#pending.get(key)?.length ?? 0);
    this.#pending.set(key, line);
    if (this.#pendingBytes > PENDING_BYTES_MAX) {
      this.#host.gaveUp();
      void this.retire();
    } else if (this.#pendingBytes > BATCH_BYTES && !this.#waiting) void this.#run();
    else this.#schedule(BATCH_MS);
  }

  #schedule(delayMs: number): void {
    this.#timer ??= this.#host.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#waiting = false;
      void this.#run();
    });
  }

  #stopTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  /** Never rejects; runs do not overlap. */
  #run(): Promise<void> {
    this.#running ??= this.#write()
      .catch((error: unknown) => {
        if (this.#state === "done") return;
        this.#host.failed(error);
        this.#stopTimer();
        this.#waiting = true;
        this.#schedule(RETRY_MS);
      })
      .finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #write(): Promise<void> {
    while (this.#pending.size > 0 || this.#state === "committing" || this.#confirming) {
      if (this.#state === "done") return;
      this.#file ??= await this.#create(this.#path);
      const lines = this.#take();
      const last = this.#pending.size === 0;
      await this.#append(lines, last && this.#state !== "fresh");
      if (last && this.#state === "committing") await this.#place();
      else if (this.#state === "placed" && this.#bytes > 2 * this.#compactBytes + COMPACT_BYTES_MIN)
        await this.#compact();
    }
  }

  /** As many lines as make a batch. */
  #take(): Map<string, string> {
    const taken = new Map<string, string>();
    let bytes = 0;
    for (const [key, line] of this.#pending) {
      if (bytes > BATCH_BYTES) break;
      bytes += line.length;
      taken.set(key, line);
      this.#pending.delete(key);
    }
    this.#pendingBytes -= bytes;
    return taken;
  }

  async #append(lines: ReadonlyMap<string, string>, complete: boolean): Promise<void> {
    const confirmedMs = this.#host.clock.elapsedMs();
    this.#confirming = false;
    try {
      const batch = sealed([...lines.values()], this.#host.clock.now(), complete);
      await writeAll(this.#file!, batch, this.#bytes);
      this.#bytes += batch.length;
      this.#confirmedMs = confirmedMs;
      this.#host.succeeded();
    } catch (error) {
      this.#giveBack(lines);
      throw error;
    }
  }

  /** What could not be written waits again, before what came since; newer lines stand. */
  #giveBack(lines: ReadonlyMap<string, string>): void {
    if (this.#state === "done") return;
    this.#pending = new Map([...lines, ...this.#pending]);
    this.#pendingBytes = [...this.#pending.values()].reduce((bytes, { length }) => bytes + length, 0);
  }

  async #place(): Promise<void> {
    await this.#file!.datasync();
    this.#compactBytes = this.#bytes;
    if (await this.#host.place(this, this.#path)) {
      if (this.#state === "committing") this.#state = "placed";
    } else await this.#abandon();
  }

  async #abandon(): Promise<void> {
    this.#state = "done";
    this.#pending.clear();
    await rm(this.#path, { force: true });
  }

  /** Writes each object once, beside the log, and goes on there. */
  async #compact(): Promise<void> {
    const before = this.#file!;
    const path = this.#host.scratch();
    // Whatever happens, not again before it has doubled.
    this.#compactBytes = this.#bytes;
    const file = await this.#create(path);
    try {
      const bytes = await this.#copy(before, file);
      await file.datasync();
      if (!(await this.#host.place(this, path))) throw new Error("another log has taken its place");
      [this.#file, this.#path, this.#bytes, this.#compactBytes] = [file, path, bytes, bytes];
      await before.close();
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      if (this.#state !== "done") throw error;
    }
  }

  /** @returns how many bytes it is now. */
  async #copy(from: FileHandle, to: FileHandle): Promise<number> {
    const log = await KnownLog.read(from, this.#host.cluster);
    let lines = [headLine(this.#host.cluster)];
    let [bytes, chars] = [0, 0];
    const append = async (complete: boolean): Promise<void> => {
      const batch = sealed(lines, log.heardAt, complete);
      await writeAll(to, batch, bytes);
      bytes += batch.length;
      [lines, chars] = [[], 0];
    };
    for await (const { key, object } of log.objects()) {
      const line = setLine(key, object);
      lines.push(line);
      chars += line.length;
      if (chars > BATCH_BYTES) await append(false);
    }
    await append(true);
    return bytes;
  }

  async #create(path: string): Promise<FileHandle> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(path, "w+", 0o600);
  }
}

/** At a place of its own: what an error left there is written over. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
