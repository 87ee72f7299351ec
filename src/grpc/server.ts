import { SSL_OP_NO_TICKET } from "node:constants";
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { createSecureContext } from "node:tls";
import type { Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Counter, Gauge, Host, Logger } from "../host.ts";
import { Connection } from "./connection.ts";
import { SERVER_LIMITS, type ServerLimits } from "./limits.ts";
import { type ListenAddress, listenError } from "./listen-error.ts";
import type { Method, StreamMethod, UnaryMethod } from "./method.ts";
import { Quota } from "./quota.ts";
import { respondHttp, respondStatus, type Surroundings } from "./respond.ts";
import { Sockets } from "./sockets.ts";
import { SparseLog } from "../sparse-log.ts";
import { statusHeaders } from "./status.ts";
import { StreamChannel } from "./stream-channel.ts";
import { UnaryCall } from "./unary-call.ts";

/** What one connection may have waiting: 20 of the largest messages that a ztunnel takes (contract ztunnel.md 1.1). */
const SESSION_MEGABYTES_MAX = 20 * 210;

/** What a TLS port shows, in PEM, and whose client certificates it believes. */
export interface ServingCertificate {
  /** Leaf first. */
  readonly chain: string;
  readonly key: string;
  /** Roots of client certificates; without them, no client certificate counts. */
  readonly clientRoots: string | undefined;
  /** What more must hold for a client's chain to count, as that nothing in it is revoked; asked again of open streams. */
  readonly clientTrust?: ClientTrust;
}

export interface ClientTrust {
  /** Why a chain, in DER with the leaf first, proves nobody. */
  whyNot(chain: readonly Uint8Array[]): string | undefined;
}

export interface GrpcServerOptions {
  /** For logs, as `xds`. */
  readonly name: string;
  readonly methods: readonly Method[];
  /** Undefined for a plaintext port. */
  readonly certificate: ServingCertificate | undefined;
  readonly limits?: Partial<ServerLimits>;
}

/** One port that serves gRPC over HTTP/2, without compression. */
export class GrpcServer {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #strangers: SparseLog;
  readonly #name: string;
  readonly #limits: ServerLimits;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #sessions = new Map<ServerHttp2Session, Connection>();
  readonly #sockets: Sockets;
  readonly #unproven: Quota;
  readonly #surroundings: Surroundings;
  readonly #channels = new Set<StreamChannel>();
  readonly #calls = new Set<UnaryCall>();
  readonly #open: Gauge;
  readonly #refused: Counter;
  readonly #callsRefused: Counter;
  #clientTrust: ClientTrust | undefined;

  /** @throws MeshError `invalid` if the certificate and its key cannot be used. */
  constructor(host: Host, options: GrpcServerOptions) {
    this.#host = host;
    this.#log = host.log.scope("grpc");
    this.#strangers = new SparseLog(this.#log, host.clock);
    this.#name = options.name;
    this.#limits = { ...SERVER_LIMITS, ...options.limits };
    const { unprovenMax, unprovenPerAddressMax, flushMs } = this.#limits;
    this.#sockets = new Sockets(host.clock, this.#limits, { tls: options.certificate !== undefined });
    this.#unproven = new Quota({ total: unprovenMax, perAddress: unprovenPerAddressMax });
    this.#surroundings = { clock: host.clock, log: this.#log, strangers: this.#strangers, flushMs };
    this.#methods = new Map(options.methods.map((method) => [method.path, method]));
    this.#open = host.metrics.gauge("grpc_connections", "Open connections, by port.", ["port"]);
    this.#refused = host.metrics.counter("grpc_connections_refused_total", "Connections cut off, by reason.", [
      "reason",
    ]);
    this.#callsRefused = host.metrics.counter("grpc_calls_refused_total", "Calls refused unread, by reason.", [
      "reason",
    ]);
    this.#clientTrust = options.certificate?.clientTrust;
    this.#server = this.#create(options.certificate);
    this.#server.on("connection", (socket: Socket) => this.#admit(socket));
    this.#server.on("session", (session) => this.#welcome(session));
    this.#server.on("stream", (stream, headers) => this.#serve(stream, headers));
    this.#server.on("tlsClientError", (error: Error, socket: Socket) => {
      // Who connects and leaves is looking whether the port is open.
      if (!("code" in error && error.code === "ECONNRESET")) this.#handshakeFailed(error, socket);
      socket.destroy();
    });
  }

  /** @param port 0 for any. @throws MeshError `unavailable` if the port cannot be had, naming it. */
  async listen(at: ListenAddress): Promise<{ readonly port: number }> {
    await this.#listen({ host: at.address, port: at.port }, (error) => listenError(this.#name, at, error));
    return { port: (this.#server.address() as AddressInfo).port };
  }

  /** On a Unix domain socket that nobody but our own user may open. @throws what the system says */
  async listenOnSocket(path: string): Promise<void> {
    // The file is there before `#listen` returns: nobody can open it before its mode is right.
    const mask = process.umask(0o177);
    const listening = this.#listen({ path }, (error) => error);
    process.umask(mask);
    await listening;
  }

  #listen(at: ListenOptions, toError: (error: Error) => Error): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(toError(error)));
      this.#server.listen(at, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", (error) =>
          this.#log.error("the port failed", { port: at.path ?? at.port, why: messageOf(error) }),
        );
        resolve();
      });
    });
  }

  /**
   * For connections from now on. Those that are open live on, but streams whose client certificate counts no more end.
   * @throws MeshError `invalid`; the old one stays then.
   */
  setCertificate(certificate: ServingCertificate): void {
    checkCertificate(certificate);
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(tlsOptions(certificate));
    this.#clientTrust = certificate.clientTrust;
    for (const channel of this.#channels) {
      const { certificateChain: chain, remoteAddress: address } = channel.credentials;
      const why = chain.length === 0 ? undefined : this.#clientTrust?.whyNot(chain);
      if (why === undefined) continue;
      this.#refused.add(1, { reason: "client certificate counts no more" });
      this.#log.warn("stream ended: its client certificate counts no more", { port: this.#name, address, why });
      channel.end(new MeshError("unauthenticated", "the client certificate counts no more"));
    }
  }

  /**
   * Tells streams to come back elsewhere, lets calls end for `graceMs`, gives up those that have not, and cuts every
   * connection. Takes at most `graceMs` and `limits.flushMs`.
   */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#sockets.destroyUnestablished();
    // Says GOAWAY, and closes the connection when its last stream has ended.
    for (const session of this.#sessions.keys()) session.close();
    // In these words ztunnel comes back after 10 ms, without a warning (contract ztunnel.md 2.6).
    const error = new MeshError("unavailable", "received prior goaway: this control plane is shutting down");
    for (const channel of this.#channels) channel.end(error);
    await this.#within(graceMs, closed);
    for (const call of this.#calls) call.end(error);
    await this.#within(this.#limits.flushMs, closed);
    for (const session of this.#sessions.keys()) session.destroy();
    this.#sockets.destroyAll();
    await closed;
  }

  async #within(waitMs: number, closed: Promise<void>): Promise<void> {
    if (waitMs === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#host.clock.after(waitMs, resolve);
      void closed.then(() => (timer[Symbol.dispose](), resolve()));
    });
  }

  #create(certificate: ServingCertificate | undefined): Http2Server | Http2SecureServer {
    const { concurrentStreamsMax, headerBytesMax, windowBytes } = this.#limits;
    const options = {
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: 100,
      // In MB. Node counts the messages that wait to be sent, although they are shared, and refuses any other stream of
      // the connection over it; headers, which it is meant for, are bounded by the limits above.
      maxSessionMemory: SESSION_MEGABYTES_MAX,
      settings: {
        maxConcurrentStreams: concurrentStreamsMax,
        maxHeaderListSize: headerBytesMax,
        initialWindowSize: windowBytes,
      },
    };
    if (certificate === undefined) return createServer(options);
    checkCertificate(certificate);
    return createSecureServer({
      ...options,
      ...tlsOptions(certificate),
      allowHTTP1: false,
      ALPNProtocols: ["h2"],
      requestCert: true,
      rejectUnauthorized: false,
    });
  }

  #admit(socket: Socket): void {
    const show = (): void => this.#open.set(this.#sockets.count, { port: this.#name });
    const late = (): void => this.#handshakeFailed(new Error("it took too long"), socket);
    socket.on("error", () => {});
    if (this.#sockets.admit(socket, { late, closed: show })) {
      show();
      return;
    }
    const [address, open] = [socket.remoteAddress, this.#sockets.count];
    this.#refused.add(1, { reason: "too many connections" });
    this.#strangers.warn("connection refused: too many are open", { port: this.#name, address, open });
    socket.destroy();
  }

  /** Often a client that does not trust our certificate: `why` has its words. */
  #handshakeFailed(error: Error, socket: Socket): void {
    const { remoteAddress: address } = socket;
    this.#refused.add(1, { reason: "handshake failed" });
    this.#log.debug("handshake failed", { port: this.#name, address, why: messageOf(error) });
  }

  #welcome(session: ServerHttp2Session): void {
    this.#sockets.established(session.socket);
    const connection = new Connection(session, this.#host.clock, this.#limits);
    this.#sessions.set(session, connection);
    session.on("error", (error) => this.#log.debug("connection failed", { why: messageOf(error) }));
    session.once("close", () => {
      this.#sessions.delete(session);
      const { cutOff, remoteAddress } = connection;
      if (cutOff === undefined) return;
      this.#refused.add(1, { reason: cutOff });
      this.#strangers.warn(`connection cut off: ${cutOff}`, { port: this.#name, address: remoteAddress });
    });
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on("error", (error) => this.#log.debug("stream failed", { why: messageOf(error) }));
    const connection = stream.session && this.#sessions.get(stream.session as ServerHttp2Session);
    if (connection === undefined) return;
    connection.opened();
    // Not "aborted": that is not emitted for a stream whose end was read first.
    stream.once("close", () => stream.rstCode !== constants.NGHTTP2_NO_ERROR && connection.reset());
    if (!isGrpc(stream, headers)) return;
    const method = this.#methods.get(headers[":path"] ?? "");
    const refuse = (error: MeshError): void => respondStatus(stream, statusHeaders(error));
    if (method === undefined) return refuse(unknownMethod(headers[":path"]));
    if ((headers["grpc-encoding"] ?? "identity") !== "identity")
      return refuse(new MeshError("unsupported", "send messages uncompressed"));
    const place = this.#unproven.take(connection.address);
    if (place === undefined) {
      this.#callsRefused.add(1, { reason: "too many unproven" });
      const { remoteAddress: address } = connection;
      this.#strangers.warn("call refused: too many wait to be authenticated", { port: this.#name, address });
      return refuse(new MeshError("unavailable", "too many calls wait to be authenticated; ask again"));
    }
    stream.once("close", () => place[Symbol.dispose]());
    if (method.kind === "unary") this.#call(stream, method, connection, headers);
    else void this.#openStream(stream, method, connection, headers).then(() => place[Symbol.dispose]());
  }

  #call(stream: ServerHttp2Stream, method: UnaryMethod, connection: Connection, headers: IncomingHttpHeaders): void {
    const call = new UnaryCall(stream, method, this.#surroundings);
    this.#calls.add(call);
    stream.once("close", () => this.#calls.delete(call));
    void call.serve(this.#credentials(connection, headers), textOf(headers["grpc-timeout"]));
  }

  async #openStream(
    stream: ServerHttp2Stream,
    method: StreamMethod,
    connection: Connection,
    headers: IncomingHttpHeaders,
  ): Promise<void> {
    const channel = new StreamChannel(stream, method, this.#credentials(connection, headers), this.#surroundings);
    this.#channels.add(channel);
    stream.once("close", () => this.#channels.delete(channel));
    await channel.open();
  }

  #credentials(connection: Connection, headers: IncomingHttpHeaders): Credentials {
    const { remoteAddress } = connection;
    const unverified = (reason: string): void =>
      this.#strangers.warn(`client certificate not verified: ${reason}`, { port: this.#name, address: remoteAddress });
    return {
      authorization: textOf(headers["authorization"]),
      clusterId: textOf(headers["clusterid"]),
      certificateChain: this.#provenChain(connection.certificateChain(unverified), unverified),
      remoteAddress,
    };
  }

  #provenChain(chain: readonly Uint8Array[], unverified: (reason: string) => void): readonly Uint8Array[] {
    const why = chain.length === 0 ? undefined : this.#clientTrust?.whyNot(chain);
    if (why === undefined) return chain;
    unverified(why);
    return [];
  }
}

const textOf = (header: unknown): string | undefined => (typeof header === "string" ? header : undefined);

/** Answers in HTTP to what is not gRPC. */
function isGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"] ?? "";
  const status = headers[":method"] !== "POST" ? 405 : /^application\/grpc($|[+;])/.test(type) ? 200 : 415;
  if (status !== 200) respondHttp(stream, status);
  return status === 200;
}

function unknownMethod(path: string | undefined): MeshError {
  return new MeshError("unsupported", `no method ${JSON.stringify((path ?? "").slice(0, 200))} is served on this port`);
}

function tlsOptions({ chain, key, clientRoots }: ServingCertificate): {
  cert: string;
  key: string;
  ca: string[];
  minVersion: "TLSv1.2";
  secureOptions: number;
} {
  return {
    cert: chain,
    key,
    // An empty list, unlike none, is not the machine's list of public authorities.
    ca: clientRoots === undefined ? [] : [clientRoots],
    minVersion: "TLSv1.2",
    // A resumed session would keep a client certificate that has expired since.
    secureOptions: SSL_OP_NO_TICKET,
  };
}

function checkCertificate(certificate: ServingCertificate): void {
  try {
    createSecureContext(tlsOptions(certificate));
  } catch (thrown) {
    const why = messageOf(thrown);
    throw new MeshError("invalid", `the serving certificate and its key cannot be used: ${why}`, {}, { cause: thrown });
  }
}
