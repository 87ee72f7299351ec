import type { Duplex } from "node:stream";

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7 } as const;
const FLAG = { endStream: 0x1, ack: 0x1, endHeaders: 0x4 } as const;
const FRAME_HEAD_BYTES = 9;
/** What is given back of the connection's window, once: enough for a million answers. */
const WINDOW = 2 ** 31 - 1 - 65_535;

export interface EncodedRequest {
  /** Of `Http2Requests.head`. */
  readonly head: Buffer;
  readonly body: Buffer;
}

/**
 * Requests over one HTTP/2 connection, with no more work for each than its bytes need: on a machine that also serves
 * them, what the client takes is missing to the server. Headers of answers are not decoded.
 */
export class Http2Requests {
  readonly #socket: Duplex;
  readonly #answered: (body: Buffer | undefined) => void;
  readonly #bodies = new Map<number, Buffer>();
  #rest: Buffer = Buffer.alloc(0);
  #lastId = -1;
  #open = 0;
  #written: Buffer[] = [];

  /** `answered` gets the longest frame of each answer's body, or undefined if it had none. */
  constructor(socket: Duplex, answered: (body: Buffer | undefined) => void) {
    this.#socket = socket;
    this.#answered = answered;
  }

  /** Headers in HPACK, each spelt out (RFC 7541 6.2.2). */
  static head(headers: Readonly<Record<string, string>>): Buffer {
    const fields = Object.entries(headers).map(([name, value]) =>
      Buffer.concat([Buffer.of(0), prefixed(name), prefixed(value)]),
    );
    return Buffer.concat(fields);
  }

  /** Keeps `atOnce` requests under way until `next` has none. */
  run(atOnce: number, next: () => EncodedRequest | undefined): Promise<void> {
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW);
    this.#written.push(
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      ...frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
    );
    this.#written.push(...frame(8, 0, 0, window));
    return new Promise((resolve, reject) => {
      const fill = (): void => {
        while (this.#open < atOnce && this.#ask(next()));
        if (this.#written.length > 0) this.#socket.write(Buffer.concat(this.#written.splice(0)));
        if (this.#open === 0) resolve();
      };
      this.#socket.on("error", reject);
      this.#socket.on("close", () => reject(new Error("the server closed the connection")));
      this.#socket.on("data", (chunk: Buffer) => {
        this.#read(chunk);
        fill();
      });
      fill();
    });
  }

  #ask(request: EncodedRequest | undefined): boolean {
    if (request === undefined) return false;
    this.#open += 1;
    const id = (this.#lastId += 2);
    this.#written.push(...frame(FRAME.headers, FLAG.endHeaders, id, request.head));
    this.#written.push(...frame(FRAME.data, FLAG.endStream, id, request.body));
    return true;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const [type, flags, id] = [bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5)];
      this.#take(type, flags, id, bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #take(type: number, flags: number, id: number, body: Buffer): void {
    if (type === FRAME.goaway || type === FRAME.reset) throw new Error(`the server gave up: frame of type ${type}`);
    if (type === FRAME.settings && (flags & FLAG.ack) === 0)
      this.#written.push(...frame(type, FLAG.ack, 0, Buffer.alloc(0)));
    if (type === FRAME.ping && (flags & FLAG.ack) === 0) this.#written.push(...frame(type, FLAG.ack, 0, body));
    if (type === FRAME.data && body.length > (this.#bodies.get(id)?.length ?? 0)) this.#bodies.set(id, body);
    if ((type !== FRAME.data && type !== FRAME.headers) || (flags & FLAG.endStream) === 0) return;
    this.#answered(this.#bodies.get(id));
    this.#bodies.delete(id);
    this.#open -= 1;
  }
}

function frame(type: number, flags: number, id: number, body: Buffer): readonly Buffer[] {
  const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return [head, body];
}

/** A text behind its length, with a prefix of 7 bits (RFC 7541 5.1 and 5.2). */
function prefixed(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.of(...length, rest), bytes]);
}
