import { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { PortChannels } from "./port-forward-channels.ts";

/** The bytes of a forwarded port as a stream; it takes no more of the network than its reader does. ⇄ */
export class PortForwardSocket extends Duplex {
  readonly #webSocket: WebSocket;
  readonly #channels = new PortChannels();

  /** @param webSocket open, with nothing read from it. */
  constructor(webSocket: WebSocket) {
    super();
    this.#webSocket = webSocket;
    webSocket.on("message", (message: Buffer) => this.#receive(message));
    webSocket.on("error", (error) => this.destroy(error));
    webSocket.on("close", () => this.#close());
  }

  override _read(): void {
    this.#webSocket.resume();
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#webSocket.send(this.#channels.send(bytes), done);
  }

  /** The protocol has no half of an end: the port's answer comes after it. */
  override _final(done: () => void): void {
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#webSocket.terminate();
    done(error);
  }

  #receive(message: Buffer): void {
    const heard = this.#channels.receive(message);
    if (heard.kind === "failure") this.destroy(new Error(heard.why));
    if (heard.kind === "data" && !this.push(heard.bytes)) this.#webSocket.pause();
  }

  #close(): void {
    this.push(null);
    this.end();
  }
}
