import * as http2 from "node:http2";
import * as grpc from "@grpc/grpc-js";
import { afterEach, before } from "mocha";
import type { MessageChannel, MessageReceiver, Method, StreamMethod, UnaryMethod } from "../../src/grpc/method.ts";
import { GrpcServer, type GrpcServerOptions } from "../../src/grpc/server.ts";
import { TestHost } from "../kits/test-host.ts";
import { type Pair, TestAuthority } from "../kits/tls.ts";

export let authority: TestAuthority;
export let pair: Pair;
before(async () => {
  authority = await TestAuthority.create();
  pair = await authority.issue();
});

/** What each test opened, last first. */
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export interface Lab {
  readonly host: TestHost;
  readonly server: GrpcServer;
  readonly port: number;
}

export async function serve(methods: readonly Method[], more: Partial<GrpcServerOptions> = {}): Promise<Lab> {
  const host = new TestHost();
  const certificate = { chain: pair.certificate, key: pair.key, clientRoots: authority.root };
  const server = new GrpcServer(host, { name: "test", methods, certificate, ...more });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  cleanups.push(() => server.close(0));
  return { host, server, port };
}

export const UNARY = "/test/Unary";
export const STREAM = "/test/Stream";
export const same = (bytes: Buffer): Buffer => bytes;

export function client(port: number, own?: Pair): grpc.Client {
  const [key, chain] = own === undefined ? [null, null] : [Buffer.from(own.key), Buffer.from(own.certificate)];
  const credentials = grpc.credentials.createSsl(Buffer.from(authority.root), key, chain);
  const opened = new grpc.Client(`127.0.0.1:${port}`, credentials, {
    "grpc.ssl_target_name_override": "localhost",
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
  });
  cleanups.push(() => opened.close());
  return opened;
}

export function callUnary(from: grpc.Client, request: Buffer, options: grpc.CallOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    from.makeUnaryRequest(UNARY, same, same, request, new grpc.Metadata(), options, (error, answer) =>
      error ? reject(error) : resolve(answer!),
    );
  });
}

export const unary = (call: UnaryMethod["call"], requestBytesMax = 1 << 20): UnaryMethod => ({
  kind: "unary",
  path: UNARY,
  requestBytesMax,
  call,
});

/** Sends back every message. */
export const echo = (requestBytesMax = 128 << 20): StreamMethod => ({
  kind: "stream",
  path: STREAM,
  requestBytesMax,
  open: (channel) => {
    channel.sendHeaders();
    return Promise.resolve({ message: (bytes) => void channel.send([bytes]), writable: () => {}, closed: () => {} });
  },
});

export const quiet: MessageReceiver = { message: () => {}, writable: () => {}, closed: () => {} };

/** A stream method that hands out each channel that it is opened with. */
export function captured(receiver: Partial<MessageReceiver> = {}): {
  method: StreamMethod;
  opened: Promise<MessageChannel>;
} {
  let take: (channel: MessageChannel) => void;
  const opened = new Promise<MessageChannel>((resolve) => (take = resolve));
  const open = (channel: MessageChannel): Promise<MessageReceiver> => {
    channel.sendHeaders();
    take(channel);
    return Promise.resolve({ ...quiet, ...receiver });
  };
  return { method: { kind: "stream", path: STREAM, requestBytesMax: 1 << 20, open }, opened };
}

export function startStream(from: grpc.Client): grpc.ClientDuplexStream<Buffer, Buffer> {
  const stream = from.makeBidiStreamRequest<Buffer, Buffer>(STREAM, same, same, new grpc.Metadata());
  stream.on("error", () => {});
  cleanups.push(() => stream.cancel());
  return stream;
}

export interface Raw {
  readonly session: http2.ClientHttp2Session;
  readonly request: (headers: http2.OutgoingHttpHeaders, body?: Buffer) => Promise<http2.IncomingHttpHeaders>;
}

/** A client that is not bound by gRPC. */
export function raw(port: number): Raw {
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca: authority.root });
  session.on("error", () => {});
  cleanups.push(() => session.destroy());
  const request: Raw["request"] = (headers, body = Buffer.alloc(0)) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ":method": "POST", "content-type": "application/grpc", ...headers });
      let found: http2.IncomingHttpHeaders = {};
      stream.on("response", (answer) => (found = { ...found, ...answer }));
      stream.on("trailers", (trailers) => (found = { ...found, ...trailers }));
      stream.on("error", reject);
      stream.on("close", () => resolve(found));
      stream.resume();
      if (!stream.writableEnded) stream.end(body);
    });
  return { session, request };
}

/** The errors before it are the point of the test. */
export const closeOf = (session: http2.ClientHttp2Session): Promise<void> =>
  new Promise((done) => session.once("close", done));
