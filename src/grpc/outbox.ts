import type { ServerHttp2Stream } from "node:http2";
import { messagePrefix } from "./frames.ts";

/**
 * What is written at once. For as long as a TLS connection lives Node keeps a buffer as large as the most that was
 * written to it at once, up to the client's window: 2 MiB for each ztunnel if a snapshot were written whole, 80 kB so
 * (`npm run bench -- memory`).
 */
const PIECE_BYTES = 16 * 1024;

/** To copy as much costs less than to write it in parts. */
const COPIED_BYTES_MAX = 4096;

/** Messages on their way to one stream, in pieces that share the bytes they were given. */
export class Outbox {
  readonly #stream: ServerHttp2Stream;
  #parts: Uint8Array[] = [];
  /** How much of the first part is written. */
  #written = 0;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  get empty(): boolean {
    return this.#parts.length === 0;
  }

  /** @returns false if something waits for the stream to drain. */
  push(parts: readonly Uint8Array[]): boolean {
    const waiting = !this.empty;
    let length = 0;
    for (const part of parts) length += part.length;
    const message = [messagePrefix(length), ...parts];
    if (!waiting && length <= COPIED_BYTES_MAX) return this.#stream.write(Buffer.concat(message));
    this.#parts.push(...message);
    return waiting ? false : this.flush();
  }

  /** Writes what the stream takes. @returns false if something waits for it to drain. */
  flush(): boolean {
    const stream = this.#stream;
    let roomy = !stream.writableNeedDrain;
    stream.cork();
    // The next message of the same turn goes with this one.
    queueMicrotask(() => stream.uncork());
    while (roomy && !this.empty) roomy = this.#writePiece();
    return roomy && this.empty;
  }

  clear(): void {
    this.#parts = [];
    this.#written = 0;
  }

  #writePiece(): boolean {
    let roomy = true;
    let room = PIECE_BYTES;
    let taken = 0;
    while (room > 0 && taken < this.#parts.length) {
      const part = this.#parts[taken]!;
      const piece = part.subarray(this.#written, this.#written + room);
      roomy = this.#stream.write(piece);
      room -= piece.length;
      this.#written += piece.length;
      if (this.#written < part.length) break;
      this.#written = 0;
      taken += 1;
    }
    this.#parts.splice(0, taken);
    return roomy;
  }
}
