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
import type { AddressInfo, Socket } from "node:net";
import { createSecureContext } from "node:tls";
import type { Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Counter, Gauge, Host, Logger } from "../host.ts";
import { Connection } from "./connection.ts";
import { SERVER_LIMITS, type ServerLimits } from "./limits.ts";
import { type ListenAddress, listenError } from "./listen-error.ts";
import type { Method } from "./method.ts";
import { respondStatus, StreamChannel } from "./stream-channel.ts";
import { serveUnary } from "./unary-call.ts";

/** What a TLS port shows, in PEM, and whose client certificates it believes. */
export interface ServingCertificate {
  /** Leaf first. */
  readonly chain: string;
  readonly key: string;
  /** Roots of client certificates; without them, no client certificate counts. */
  readonly clientRoots: string | undefined;
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
  readonly #name: string;
  readonly #limits: ServerLimits;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #sessions = new Map<ServerHttp2Session, Connection>();
  readonly #channels = new Set<StreamChannel>();
  readonly #byAddress = new Map<string, number>();
  readonly #open: Gauge;
  readonly #refused: Counter;
  #sockets = 0;
  #calls = 0;
  #onIdle = (): void => {};

  /** @throws MeshError `invalid` if the certificate and its key cannot be used. */
  constructor(host: Host, options: GrpcServerOptions) {
    this.#host = host;
    this.#log = host.log.scope("grpc");
    this.#name = options.name;
    this.#limits = { ...SERVER_LIMITS, ...options.limits };
    this.#methods = new Map(options.methods.map((method) => [method.path, method]));
    this.#open = host.metrics.gauge("grpc_connections", "Open connections, by port.", ["port"]);
    this.#refused = host.metrics.counter("grpc_connections_refused_total", "Connections cut off, by reason.", [
      "reason",
    ]);
    this.#server = this.#create(options.certificate);
    this.#server.on("connection", (socket: Socket) => this.#admit(socket));
    this.#server.on("session", (session) => this.#welcome(session));
    this.#server.on("stream", (stream, headers) => this.#serve(stream, headers));
    this.#server.on("tlsClientError", (error: Error) => this.#log.debug("handshake failed", { why: messageOf(error) }));
  }

  /** @param port 0 for any. @throws MeshError `unavailable` if the port cannot be had, naming it. */
  listen(at: ListenAddress): Promise<{ readonly port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(listenError(this.#name, at, error)));
      this.#server.listen({ host: at.address, port: at.port }, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", (error) =>
          this.#log.error("the port failed", { port: at.port, why: messageOf(error) }),
        );
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  /** For connections from now on; those that are open live on. @throws MeshError `invalid`; the old one stays then. */
  setCertificate(certificate: ServingCertificate): void {
    checkCertificate(certificate);
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(tlsOptions(certificate));
  }

  /** Lets calls end for `graceMs`, tells streams to come back elsewhere, then cuts every connection. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions.keys()) if (!session.destroyed) session.goaway();
    // In these words ztunnel comes back after 10 ms, without a warning (contract ztunnel.md 2.6).
    const error = new MeshError("unavailable", "received prior goaway: this control plane is shutting down");
    for (const channel of this.#channels) channel.end(error);
    if (this.#calls > 0 || this.#channels.size > 0) await this.#idle(graceMs);
    for (const session of this.#sessions.keys()) session.destroy();
    await closed;
  }

  #idle(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#host.clock.after(graceMs, resolve);
      this.#onIdle = () => (timer[Symbol.dispose](), resolve());
    });
  }

  #create(certificate: ServingCertificate | undefined): Http2Server | Http2SecureServer {
    const { concurrentStreamsMax, headerBytesMax, handshakeMs } = this.#limits;
    const options = {
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: 100,
      // Megabytes of queued frames and headers; shared bodies are not counted.
      maxSessionMemory: 32,
      settings: {
        maxConcurrentStreams: concurrentStreamsMax,
        maxHeaderListSize: headerBytesMax,
        // What a client can make us hold before it has proven anything.
        initialWindowSize: 256 * 1024,
      },
    };
    if (certificate === undefined) return createServer(options);
    checkCertificate(certificate);
    return createSecureServer({
      ...options,
      ...tlsOptions(certificate),
      allowHTTP1: false,
      ALPNProtocols: ["h2"],
      handshakeTimeout: handshakeMs,
      requestCert: true,
      rejectUnauthorized: false,
    });
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? "unknown";
    const count = (this.#byAddress.get(address) ?? 0) + 1;
    const over = this.#sockets >= this.#limits.connectionsMax || count > this.#limits.connectionsPerAddressMax;
    if (over) {
      this.#refused.add(1, { reason: "too many connections" });
      this.#log.warn("connection refused: too many are open", { port: this.#name, address, open: this.#sockets });
      socket.destroy();
      return;
    }
    this.#sockets += 1;
    this.#byAddress.set(address, count);
    this.#open.set(this.#sockets, { port: this.#name });
    socket.on("error", () => {});
    socket.once("close", () => this.#forget(address));
  }

  #forget(address: string): void {
    this.#sockets -= 1;
    this.#open.set(this.#sockets, { port: this.#name });
    const count = this.#byAddress.get(address)! - 1;
    if (count > 0) this.#byAddress.set(address, count);
    else this.#byAddress.delete(address);
  }

  #welcome(session: ServerHttp2Session): void {
    const connection = new Connection(session, this.#host.clock, this.#limits);
    this.#sessions.set(session, connection);
    session.on("error", (error) => this.#log.debug("connection failed", { why: messageOf(error) }));
    session.once("close", () => {
      this.#sessions.delete(session);
      const { cutOff, remoteAddress } = connection;
      if (cutOff === undefined) return;
      this.#refused.add(1, { reason: cutOff });
      this.#log.warn(`connection cut off: ${cutOff}`, { port: this.#name, address: remoteAddress });
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
    const encoding = headers["grpc-encoding"] ?? "identity";
    if (method === undefined) respondStatus(stream, unknownMethod(headers[":path"]));
    else if (encoding !== "identity") respondStatus(stream, new MeshError("unsupported", "send messages uncompressed"));
    else this.#call(stream, method, this.#credentials(connection, headers), headers["grpc-timeout"]);
  }

  #call(stream: ServerHttp2Stream, method: Method, credentials: Credentials, timeout: unknown): void {
    const { clock } = this.#host;
    if (method.kind === "unary") {
      this.#calls += 1;
      stream.once("close", () => this.#ended(() => (this.#calls -= 1)));
      void serveUnary(stream, method, { credentials, timeout: textOf(timeout) }, clock);
      return;
    }
    const limits = { messageBytesMax: method.requestBytesMax, flushMs: this.#limits.flushMs };
    const channel = new StreamChannel(stream, credentials, clock, limits);
    this.#channels.add(channel);
    stream.once("close", () => this.#ended(() => this.#channels.delete(channel)));
    void channel.open(method);
  }

  #ended(forget: () => void): void {
    forget();
    if (this.#calls === 0 && this.#channels.size === 0) this.#onIdle();
  }

  #credentials(connection: Connection, headers: IncomingHttpHeaders): Credentials {
    const { remoteAddress } = connection;
    const unverified = (reason: string): void =>
      this.#log.warn("client certificate not verified", { port: this.#name, address: remoteAddress, reason });
    return {
      authorization: textOf(headers["authorization"]),
      clusterId: textOf(headers["clusterid"]),
      certificateChain: connection.certificateChain(unverified),
      remoteAddress,
    };
  }
}

const textOf = (header: unknown): string | undefined => (typeof header === "string" ? header : undefined);

/** Answers in HTTP to what is not gRPC. */
function isGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"] ?? "";
  const status = headers[":method"] !== "POST" ? 405 : /^application\/grpc($|[+;])/.test(type) ? 200 : 415;
  if (status !== 200) stream.respond({ ":status": status }, { endStream: true });
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
