import type { MessageChannel, StreamMethod } from "../../src/grpc/method.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { decodeDeltaRequest, decodeDeltaResponse } from "../../src/xds/wire.ts";
import { realHost } from "../kits/real-host.ts";
import { callerOf, MadeUpGateways, wordOf } from "../xds/envoy/proxy-lab.ts";
import { eventually } from "./causeway-process.ts";
import { RealEnvoy } from "./real-envoy.ts";

/** A stock Envoy on the real server, and all that they say to each other. */
export class ObservedEnvoy extends MadeUpGateways {
  /** As `CDS cart -old` for what was sent, `ack CDS`, `nack CDS` and `ask EDS cart` for what came. */
  readonly said: string[] = [];
  #server: GrpcServer | undefined;
  #port = 0;
  #envoy: RealEnvoy | undefined;
  #unanswered = 0;

  constructor() {
    super(realHost());
  }

  get envoy(): RealEnvoy {
    return this.#envoy!;
  }

  async start(binary: string): Promise<void> {
    await this.listen();
    this.#envoy = await RealEnvoy.start({ binary, port: this.#port });
  }

  async listen(): Promise<void> {
    const methods = this.methods(callerOf("shop", "waypoint")).map((method) => this.#observed(method));
    this.#unanswered = 0;
    this.#server = new GrpcServer(this.host, { name: "xds", methods, certificate: undefined });
    this.#port = (await this.#server.listen({ address: "127.0.0.1", port: this.#port })).port;
  }

  async loseStream(): Promise<void> {
    await this.#server?.close(0);
  }

  /** What they say from this change on, until all of it was answered. */
  async after(change: () => void): Promise<readonly string[]> {
    this.said.length = 0;
    change();
    this.graph.flush();
    await this.answered();
    return [...this.said];
  }

  /** Resolves once something was said and nothing was for a while. */
  async answered(): Promise<void> {
    let length = 0;
    let rounds = 0;
    await eventually("Envoy has answered all", 25_000, () => {
      rounds = this.#unanswered === 0 && this.said.length === length && length > 0 ? rounds + 1 : 0;
      length = this.said.length;
      return rounds === 5;
    });
  }

  async stop(): Promise<void> {
    await this.#envoy?.stop();
    await this.#server?.close(0);
  }

  #observed(method: StreamMethod): StreamMethod {
    return {
      ...method,
      open: async (channel) => {
        const receiver = await method.open(this.#listenedTo(channel));
        return {
          message: (bytes) => {
            this.#note(bytes);
            receiver.message(bytes);
          },
          writable: () => receiver.writable(),
          closed: () => receiver.closed(),
        };
      },
    };
  }

  #note(bytes: Uint8Array): void {
    const { typeUrl, subscribe, nonce, rejection } = decodeDeltaRequest(bytes);
    const word = wordOf(typeUrl);
    if (nonce === "") return void this.said.push(["ask", word, ...subscribe].join(" "));
    this.#unanswered -= 1;
    this.said.push(`${rejection === undefined ? "ack" : "nack"} ${word}`);
  }

  #listenedTo(channel: MessageChannel): MessageChannel {
    return {
      credentials: channel.credentials,
      get bytesWritten() {
        return channel.bytesWritten;
      },
      sendHeaders: () => channel.sendHeaders(),
      end: (error) => channel.end(error),
      send: (parts) => {
        const { typeUrl, resources, removed } = decodeDeltaResponse(Buffer.concat(parts));
        this.#unanswered += 1;
        const names = [...resources.map(({ name }) => name), ...removed.map((name) => `-${name}`)];
        this.said.push([wordOf(typeUrl), ...names].join(" "));
        return channel.send(parts);
      },
    };
  }
}
