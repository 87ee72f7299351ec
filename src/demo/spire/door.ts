import { chmod, rm } from "node:fs/promises";
import type { SecureContextOptions } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { MeshError } from "../../errors.ts";
import { CallError } from "./call-error.ts";

/** What a call brings beside its message. */
export interface Incoming {
  /** Of the client, verified by TLS, in DER. */
  readonly certificate: Uint8Array | undefined;
  header(name: string): string | undefined;
  /** Aborted when the client has given up or is gone. */
  readonly signal: AbortSignal;
}

export interface UnaryRpc {
  readonly kind: "unary";
  readonly path: string;
  /** @throws CallError */
  call(request: Uint8Array, incoming: Incoming): Promise<Uint8Array>;
}

export interface StreamRpc {
  readonly kind: "stream";
  readonly path: string;
  /** @returns what is disposed when the client is gone. @throws CallError */
  open(request: Uint8Array, incoming: Incoming, outgoing: Outgoing): Promise<Disposable>;
}

/** Our end of a stream. */
export interface Outgoing {
  send(message: Uint8Array): void;
  end(error?: CallError): void;
}

export type Rpc = UnaryRpc | StreamRpc;

/** One address with methods behind it, served by a library that is not ours: it shows what real peers may do. ⇄ */
export class Door implements AsyncDisposable {
  readonly #server: grpc.Server;
  readonly port: number;

  private constructor(server: grpc.Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Takes the place of what another left there. @param mode of the socket's file, as 0o770. */
  static async onSocket(path: string, mode: number, rpcs: readonly Rpc[]): Promise<Door> {
    await rm(path, { force: true });
    const door = await Door.#open(`unix:${path}`, grpc.ServerCredentials.createInsecure(), rpcs);
    await chmod(path, mode);
    return door;
  }

  /** @param port 0 for any. @throws MeshError `unavailable` */
  static onPort(host: string, port: number, identity: ShownIdentity, rpcs: readonly Rpc[]): Promise<Door> {
    return Door.#open(`${host}:${port}`, identity, rpcs);
  }

  static #open(address: string, credentials: grpc.ServerCredentials, rpcs: readonly Rpc[]): Promise<Door> {
    const server = new grpc.Server();
    for (const rpc of rpcs)
      server.addService(
        { [rpc.path]: definitionOf(rpc) },
        { [rpc.path]: rpc.kind === "unary" ? unary(rpc) : stream(rpc) },
      );
    return new Promise((resolve, reject) => {
      server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(new Door(server, port));
        else
          reject(new MeshError("unavailable", `the stand-in for SPIRE cannot listen on ${address}: ${error.message}`));
      });
    });
  }

  /** Cuts every call. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    this.#server.forceShutdown();
    await closed;
  }
}

/** What a port shows, which may change while it is open, and whose client certificates it believes. They are optional. */
export class ShownIdentity extends grpc.ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2" }, context);
  }

  /** For connections from now on. */
  show(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  override _equals(other: grpc.ServerCredentials): boolean {
    return this === other;
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const definitionOf = ({ kind, path }: Rpc): grpc.MethodDefinition<Uint8Array, Uint8Array> => ({
  path,
  requestStream: false,
  responseStream: kind === "stream",
  requestSerialize: asBuffer,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: asBuffer,
  responseDeserialize: (bytes) => bytes,
});

type AnyCall = grpc.ServerUnaryCall<Uint8Array, Uint8Array> | grpc.ServerWritableStream<Uint8Array, Uint8Array>;

function incomingOf(call: AnyCall): Incoming {
  const left = new AbortController();
  call.on("cancelled", () => left.abort());
  return {
    certificate: call.getAuthContext().sslPeerCertificate?.raw,
    header: (name) => call.metadata.get(name)[0]?.toString(),
    signal: left.signal,
  };
}

const statusOf = (thrown: unknown): { code: grpc.status; details: string } => {
  const { code, message } = CallError.from(thrown);
  return { code, details: message };
};

const unary =
  (rpc: UnaryRpc): grpc.handleUnaryCall<Uint8Array, Uint8Array> =>
  (call, answer) => {
    void rpc.call(call.request, incomingOf(call)).then(
      (bytes) => answer(null, bytes),
      (thrown: unknown) => answer(statusOf(thrown)),
    );
  };

const stream =
  (rpc: StreamRpc): grpc.handleServerStreamingCall<Uint8Array, Uint8Array> =>
  (call) => {
    const incoming = incomingOf(call);
    const outgoing: Outgoing = {
      send: (message) => void (call.writable && call.write(message)),
      end: (error) => (error === undefined ? call.end() : call.emit("error", statusOf(error))),
    };
    void rpc.open(call.request, incoming, outgoing).then(
      (open) => {
        const close = (): void => open[Symbol.dispose]();
        if (incoming.signal.aborted) close();
        call.once("cancelled", close);
        call.once("close", close);
      },
      (thrown: unknown) => outgoing.end(CallError.from(thrown)),
    );
  };
