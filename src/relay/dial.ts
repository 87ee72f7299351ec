import { createHash } from "node:crypto";
import {
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type TLSSocket,
} from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { MeshError, messageOf } from "../errors.ts";
import { callError } from "../grpc/client-channel.ts";
import type { Clock } from "../host.ts";
import { toPem } from "../pem.ts";
import { type ClientIdentity } from "./client-identity.ts";
import { RELAY_LIMITS } from "./message-rules.ts";
import type { ClientCredentials, ClusterMessage } from "./messages.ts";
import { RELAY_METHODS } from "./methods.ts";
import { RELAY_MANAGER_ID, RELAY_TRUST_DOMAIN } from "./relay-identity.ts";
import type { Enrollment, RelayReceiver, RelayStream, RelayTransport } from "./transport.ts";
import {
  decodeClientCredentials,
  decodeManagerMessage,
  encodeClusterMessage,
  encodeEnrollRequest,
  encodeRenewRequest,
} from "./wire.ts";

/** A manager that is frozen, or behind a black hole, is found out within 30 s. */
const KEEPALIVE = { pingMs: 20_000, pongMs: 10_000 };
const CALL_MS = 20_000;

/** A client certificate to show, and what verifies the manager. */
type Shown = Pick<ClientIdentity, "roots"> & Partial<Pick<ClientIdentity, "chain" | "key">>;

/**
 * ⇄ Reaches the trust manager over gRPC. Names and addresses prove nothing here: it is the server whose chain ends in a
 * root of the relay, and whose SPIFFE ID is the manager's, wherever it listens.
 */
export class GrpcRelay implements RelayTransport {
  readonly address: string;
  readonly #clock: Clock;

  /** @param address `host:port`, with an IPv6 address in brackets. */
  constructor(clock: Clock, address: string) {
    this.#clock = clock;
    this.address = address;
  }

  async enroll({ token, cluster, csr, clock }: Enrollment, signal: AbortSignal): Promise<ClientCredentials> {
    const roots = await this.#rootOfToken(token.rootSha256, signal);
    const request = encodeEnrollRequest({ token: token.text, cluster, csr, clock });
    return this.#call(RELAY_METHODS.enroll, { roots }, request, signal);
  }

  renew(identity: ClientIdentity, csr: string, signal: AbortSignal): Promise<ClientCredentials> {
    return this.#call(RELAY_METHODS.renew, identity, encodeRenewRequest({ csr }), signal);
  }

  follow(identity: ClientIdentity, receiver: RelayReceiver): RelayStream {
    const client = this.#client(identity);
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(RELAY_METHODS.follow, same, same);
    let done = false;
    const close = (): void => {
      done = true;
      call.cancel();
      client.close();
    };
    const end = (why: MeshError): void => {
      if (done) return;
      close();
      receiver.ended(why);
    };
    call.on("metadata", () => done || receiver.connected());
    call.on("data", (bytes: Buffer) => {
      if (done) return;
      try {
        receiver.received(decodeManagerMessage(bytes));
      } catch (thrown) {
        const why = `${this.address} does not speak our protocol: ${messageOf(thrown)}`;
        end(new MeshError("unsupported", why, {}, { cause: thrown }));
      }
    });
    let failed = false;
    call.on("error", (error: grpc.ServiceError) => {
      failed = true;
      void this.#why(error).then(end);
    });
    call.on("end", () => failed || end(new MeshError("unavailable", `${this.address} ended the stream`)));
    const send = (message: ClusterMessage): void =>
      void (done || call.write(Buffer.from(encodeClusterMessage(message))));
    return { send, close };
  }

  #client({ chain, key, roots }: Shown): grpc.Client {
    const own = chain === undefined || key === undefined ? {} : { cert: chain, key };
    const credentials = grpc.credentials.createFromSecureContext(createSecureContext({ ca: roots, ...own }), {
      checkServerIdentity: (_, certificate) => whyNotManager(certificate),
    });
    return new grpc.Client(this.address, credentials, {
      // An address is no server name in TLS, and no name is believed.
      "grpc.ssl_target_name_override": RELAY_TRUST_DOMAIN,
      "grpc.default_authority": RELAY_TRUST_DOMAIN,
      "grpc.keepalive_time_ms": KEEPALIVE.pingMs,
      "grpc.keepalive_timeout_ms": KEEPALIVE.pongMs,
      "grpc.max_receive_message_length": RELAY_LIMITS.managerMessageBytes,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
    });
  }

  async #call(path: string, shown: Shown, request: Uint8Array, signal: AbortSignal): Promise<ClientCredentials> {
    const client = this.#client(shown);
    try {
      return decodeClientCredentials(await this.#answer(client, path, Buffer.from(request), signal));
    } catch (thrown) {
      throw thrown instanceof MeshError ? thrown : await this.#why(thrown as grpc.ServiceError);
    } finally {
      client.close();
    }
  }

  #answer(client: grpc.Client, path: string, request: Buffer, signal: AbortSignal): Promise<Buffer> {
    const deadline = this.#clock.now() + CALL_MS;
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(path, same, same, request, { deadline }, (error, answer) => {
        signal.removeEventListener("abort", cancel);
        if (error === null) resolve(answer!);
        else reject(error);
      });
      const cancel = (): void => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      if (signal.aborted) cancel();
    });
  }

  /** What a call ended with. Where time is the reason, both times are named. */
  async #why(error: grpc.ServiceError): Promise<MeshError> {
    const failure = callError(error, this.address);
    const reason = error.metadata.get("causeway-reason")[0]?.toString() ?? "";
    const detail = { ...failure.detail, reason };
    if (!/not yet valid|has expired/.test(error.details)) return new MeshError(failure.code, failure.message, detail);
    const life = await this.#lifeShown().catch(() => "");
    const now = new Date(this.#clock.now()).toISOString();
    return new MeshError(failure.code, `${failure.message}; ${life}the clock here says ${now}`, detail);
  }

  async #lifeShown(): Promise<string> {
    const chain = await this.#chainShown(new AbortController().signal);
    const { notBefore, notAfter } = readCertificate(chain[0] ?? new Uint8Array());
    const [from, until] = [notBefore, notAfter].map((time) => new Date(time).toISOString());
    return `its certificate is valid from ${from} to ${until}, and `;
  }

  /**
   * The root that a token names, as the server shows it. Nothing is said to the server before this has been seen, and all
   * of TLS is verified by that root afterwards.
   */
  async #rootOfToken(sha256: string, signal: AbortSignal): Promise<string> {
    const chain = await this.#chainShown(signal);
    const prints = chain.map((der) => createHash("sha256").update(der).digest("hex"));
    const at = prints.lastIndexOf(sha256);
    if (at >= 0 && at === chain.length - 1) return toPem("CERTIFICATE", chain[at]!);
    throw new MeshError(
      "denied",
      `${this.address} is not the trust manager that the bootstrap token was made by: its chain ends in a root with SHA-256 ` +
        `${prints.at(-1) ?? "(none)"}, and the token names ${sha256}. Look whether --trust-manager leads there, or have a ` +
        "new token made (causeway trust token)",
    );
  }

  /** What the server shows, leaf first; it proves nothing yet. */
  #chainShown(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const at = this.address.lastIndexOf(":");
    const [host, port] = [this.address.slice(0, at).replace(/^\[|\]$/g, ""), Number(this.address.slice(at + 1))];
    return new Promise((resolve, reject) => {
      const servername = RELAY_TRUST_DOMAIN;
      const socket: TLSSocket = connect({ host, port, servername, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
      const give = (why: string): void => {
        socket.destroy();
        reject(new MeshError("unavailable", `${this.address}: ${why}`));
      };
      const timer = this.#clock.after(CALL_MS, () => give(`no TLS within ${CALL_MS / 1000} s`));
      const abort = (): void => give("we are stopping");
      signal.addEventListener("abort", abort, { once: true });
      socket.on("close", () => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", abort);
      });
      socket.on("error", (error) => give(/ECONNREFUSED/.test(error.message) ? "nothing listens there" : error.message));
      socket.on("secureConnect", () => {
        resolve(chainOf(socket.getPeerCertificate(true)));
        socket.destroy();
      });
      if (signal.aborted) abort();
    });
  }
}

const same = (bytes: Buffer): Buffer => bytes;

/** TLS has verified the chain to a root of the relay: whether it is the manager's is for us to say. */
function whyNotManager({ raw }: PeerCertificate): Error | undefined {
  const names = uriNames(readCertificate(raw));
  if (names.length === 1 && names[0] === RELAY_MANAGER_ID) return undefined;
  return new Error(`it is ${names.join(", ") || "nobody by name"}, and the trust manager is ${RELAY_MANAGER_ID}`);
}

/** Leaf first; the last one is often its own issuer. */
function chainOf(certificate: PeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: DetailedPeerCertificate | undefined = certificate as DetailedPeerCertificate;
  while (next?.raw !== undefined && chain.length < RELAY_LIMITS.chain) {
    const { raw }: DetailedPeerCertificate = next;
    if (chain.some((known) => Buffer.compare(known, raw) === 0)) break;
    chain.push(raw);
    next = next.issuerCertificate;
  }
  return chain;
}
