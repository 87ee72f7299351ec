import { unlinkSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import { uriNames, readCertificate } from "../../src/ca/certificate-fields.ts";
import { derOf, type Pair, type TestAuthority } from "../kits/tls.ts";

/** A call as the server sees it. */
export interface SeenCall {
  readonly method: string;
  readonly request: Buffer;
  /** The URI name of the caller's certificate; undefined over a socket. */
  readonly caller: string | undefined;
  readonly header: string | undefined;
  /** The other end of the connection. */
  readonly peer: string;
  answered: boolean;
  /** Before it was answered. */
  cancelled: boolean;
}

/** Refuses a call. */
export class Refusal extends Error {
  constructor(
    readonly code: grpc.status,
    readonly details: string,
  ) {
    super(details);
  }
}

export type Answer = (request: Buffer, call: SeenCall) => Promise<Uint8Array> | Uint8Array;
/** Says things until it ends; what it throws ends the stream. */
export type Talk = (say: (message: Uint8Array) => void, call: SeenCall) => Promise<void> | void;

export interface Spoken {
  readonly answers?: Readonly<Record<string, Answer>>;
  readonly talks?: Readonly<Record<string, Talk>>;
}

/** Speaks for a SPIRE server or agent what a test has it say, over real sockets. */
export class SmallSpire implements AsyncDisposable {
  readonly calls: SeenCall[] = [];
  inFlight = 0;
  inFlightMax = 0;
  port = 0;
  readonly #server = new grpc.Server();

  static async onSocket(path: string, spoken: Spoken): Promise<SmallSpire> {
    const small = new SmallSpire(spoken);
    await small.#bind(`unix:${path}`, grpc.ServerCredentials.createInsecure());
    return small;
  }

  /** @param root PEM that callers' certificates must lead to. */
  static async onTcp(own: Pair, root: string, spoken: Spoken): Promise<SmallSpire> {
    const small = new SmallSpire(spoken);
    const pair = { private_key: Buffer.from(own.key), cert_chain: Buffer.from(own.certificate) };
    const credentials = grpc.ServerCredentials.createSsl(Buffer.from(root), [pair], true);
    small.port = await small.#bind("127.0.0.1:0", credentials);
    return small;
  }

  private constructor({ answers = {}, talks = {} }: Spoken) {
    for (const [path, answer] of Object.entries(answers))
      this.#server.addService(definitionOf(path, false), {
        [path]: (call: Unary, done: Done) => void this.#answer(path, answer, call, done),
      });
    for (const [path, talk] of Object.entries(talks))
      this.#server.addService(definitionOf(path, true), {
        [path]: (call: Streamed) => void this.#talk(path, talk, call),
      });
  }

  /** At once, and whatever is under way. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    return Promise.resolve();
  }

  async #answer(method: string, answer: Answer, call: Unary, done: Done): Promise<void> {
    const seen = this.#seen(method, call.request, call);
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    try {
      const answered = Buffer.from(await answer(call.request, seen));
      seen.answered = true;
      done(null, answered);
    } catch (thrown) {
      done(thrown instanceof Refusal ? { code: thrown.code, details: thrown.details } : (thrown as Error), undefined);
    } finally {
      this.inFlight -= 1;
    }
  }

  async #talk(method: string, talk: Talk, call: Streamed): Promise<void> {
    const seen = this.#seen(method, call.request, call);
    try {
      await talk((message) => call.write(Buffer.from(message)), seen);
      call.end();
    } catch (thrown) {
      call.emit("error", thrown instanceof Refusal ? { code: thrown.code, details: thrown.details } : thrown);
    }
  }

  #seen(method: string, request: Buffer, call: grpc.ServerUnaryCall<Buffer, Buffer> | Streamed): SeenCall {
    const raw = call.getAuthContext().sslPeerCertificate?.raw;
    const caller = raw && uriNames(readCertificate(raw))[0];
    const header = call.metadata.get("workload.spiffe.io")[0]?.toString();
    const seen: SeenCall = { method, request, caller, header, peer: call.getPeer(), answered: false, cancelled: false };
    call.on("cancelled", () => (seen.cancelled = !seen.answered));
    this.calls.push(seen);
    return seen;
  }

  #bind(address: string, credentials: grpc.ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(address, credentials, (error, port) => (error === null ? resolve(port) : reject(error))),
    );
  }
}

type Unary = grpc.ServerUnaryCall<Buffer, Buffer>;
type Streamed = grpc.ServerWritableStream<Buffer, Buffer>;
type Done = grpc.sendUnaryData<Buffer>;

const same = (bytes: Buffer): Buffer => bytes;

const definitionOf = (path: string, responseStream: boolean): grpc.ServiceDefinition => ({
  [path]: {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
});

/** For streams that go on: nothing ends them but their caller. */
export const forEver = (): Promise<void> => new Promise(() => {});

/** As a process that is killed leaves it: the file of its socket goes, and another may listen at its place. */
export const unlinkSocket = (path: string): void => unlinkSync(path);

/** An identity in the form in which agents hand it out. */
export async function svidOf(authority: TestAuthority, spiffeId: string, lifetimeMs = 3_600_000) {
  const { certificate, key } = await authority.issue([spiffeId], lifetimeMs);
  return { spiffeId, chain: [derOf(certificate)], key: derOf(key), hint: "" };
}
