import type { ServerHttp2Stream } from "node:http2";
import { messagePrefix } from "./frames.ts";

/**
 * What is written at once. For as long as a TLS connection lives Node keeps a buffer as large as the most that was
 * written to it at once, up to the client's window: 2 MiB for each ztunnel if a snapshot were written whole, 80 kB so
 * (`npm run bench -- memory`).
 */
const PIECE_BYTES = 16 * 1024;

/**
 * Messages on their way to one stream, a piece at a time. A piece of one large part shares its bytes; only what is
 * smaller is copied together, as a write costs more than the copy.
 */
export class Outbox {
  readonly #stream: ServerHttp2Stream;
  readonly #messages: (readonly Uint8Array[])[] = [];
  /** How far the first message is written: whole parts, and bytes of the next. */
  #part = 0;
  #byte = 0;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  /** @returns false if something waits for the stream to drain. */
  push(parts: readonly Uint8Array[]): boolean {
    const waiting = !this.empty;
    let length = 0;
    for (const part of parts) length += part.length;
    this.#messages.push([messagePrefix(length), ...parts]);
    return waiting ? false : this.flush();
  }

  /** Writes what the stream takes. @returns false if something waits for it to drain. */
  flush(): boolean {
    let roomy = !this.#stream.writableNeedDrain;
    while (roomy && !this.empty) roomy = this.#stream.write(this.#nextPiece());
    return roomy && this.empty;
  }

  clear(): void {
    this.#messages.length = 0;
    this.#part = this.#byte = 0;
  }

  #nextPiece(): Uint8Array {
    const pieces: Uint8Array[] = [];
    const [message] = this.#messages;
    let room = PIECE_BYTES;
    while (room > 0 && this.#part < message!.length) {
      const part = message![this.#part]!;
      const piece = part.subarray(this.#byte, this.#byte + room);
      if (piece.length > 0) pieces.push(piece);
      room -= piece.length;
      this.#byte += piece.length;
      if (this.#byte < part.length) break;
      this.#part += 1;
      this.#byte = 0;
    }
    if (this.#part === message!.length) {
      this.#messages.shift();
      this.#part = 0;
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }
}
