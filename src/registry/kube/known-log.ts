import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { EpochMs } from "../../host.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { ClusterId } from "../../names.ts";
import { isFields, type Fields } from "./fields.ts";

/**
 * What a cluster last said, as lines of JSON: a head, then `{key, object}` for what is set and `{key}` for what is gone,
 * the last of a key counts. They come in batches, each of which ends with a line that seals it. The last batch is
 * dropped if it is torn; any other that is not what its seal says makes the whole log worthless.
 */
const FORMAT = 1;

/** A log that cannot be believed, and why. */
export class DamagedLog extends Error {
  override readonly name = "DamagedLog";
}

/** Ends a batch. */
interface Seal {
  /** When what is said was true. */
  readonly at: EpochMs;
  readonly lines: number;
  readonly sum: string;
  /** All that was known is in the log up to here. */
  readonly complete: boolean;
}

export const headLine = (cluster: ClusterId): string =>
  JSON.stringify({ causeway: "last-known", format: FORMAT, cluster });
export const setLine = (key: string, object: KubeObject): string => JSON.stringify({ key, object });
export const deleteLine = (key: string): string => JSON.stringify({ key });

export function sealed(lines: readonly string[], at: EpochMs, complete: boolean): Buffer {
  const body = lines.map((line) => `${line}\n`).join("");
  const seal: Seal = { at, lines: lines.length, sum: sumOf(body, at, complete), complete };
  return Buffer.from(`${body}${JSON.stringify({ seal })}\n`);
}

/** A log that was read once from end to end, and found whole. */
export class KnownLog {
  readonly #file: FileHandle;
  /** Which line says the last of each key. */
  readonly #last: ReadonlyMap<string, number>;

  private constructor(
    file: FileHandle,
    last: ReadonlyMap<string, number>,
    /** When the last of it was true. */
    readonly heardAt: EpochMs,
  ) {
    this.#file = file;
    this.#last = last;
  }

  /** How many objects it holds. */
  get size(): number {
    return this.#last.size;
  }

  /** Reads all of `file`, which stays open. @throws DamagedLog, and what the file system throws. */
  static async read(file: FileHandle, cluster: ClusterId): Promise<KnownLog> {
    const last = new Map<string, number>();
    let [heardAt, complete, lines] = [0, false, 0];
    for await (const batch of batchesOf(file)) {
      for (const text of batch.lines) {
        const line = lines++;
        if (line === 0) checkHead(text, cluster);
        else {
          const { key, object } = entryOf(text);
          if (object === undefined) last.delete(key);
          else last.set(key, line);
        }
      }
      heardAt = batch.seal.at;
      complete ||= batch.seal.complete;
    }
    if (!complete) throw new DamagedLog("it ends before all of the cluster was written");
    return new KnownLog(file, last, heardAt);
  }

  /** Every object, once; those that came first before the others. */
  async *objects(): AsyncGenerator<{ readonly key: string; readonly object: KubeObject }> {
    let line = 0;
    for await (const { lines } of batchesOf(this.#file))
      for (const text of lines) {
        if (line++ === 0) continue;
        const { key, object } = entryOf(text);
        if (object !== undefined && this.#last.get(key) === line - 1) yield { key, object };
      }
  }
}

interface Batch {
  readonly lines: readonly string[];
  readonly seal: Seal;
}

/** @throws DamagedLog for a batch that is not what its seal says, if another one comes after it. */
async function* batchesOf(file: FileHandle): AsyncGenerator<Batch> {
  let lines: string[] = [];
  let broken = false;
  for await (const text of linesOf(file)) {
    const seal = text.startsWith('{"seal":') ? sealOf(text) : undefined;
    if (seal === undefined) {
      lines.push(text);
      continue;
    }
    if (broken) throw new DamagedLog("a part of it is not what was written");
    const body = lines.map((line) => `${line}\n`).join("");
    broken = seal.lines !== lines.length || seal.sum !== sumOf(body, seal.at, seal.complete);
    if (!broken) yield { lines, seal };
    lines = [];
  }
}

/** A longer line is none that we wrote: an API server stores objects of up to some 1.5 MiB. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

/** Lines that end with a line feed; what follows the last one is dropped. */
async function* linesOf(file: FileHandle): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false }) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      yield bytes.toString("utf8", from, end);
      from = end + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > LINE_BYTES_MAX) throw new DamagedLog("it has a line that is too long");
  }
}

function sealOf(text: string): Seal | undefined {
  const { seal } = fieldsIn(text);
  if (!isFields(seal)) return undefined;
  const { at, lines, sum, complete } = seal;
  if (typeof at !== "number" || typeof lines !== "number" || typeof sum !== "string") return undefined;
  return { at, lines, sum, complete: complete === true };
}

function checkHead(text: string, cluster: ClusterId): void {
  const head = fieldsIn(text);
  if (head["causeway"] !== "last-known") throw new DamagedLog("it does not begin as such files do");
  if (head["format"] !== FORMAT)
    throw new DamagedLog(`it is of format ${String(head["format"])}, and this version reads format ${FORMAT}`);
  if (head["cluster"] !== cluster) throw new DamagedLog(`it is of cluster ${String(head["cluster"])}`);
}

function entryOf(text: string): { readonly key: string; readonly object: KubeObject | undefined } {
  const { key, object } = fieldsIn(text);
  if (typeof key !== "string" || (object !== undefined && !isFields(object)))
    throw new DamagedLog("it holds a line that is no object");
  return { key, object: object as KubeObject | undefined };
}

function fieldsIn(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}

const sumOf = (body: string, at: EpochMs, complete: boolean): string =>
  createHash("sha256").update(`${body}${at} ${complete}`).digest("hex").slice(0, 16);
