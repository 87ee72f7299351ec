import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";

/** What a client shows and believes on a TCP port, in PEM. */
export interface ClientTls {
  readonly roots: string;
  readonly chain?: string;
  readonly key?: string;
}

/** Calls methods by their paths, with bytes, as no client of ours does: what is tested here must not depend on it. */
export class RawClient implements Disposable {
  readonly #client: grpc.Client;

  /** @param address as `unix:/run/api.sock` or `127.0.0.1:8081`. */
  constructor(address: string, tls?: ClientTls) {
    this.#client = new grpc.Client(address, tls === undefined ? grpc.credentials.createInsecure() : credentials(tls), {
      ...(tls !== undefined && { "grpc.ssl_target_name_override": "spire-server" }),
      "grpc.initial_reconnect_backoff_ms": 100,
      // Else two clients would share a connection, and with it what one of them has shown.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  call(path: string, request: Uint8Array, deadlineMs = 10_000): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + deadlineMs;
      this.#client.makeUnaryRequest(path, asBuffer, asIs, request, { deadline }, (error, answer) =>
        error === null ? resolve(answer!) : reject(error),
      );
    });
  }

  /** @param headers as `{"workload.spiffe.io": "true"}`. */
  stream(path: string, request: Uint8Array, headers: Readonly<Record<string, string>> = {}): Messages {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new Messages(this.#client.makeServerStreamRequest(path, asBuffer, asIs, request, metadata));
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** What a stream says, in order. */
export class Messages implements Disposable {
  readonly #call: grpc.ClientReadableStream<Uint8Array>;
  readonly #iterator: AsyncIterator<Uint8Array>;

  constructor(call: grpc.ClientReadableStream<Uint8Array>) {
    this.#call = call;
    this.#iterator = (call as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** @throws what ended the stream */
  async next(): Promise<Uint8Array> {
    const { value, done } = await this.#iterator.next();
    if (done === true) throw new Error("the stream ended without an error");
    return value;
  }

  [Symbol.dispose](): void {
    // Ours to cancel, and nobody's to hear of.
    this.#call.on("error", () => {});
    this.#call.cancel();
  }
}

/** The code and the words of a call that fails. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    const { code, details } = thrown as grpc.ServiceError;
    return `${grpc.status[code]}: ${details}`;
  }
  return "OK";
}

const asIs = (bytes: Buffer): Uint8Array => bytes;
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

/** SPIRE's server has no DNS name: who it is is in its URI. */
function credentials({ roots, chain, key }: ClientTls): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(
    Buffer.from(roots),
    key === undefined ? null : Buffer.from(key),
    chain === undefined ? null : Buffer.from(chain),
    {
      checkServerIdentity: (_, certificate) =>
        certificate.subjectaltname?.includes("/spire/server") === true
          ? undefined
          : checkServerIdentity("x", certificate),
    },
  );
}
