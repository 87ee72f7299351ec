import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { cleanups } from "./lab.ts";

/** RFC 9113 section 6. */
export const Type = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7 } as const;

export interface Frame {
  readonly type: number;
  /** True for the last frame of its stream. */
  readonly last: boolean;
  readonly stream: number;
  readonly payload: Buffer;
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header in HPACK, neither indexed nor compressed. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

export const PING = frame(Type.ping, 0, 0, Buffer.alloc(8));
export const SETTINGS = frame(Type.settings, 0, 0);

/** The head of a gRPC request; without `last`, more headers follow. */
export function headers(stream: number, path: string, { last = true, method = "POST" } = {}): Buffer {
  const fields = [
    field(":method", method),
    field(":scheme", "http"),
    field(":path", path),
    field(":authority", "x"),
    field("content-type", "application/grpc"),
  ];
  return frame(Type.headers, last ? 4 : 0, stream, Buffer.concat(fields));
}

export const data = (stream: number, bytes: readonly number[]): Buffer =>
  frame(Type.data, 0, stream, Buffer.from(bytes));
export const reset = (stream: number): Buffer => frame(Type.reset, 0, stream, Buffer.from([0, 0, 0, 8]));

/** A client that writes HTTP/2 frames as no library would, over a plaintext port. */
export class RawClient {
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #onFrame = (): void => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    cleanups.push(() => socket.destroy());
  }

  static async connect(port: number, { reading = true } = {}): Promise<RawClient> {
    const socket = connect(port, "127.0.0.1");
    const client = new RawClient(socket);
    await once(socket, "connect");
    if (reading) socket.on("data", (chunk) => client.#read(chunk as Buffer));
    client.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SETTINGS);
    return client;
  }

  /** In one write, so that one read may get them all. */
  send(...frames: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(frames));
  }

  /** The first frame like this, whether it came or is still to come. */
  frame(like: (frame: Frame) => boolean): Promise<Frame> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.frames.find(like);
        if (found !== undefined) resolve(found);
      };
      const before = this.#onFrame;
      this.#onFrame = () => (before(), look());
      look();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      const [type, flags, stream] = [this.#rest[3]!, this.#rest[4]!, this.#rest.readUInt32BE(5)];
      this.frames.push({
        type,
        last: type <= Type.headers && (flags & 1) === 1,
        stream,
        payload: this.#rest.subarray(9, end),
      });
      this.#rest = this.#rest.subarray(end);
      this.#onFrame();
    }
  }
}
