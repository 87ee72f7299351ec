import { MeshError } from "../errors.ts";

/** A compression flag and the length of the message. */
const PREFIX_BYTES = 5;

/**
 * Takes the bytes of one gRPC stream apart into messages (gRPC over HTTP/2, Length-Prefixed-Message). A machine without
 * I/O. It holds no more than has arrived of one message, whatever length that announces.
 */
export class MessageReader {
  readonly #messageBytesMax: number;
  /** What has arrived of the message that is not complete, its prefix included. */
  #parts: Uint8Array[] = [];
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
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#length === undefined) rest = this.#readPrefix(rest);
      if (this.#length === undefined) break;
      const missing = this.#length - this.#arrived;
      this.#keep(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      if (this.#arrived === this.#length) messages.push(this.#take());
    }
    return messages;
  }

  /** @throws MeshError `invalid` if a message is cut short. */
  finish(): void {
    if (this.#length === undefined && this.#arrived === 0) return;
    throw new MeshError("invalid", "the stream ended in the middle of a message");
  }

  /** @returns what follows the prefix. */
  #readPrefix(chunk: Uint8Array): Uint8Array {
    const missing = PREFIX_BYTES - this.#arrived;
    this.#keep(chunk.subarray(0, missing));
    if (this.#arrived < PREFIX_BYTES) return chunk.subarray(chunk.length);
    const prefix = Buffer.from(this.#take());
    const length = prefix.readUInt32BE(1);
    if (prefix[0] !== 0) throw new MeshError("unsupported", "the message is compressed; send it as it is");
    if (length > this.#messageBytesMax)
      throw new MeshError("exhausted", `the message has ${length} bytes; ${this.#messageBytesMax} is the most`);
    this.#length = length;
    return chunk.subarray(missing);
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#arrived += part.length;
  }

  #take(): Uint8Array {
    const [only] = this.#parts;
    const whole = this.#parts.length === 1 ? only! : Buffer.concat(this.#parts, this.#arrived);
    this.#parts = [];
    this.#arrived = 0;
    this.#length = undefined;
    return whole;
  }
}

/** The prefix of a message of `length` bytes. */
export function messagePrefix(length: number): Uint8Array {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}
