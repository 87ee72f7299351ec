import { mkdir, open, readdir, rename, rm, rmdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { EpochMs, Host, Logger } from "../../host.ts";
import type { KubeObject } from "../../kube/object.ts";
import { isClusterId, type ClusterId } from "../../names.ts";
import { DamagedLog, KnownLog } from "./known-log.ts";
import { KnownWriter } from "./known-writer.ts";

const LOG = "last-known.ndjson";
const DAMAGED = "last-known.damaged";
const SCRATCH = "last-known.new-";

/**
 * What a remote cluster last said, in a folder of its own: so that after a restart it is served as what it is, old but
 * likely, until the cluster answers. Only what is read of objects is in it (`prune`). A disk that is full, or cannot be
 * written, costs one warning and nothing else; a file that cannot be believed is put aside, never served in part.
 */
export class LastKnown {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #folder: string;
  readonly #cluster: ClusterId;
  readonly #writers = new Set<KnownWriter>();
  #saved: { readonly file: FileHandle; readonly log: KnownLog } | undefined;
  #placed: KnownWriter | undefined;
  #placing: Promise<unknown> = Promise.resolve();
  #scratches = 0;
  #failing = false;
  #ended = false;

  private constructor(host: Host, folder: string, cluster: ClusterId) {
    this.#host = host;
    this.#log = host.log.scope("remote");
    this.#folder = folder;
    this.#cluster = cluster;
  }

  /** Never rejects: without a state that can be believed there is none. One process at a time has `folder`. */
  static async open(host: Host, folder: string, cluster: ClusterId): Promise<LastKnown> {
    const known = new LastKnown(host, folder, cluster);
    try {
      await known.#load();
    } catch (error) {
      known.#warn(`what is last known of it cannot be read, and nothing is served of it until it answers`, error);
    }
    return known;
  }

  /** When what `replay` gives was true; undefined if there is nothing. */
  get heardAt(): EpochMs | undefined {
    return this.#saved?.log.heardAt;
  }

  /** Every object that was known when this was opened, as far as it is read. Once, and before `close`. */
  async *replay(): AsyncGenerator<KubeObject> {
    const saved = this.#saved;
    if (!saved) return;
    try {
      for await (const { object } of saved.log.objects()) yield object;
    } finally {
      await saved.file.close().catch(() => undefined);
    }
  }

  /** For a feed that begins: what it sets is written beside what is known, and takes its place when it commits. */
  begin(): KnownWriter {
    const writer = new KnownWriter({
      clock: this.#host.clock,
      cluster: this.#cluster,
      scratch: () => join(this.#folder, `${SCRATCH}${this.#scratches++}`),
      place: (placed, scratch) => this.#place(placed, scratch),
      failed: (error) => {
        if (!this.#failing) this.#warn("its state cannot be saved; a restart would know an older one or none", error);
        this.#failing = true;
      },
      gaveUp: () => this.#warn("its state changes faster than the disk takes it; what was saved stays as it is"),
      succeeded: () => {
        if (this.#failing) this.#log.info("the state of a remote cluster is saved again", { cluster: this.#cluster });
        this.#failing = false;
      },
      ended: (writer) => this.#writers.delete(writer),
    });
    if (this.#ended) void writer.retire();
    else this.#writers.add(writer);
    return writer;
  }

  /** The cluster has left for good: nothing of it stays on disk. */
  async forget(): Promise<void> {
    await this.#end((writer) => writer.retire());
    try {
      await removeFrom(this.#folder);
    } catch (error) {
      this.#warn("what was saved of it cannot be removed; remove its folder", error);
    }
  }

  /** Writes what waits; what is committed stays for the next start. */
  async close(): Promise<void> {
    await this.#end((writer) => writer.close());
  }

  async #end(each: (writer: KnownWriter) => Promise<void>): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#writers].map(each));
    this.#writers.clear();
    await this.#placing;
    await this.#saved?.file.close().catch(() => undefined);
    this.#saved = undefined;
  }

  async #load(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder))
      if (name.startsWith(SCRATCH)) await rm(join(this.#folder, name), { force: true });
    const path = join(this.#folder, LOG);
    const file = await open(path, "r").catch((error: unknown) => {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    });
    if (!file) return;
    try {
      this.#saved = { file, log: await KnownLog.read(file, this.#cluster) };
    } catch (error) {
      await file.close();
      if (!(error instanceof DamagedLog)) throw error;
      await rename(path, join(this.#folder, DAMAGED));
      this.#warn(`what is last known of it is put aside as ${DAMAGED}, and nothing is served of it`, error);
    }
  }

  /** One at a time, and never one over that of a later feed. */
  async #place(writer: KnownWriter, scratch: string): Promise<boolean> {
    const placing = this.#placing.then(async () => {
      if (!this.#writers.has(writer)) return false;
      await rename(scratch, join(this.#folder, LOG));
      const before = this.#placed;
      this.#placed = writer;
      if (before !== writer) void before?.retire();
      return true;
    });
    this.#placing = placing.catch(() => undefined);
    return placing;
  }

  #warn(what: string, error?: unknown): void {
    this.#log.warn(`remote cluster ${this.#cluster}: ${what}${error === undefined ? "" : `: ${messageOf(error)}`}`, {
      folder: this.#folder,
    });
  }
}

/**
 * Removes what is last known of every cluster that is not `named`: of those that left while nobody was here to see.
 * @param folder with a folder for each cluster. Never rejects.
 */
export async function forgetOthers(host: Host, folder: string, named: ReadonlySet<ClusterId>): Promise<void> {
  try {
    const clusters = (await readdir(folder)).filter(isClusterId).filter((cluster) => !named.has(cluster));
    for (const cluster of clusters) await removeFrom(join(folder, cluster));
  } catch (error) {
    if (!hasCode(error, "ENOENT"))
      host.log
        .scope("remote")
        .warn(`what is last known of clusters that left cannot be removed: ${messageOf(error)}`, { folder });
  }
}

/** The folder goes, too, unless others have files there. @throws what the file system throws. */
async function removeFrom(folder: string): Promise<void> {
  try {
    const names = await readdir(folder);
    const ours = names.filter((name) => name === LOG || name === DAMAGED || name.startsWith(SCRATCH));
    for (const name of ours) await rm(join(folder, name), { force: true });
    if (ours.length === names.length) await rmdir(folder);
  } catch (error) {
    if (!hasCode(error, "ENOENT") && !hasCode(error, "ENOTDIR")) throw error;
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;
