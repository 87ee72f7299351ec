import { MeshError } from "../errors.ts";

/** A compression flag and the length of the message. */
const PREFIX_BYTES = 5;
/** The least that is set aside for a message in pieces, if it is as long. */
const FIRST_BYTES = 512;
const EMPTY: Uint8Array = Buffer.alloc(0);

/**
 * Takes the bytes of one gRPC stream apart into messages (gRPC over HTTP/2, Length-Prefixed-Message). A machine without
 * I/O. It holds less than twice what has arrived of one message, whatever length that announces and however small the
 * chunks are.
 */
export class MessageReader {
  readonly #messageBytesMax: number;
  /** Begins with what has arrived of a prefix or message that is not complete. */
  #buffer = EMPTY;
  #arrived = 0;
  /** Undefined until the prefix is complete. */
  #length: number | undefined;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /**
   * @returns the messages that are now complete. One that lies in a single chunk is a view of it.
   * @throws MeshError `exhausted` for a message over the limit, `unsupported` for a compressed one; read no further then.
   */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    const messages: Uint8Array[] = [];
    let at = 0;
    // An empty message is complete with its prefix.
    while (at < chunk.length || this.#length === 0) {
      const wanted = (this.#length ?? PREFIX_BYTES) - this.#arrived;
      const piece = chunk.subarray(at, at + wanted);
      at += piece.length;
      const whole = this.#join(piece, wanted);
      if (whole === undefined) break;
      if (this.#length === undefined) this.#length = this.#readPrefix(whole);
      else {
        messages.push(whole);
        this.#length = undefined;
      }
    }
    return messages;
  }

  /** @throws MeshError `internal` if a message is cut short, as other gRPC servers say it. */
  finish(): void {
    if (this.#length === undefined && this.#arrived === 0) return;
    throw new MeshError("internal", "the stream ended in the middle of a message");
  }

  /** @returns the length of the message that follows. */
  #readPrefix(prefix: Uint8Array): number {
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(1);
    if (prefix[0] !== 0) throw new MeshError("unsupported", "the message is compressed; send it as it is");
    if (length > this.#messageBytesMax)
      throw new MeshError("exhausted", `the message has ${length} bytes; ${this.#messageBytesMax} is the most`);
    return length;
  }

  /** @returns what has arrived with `piece`, once nothing is missing; `piece` itself if it is all. */
  #join(piece: Uint8Array, wanted: number): Uint8Array | undefined {
    if (this.#arrived === 0 && piece.length === wanted) return piece;
    const arrived = this.#arrived + piece.length;
    // Copied, not kept: a piece of one byte would keep the whole read of 64 KiB that it came with.
    if (arrived > this.#buffer.length) this.#grow(Math.min(this.#arrived + wanted, Math.max(2 * arrived, FIRST_BYTES)));
    this.#buffer.set(piece, this.#arrived);
    this.#arrived = arrived;
    if (piece.length < wanted) return undefined;
    const whole = this.#buffer.subarray(0, arrived);
    this.#buffer = EMPTY;
    this.#arrived = 0;
    return whole;
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafeSlow(length);
    larger.set(this.#buffer.subarray(0, this.#arrived));
    this.#buffer = larger;
  }
}

/** The prefix of a message of `length` bytes. */
export function messagePrefix(length: number): Uint8Array {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}
