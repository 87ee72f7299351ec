import { createHash, X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import type { ClusterId } from "../../src/names.ts";
import { toPem } from "../../src/pem.ts";
import type { ClientCredentials, ClusterMessage, EnrollRequest, ManagerMessage } from "../../src/relay/messages.ts";
import { RELAY_METHODS } from "../../src/relay/methods.ts";
import {
  decodeClientCredentials,
  decodeManagerMessage,
  encodeClusterMessage,
  encodeEnrollRequest,
  encodeRenewRequest,
} from "../../src/relay/wire.ts";

/** A client certificate and its key, in PEM. */
export interface ClientPair {
  readonly chain: string;
  readonly key: string;
}

/** Every message that crosses, as it is before TLS has it and after. */
export type Tap = (direction: "sent" | "received", method: string, bytes: Uint8Array) => void;

/** How a call ended. */
export interface Ended {
  readonly code: grpc.status;
  readonly details: string;
  /** The header `causeway-reason`. */
  readonly reason: string | undefined;
}

const same = (bytes: Buffer): Buffer => bytes;

/** A cluster's half that does what its test says, with none of ours but the codec. */
export class RelayClient implements Disposable {
  readonly #client: grpc.Client;
  readonly #tap: Tap;

  constructor(port: number, roots: string, pair?: ClientPair, tap: Tap = () => {}) {
    const [key, chain] = pair === undefined ? [null, null] : [Buffer.from(pair.key), Buffer.from(pair.chain)];
    const credentials = grpc.credentials.createSsl(Buffer.from(roots), key, chain);
    // One that is closed must not lend its connection, and its certificate, to the next.
    this.#client = new grpc.Client(`127.0.0.1:${port}`, credentials, {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.ssl_target_name_override": "localhost",
    });
    this.#tap = tap;
  }

  async enroll(request: EnrollRequest): Promise<ClientCredentials> {
    return decodeClientCredentials(await this.unary(RELAY_METHODS.enroll, encodeEnrollRequest(request)));
  }

  async renew(csr: string): Promise<ClientCredentials> {
    return decodeClientCredentials(await this.unary(RELAY_METHODS.renew, encodeRenewRequest({ csr })));
  }

  unary(method: string, message: Uint8Array): Promise<Uint8Array> {
    this.#tap("sent", method, message);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(method, same, same, Buffer.from(message), (error, answer) => {
        if (error !== null) return reject(endedOf(error));
        this.#tap("received", method, answer!);
        resolve(answer!);
      });
    });
  }

  follow(): Follower {
    return new Follower(
      this.#client.makeBidiStreamRequest<Buffer, Buffer>(RELAY_METHODS.follow, same, same, new grpc.Metadata()),
      this.#tap,
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** One stream of Follow. */
export class Follower {
  readonly received: ManagerMessage[] = [];
  readonly ended: Promise<Ended>;
  readonly #stream: grpc.ClientDuplexStream<Buffer, Buffer>;
  readonly #tap: Tap;
  #wake: () => void = () => {};

  constructor(stream: grpc.ClientDuplexStream<Buffer, Buffer>, tap: Tap) {
    this.#stream = stream;
    this.#tap = tap;
    stream.on("error", () => {});
    stream.on("data", (bytes: Buffer) => {
      tap("received", RELAY_METHODS.follow, bytes);
      this.received.push(decodeManagerMessage(bytes));
      this.#wake();
    });
    this.ended = new Promise((resolve) => stream.once("status", (status) => resolve(endedOf(status))));
  }

  send(message: ClusterMessage): void {
    this.sendBytes(encodeClusterMessage(message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#tap("sent", RELAY_METHODS.follow, bytes);
    this.#stream.write(Buffer.from(bytes));
  }

  hello(cluster: ClusterId, clock = Date.now()): void {
    this.send({ kind: "hello", hello: { cluster, version: "1.0", clock } });
  }

  /** The first message that fits, also among those that are there. @throws once the stream has ended. */
  async until<K extends ManagerMessage["kind"]>(
    kind: K,
    fits: (message: Extract<ManagerMessage, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<ManagerMessage, { kind: K }>> {
    let over: Ended | undefined;
    void this.ended.then((ended) => ((over = ended), this.#wake()));
    for (;;) {
      for (const message of this.received)
        if (message.kind === kind && fits(message as Extract<ManagerMessage, { kind: K }>))
          return message as Extract<ManagerMessage, { kind: K }>;
      if (over !== undefined) throw new Error(`the stream ended: ${over.details}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

const endedOf = ({ code, details, metadata }: grpc.StatusObject | grpc.ServiceError): Ended => ({
  code,
  details,
  reason: metadata?.get("causeway-reason")[0]?.toString(),
});

/** The root at the end of what a server shows, if it has that SHA-256: what a token is good for. */
export function pinnedRoot(port: number, sha256: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] }, () => {
      let at = socket.getPeerCertificate(true);
      while (at.issuerCertificate !== undefined && !at.raw.equals(at.issuerCertificate.raw)) at = at.issuerCertificate;
      socket.destroy();
      const found = createHash("sha256").update(at.raw).digest("hex");
      if (found === sha256 && new X509Certificate(at.raw).ca) resolve(toPem("CERTIFICATE", at.raw));
      else reject(new Error(`the server's root is ${found}, and not ${sha256}`));
    });
    socket.on("error", reject);
  });
}
