import assert from "node:assert/strict";
import { once } from "node:events";
import * as http2 from "node:http2";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { afterEach, before, test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { MessageChannel, MessageReceiver, Method, StreamMethod, UnaryMethod } from "../../src/grpc/method.ts";
import { GrpcServer, type GrpcServerOptions } from "../../src/grpc/server.ts";
import type { ServerLimits } from "../../src/grpc/limits.ts";
import { TestHost } from "../kits/test-host.ts";
import { type Pair, TestAuthority } from "../kits/tls.ts";

let authority: TestAuthority;
let pair: Pair;
before(async () => {
  authority = await TestAuthority.create();
  pair = await authority.issue();
});

/** What each test opened, last first. */
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Lab {
  readonly host: TestHost;
  readonly server: GrpcServer;
  readonly port: number;
}

async function serve(methods: readonly Method[], more: Partial<GrpcServerOptions> = {}): Promise<Lab> {
  const host = new TestHost();
  const certificate = { chain: pair.certificate, key: pair.key, clientRoots: authority.root };
  const server = new GrpcServer(host, { name: "test", methods, certificate, ...more });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  cleanups.push(() => server.close(0));
  return { host, server, port };
}

const UNARY = "/test/Unary";
const STREAM = "/test/Stream";
const same = (bytes: Buffer): Buffer => bytes;

function client(port: number, own?: Pair): grpc.Client {
  const [key, chain] = own === undefined ? [null, null] : [Buffer.from(own.key), Buffer.from(own.certificate)];
  const credentials = grpc.credentials.createSsl(Buffer.from(authority.root), key, chain);
  const opened = new grpc.Client(`127.0.0.1:${port}`, credentials, {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
  });
  cleanups.push(() => opened.close());
  return opened;
}

function callUnary(from: grpc.Client, request: Buffer, options: grpc.CallOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    from.makeUnaryRequest(UNARY, same, same, request, new grpc.Metadata(), options, (error, answer) =>
      error ? reject(error) : resolve(answer!),
    );
  });
}

const unary = (call: UnaryMethod["call"], requestBytesMax = 1 << 20): UnaryMethod => ({
  kind: "unary",
  path: UNARY,
  requestBytesMax,
  call,
});

/** Sends back every message. */
const echo = (requestBytesMax = 128 << 20): StreamMethod => ({
  kind: "stream",
  path: STREAM,
  requestBytesMax,
  open: (channel) => {
    channel.sendHeaders();
    return Promise.resolve({ message: (bytes) => void channel.send([bytes]), writable: () => {}, closed: () => {} });
  },
});

const quiet: MessageReceiver = { message: () => {}, writable: () => {}, closed: () => {} };

/** A stream method that hands out each channel that it is opened with. */
function captured(receiver: Partial<MessageReceiver> = {}): { method: StreamMethod; opened: Promise<MessageChannel> } {
  let take: (channel: MessageChannel) => void;
  const opened = new Promise<MessageChannel>((resolve) => (take = resolve));
  const open = (channel: MessageChannel): Promise<MessageReceiver> => {
    channel.sendHeaders();
    take(channel);
    return Promise.resolve({ ...quiet, ...receiver });
  };
  return { method: { kind: "stream", path: STREAM, requestBytesMax: 1 << 20, open }, opened };
}

function startStream(from: grpc.Client): grpc.ClientDuplexStream<Buffer, Buffer> {
  const stream = from.makeBidiStreamRequest<Buffer, Buffer>(STREAM, same, same, new grpc.Metadata());
  stream.on("error", () => {});
  cleanups.push(() => stream.cancel());
  return stream;
}

const statusOf = (stream: grpc.ClientDuplexStream<Buffer, Buffer>): Promise<grpc.StatusObject> =>
  new Promise((resolve) => stream.once("status", resolve));

test("a call is answered, and its credentials are seen", async () => {
  const seen: unknown[] = [];
  const { port } = await serve([
    unary((request, credentials) => {
      seen.push(credentials.authorization, credentials.clusterId, credentials.certificateChain.length);
      return Promise.resolve(Buffer.concat([Buffer.from("re: "), request]));
    }),
  ]);
  const metadata = new grpc.Metadata();
  metadata.set("authorization", "Bearer t");
  metadata.set("clusterid", "east");
  const answer = await new Promise<Buffer>((resolve, reject) => {
    client(port).makeUnaryRequest(UNARY, same, same, Buffer.from("hi"), metadata, (error, value) =>
      error ? reject(error) : resolve(value!),
    );
  });
  assert.equal(answer.toString(), "re: hi");
  assert.deepEqual(seen, ["Bearer t", "east", 0]);
});

test("what a method throws arrives as its status and text, whatever the alphabet", async () => {
  const { port } = await serve([
    unary((request) => {
      const [code, text] = request.toString().split("|");
      throw code === "bug" ? new TypeError("secret") : new MeshError(code as MeshError["code"], text!);
    }),
  ]);
  const cases: readonly (readonly [string, string, grpc.status, string])[] = [
    ["invalid", "100 % straße\nline", grpc.status.INVALID_ARGUMENT, "100 % straße\nline"],
    ["unauthenticated", "who", grpc.status.UNAUTHENTICATED, "who"],
    ["denied", "no", grpc.status.PERMISSION_DENIED, "no"],
    ["absent", "gone", grpc.status.NOT_FOUND, "gone"],
    ["exhausted", "full", grpc.status.RESOURCE_EXHAUSTED, "full"],
    ["unavailable", "later", grpc.status.UNAVAILABLE, "later"],
    ["timeout", "late", grpc.status.DEADLINE_EXCEEDED, "late"],
    ["unsupported", "never", grpc.status.UNIMPLEMENTED, "never"],
    ["bug", "", grpc.status.INTERNAL, "internal error"],
  ];
  const from = client(port);
  for (const [code, text, status, details] of cases)
    await assert.rejects(callUnary(from, Buffer.from(`${code}|${text}`)), { code: status, details });
});

test("messages of any size go both ways", async () => {
  const { port } = await serve([echo()]);
  const stream = startStream(client(port));
  for (const size of [0, 1, 70_000, 5 << 20, 64 << 20]) {
    const message = Buffer.alloc(size, size % 251);
    stream.write(message);
    const [answer] = (await once(stream, "data")) as [Buffer];
    assert.ok(answer.equals(message), `${size} bytes`);
  }
});

test("a message is sent from the parts that were given, in order", async () => {
  const { method, opened } = captured();
  const { port } = await serve([method]);
  const stream = startStream(client(port));
  const channel = await opened;
  channel.send(["a", "b", "c"].map((part) => Buffer.from(part.repeat(30_000))));
  const [message] = (await once(stream, "data")) as [Buffer];
  assert.equal(message.toString(), "a".repeat(30_000) + "b".repeat(30_000) + "c".repeat(30_000));
});

test("headers arrive before any message", async () => {
  const { method } = captured();
  const { port } = await serve([method]);
  await once(startStream(client(port)), "metadata");
});

test("who is refused at the door gets a status, and is not read", async () => {
  const refuse = (): Promise<never> => Promise.reject(new MeshError("unauthenticated", "authentication failure"));
  const { port } = await serve([{ ...echo(), open: refuse }]);
  const stream = startStream(client(port));
  stream.write(Buffer.alloc(1000));
  const status = await statusOf(stream);
  assert.deepEqual([status.code, status.details], [grpc.status.UNAUTHENTICATED, "authentication failure"]);
});

test("messages wait until the door opens", async () => {
  let letIn = (): void => {};
  const door = new Promise<void>((resolve) => (letIn = resolve));
  const { port } = await serve([{ ...echo(), open: async (channel) => (await door, echo().open(channel)) }]);
  const stream = startStream(client(port));
  stream.write(Buffer.from("one"));
  stream.write(Buffer.from("two"));
  letIn();
  const [first] = (await once(stream, "data")) as [Buffer];
  assert.equal(first.toString(), "one");
});

test("a message over the limit ends the stream before it is read", async () => {
  const { port } = await serve([echo(1000)]);
  const stream = startStream(client(port));
  stream.write(Buffer.alloc(1001));
  const status = await statusOf(stream);
  assert.equal(status.code, grpc.status.RESOURCE_EXHAUSTED);
  assert.match(status.details, /1001 bytes; 1000 is the most/);
});

test("a method that throws ends its stream, and no other", async () => {
  const picky: StreamMethod = {
    ...echo(),
    open: async (channel) => ({
      ...(await echo().open(channel)),
      message: (bytes) => {
        if (bytes.length === 0) throw new MeshError("invalid", "empty");
        channel.send([bytes]);
      },
    }),
  };
  const { port } = await serve([picky]);
  const from = client(port);
  const [good, bad] = [startStream(from), startStream(from)];
  bad.write(Buffer.alloc(0));
  assert.equal((await statusOf(bad)).code, grpc.status.INVALID_ARGUMENT);
  good.write(Buffer.from("still here"));
  assert.equal(((await once(good, "data")) as [Buffer])[0].toString(), "still here");
});

test("a client that leaves is told to the method once", async () => {
  let closed = 0;
  let gone = (): void => {};
  const left = new Promise<void>((resolve) => (gone = resolve));
  const { method, opened } = captured({ closed: () => ((closed += 1), gone()) });
  const { port } = await serve([method]);
  const stream = startStream(client(port));
  const channel = await opened;
  stream.cancel();
  await left;
  channel.end();
  assert.ok(channel.send([Buffer.from("lost")]));
  assert.equal(closed, 1);
});

test("a client that ends its side gets OK", async () => {
  const { port } = await serve([echo()]);
  const stream = startStream(client(port));
  stream.on("data", () => {});
  stream.end();
  assert.equal((await statusOf(stream)).code, grpc.status.OK);
});

test("a reader that stalls makes send say so, and writable says when to go on", async () => {
  let writable = (): void => {};
  const drained = new Promise<void>((resolve) => (writable = resolve));
  const { method, opened } = captured({ writable });
  const { port } = await serve([method]);
  const stream = startStream(client(port));
  stream.pause();
  const channel = await opened;
  const part = Buffer.alloc(8 << 20);
  let sent = 0;
  while (channel.send([part])) sent += 1;
  assert.ok(sent < 10, `${sent} messages of 8 MiB taken without a word`);
  stream.on("data", () => {});
  await drained;
});

test("a call that takes longer than its deadline ends there, and the method hears of it", async () => {
  const aborted: unknown[] = [];
  let heard = (): void => {};
  const known = new Promise<void>((resolve) => (heard = resolve));
  const slow = unary((_, __, signal) => {
    signal.addEventListener("abort", () => (aborted.push(signal.reason), heard()));
    host.clock.advance(60_000);
    return new Promise(() => {});
  });
  const { port, host } = await serve([slow], { limits: { pingMs: 3_600_000 } });
  await assert.rejects(callUnary(client(port), Buffer.from("x")), { code: grpc.status.DEADLINE_EXCEEDED });
  await known;
  assert.equal(aborted.length, 1);
});

test("a new certificate is shown to new connections, and old ones live on", async () => {
  const { port, server } = await serve([echo()]);
  const old = startStream(client(port));
  old.write(Buffer.from("a"));
  await once(old, "data");
  const other = await TestAuthority.create("CN=other root");
  const renewed = await other.issue();
  server.setCertificate({ chain: renewed.certificate, key: renewed.key, clientRoots: undefined });
  assert.throws(
    () => server.setCertificate({ chain: pair.certificate, key: renewed.key, clientRoots: undefined }),
    /the serving certificate and its key cannot be used/,
  );
  const socket = connectTls({ port, host: "127.0.0.1", ca: other.root, ALPNProtocols: ["h2"] });
  cleanups.push(() => socket.destroy());
  await once(socket, "secureConnect");
  assert.ok(socket.authorized);
  old.write(Buffer.from("b"));
  assert.equal(((await once(old, "data")) as [Buffer])[0].toString(), "b");
});

test("a client certificate counts if our roots verify it, and only then", async () => {
  const seen: number[] = [];
  const { port, host } = await serve([
    unary((_, { certificateChain }) => (seen.push(certificateChain.length), Promise.resolve(Buffer.alloc(0)))),
  ]);
  const uri = ["spiffe://cluster.local/ns/shop/sa/cart"];
  const stranger = await TestAuthority.create("CN=stranger");
  await callUnary(client(port, await authority.issue(uri)), Buffer.alloc(0));
  await callUnary(client(port, await stranger.issue(uri)), Buffer.alloc(0));
  await callUnary(client(port, await authority.issue(uri, -1)), Buffer.alloc(0));
  assert.deepEqual(seen, [2, 0, 0]);
  assert.equal(host.lines.filter((line) => line.startsWith("warn grpc: client certificate not verified")).length, 2);
});

test("closing tells streams to come back elsewhere, in the words that ztunnel knows", async () => {
  const { port, server } = await serve([echo()]);
  const stream = startStream(client(port));
  await once(stream, "metadata");
  const status = statusOf(stream);
  await server.close(1000);
  const { code, details } = await status;
  assert.equal(code, grpc.status.UNAVAILABLE);
  assert.match(details, /received prior goaway/);
});

test("a port that cannot be had is one sentence", async () => {
  const { port } = await serve([echo()]);
  const listenOn = (address: string, at: number): Promise<unknown> =>
    new GrpcServer(new TestHost(), { name: "xds", methods: [], certificate: undefined }).listen({ address, port: at });
  await assert.rejects(listenOn("127.0.0.1", port), {
    name: "MeshError",
    message: `xds cannot listen on 127.0.0.1:${port}: another program has it; stop that program or choose another port`,
  });
  await assert.rejects(listenOn("192.0.2.1", 0), /does not have the address/);
});

interface Raw {
  readonly session: http2.ClientHttp2Session;
  readonly request: (headers: http2.OutgoingHttpHeaders, body?: Buffer) => Promise<http2.IncomingHttpHeaders>;
}

/** A client that is not bound by gRPC. */
function raw(port: number): Raw {
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

test("what is not gRPC, not known or compressed is told so", async () => {
  const { port } = await serve([echo(), unary((request) => Promise.resolve(Buffer.from(request)))]);
  const { request } = raw(port);
  assert.equal((await request({ ":path": UNARY, ":method": "GET" }))[":status"], 405);
  assert.equal((await request({ ":path": UNARY, "content-type": "text/html" }))[":status"], 415);
  assert.equal((await request({ ":path": "/nowhere" }))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY, "grpc-encoding": "gzip" }))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([1, 0, 0, 0, 0])))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 0, 0, 0, 9, 1])))["grpc-status"], "3");
  assert.equal((await request({ ":path": UNARY }))["grpc-status"], "3");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 255, 255, 255, 255])))["grpc-status"], "8");
  const two = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal((await request({ ":path": UNARY }, two))["grpc-status"], "3");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 0, 0, 0, 0])))["grpc-status"], "0");
});

test("garbage on the port hurts nobody", async () => {
  const { port } = await serve([unary((request) => Promise.resolve(Buffer.from(request)))]);
  for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\u0016\u0003\u0001\u00ff\u00ff", "x".repeat(5000)]) {
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(bytes);
    socket.resume();
    await once(socket, "close");
  }
  assert.equal((await callUnary(client(port), Buffer.from("alive"))).toString(), "alive");
});

const limited = (limits: Partial<ServerLimits>): Promise<Lab> => serve([echo()], { limits });

test("a connection without a request is cut off", async () => {
  const { port, host } = await limited({});
  const { session } = raw(port);
  await once(session, "remoteSettings");
  const closed = closeOf(session);
  host.clock.advance(10_000);
  await closed;
  await until(() => host.metric("grpc_connections_refused_total{reason=no request in time}") === 1);
});

test("a client that cancels streams without end is cut off", async () => {
  const { port, host } = await limited({ resetsPerSecondMax: 50 });
  const { session } = raw(port);
  await once(session, "connect");
  const closed = closeOf(session);
  const attack = (): void => {
    if (session.destroyed || session.closed) return;
    const stream = session.request({ ":method": "POST", ":path": STREAM, "content-type": "application/grpc" });
    stream.on("error", () => {});
    stream.once("response", () => {
      stream.close(http2.constants.NGHTTP2_CANCEL);
      setImmediate(attack);
    });
  };
  attack();
  await closed;
  await until(() => host.metric("grpc_connections_refused_total{reason=too many streams cancelled}") === 1);
});

test("no address has more connections than it may", async () => {
  const { port, host } = await limited({ connectionsPerAddressMax: 2 });
  const kept = [raw(port), raw(port)];
  for (const { session } of kept) await once(session, "connect");
  const third = raw(port);
  await closeOf(third.session);
  await until(() => host.metric("grpc_connections_refused_total{reason=too many connections}") === 1);
  kept[0]!.session.destroy();
  await until(() => host.metric("grpc_connections{port=test}") === 1);
  await once(raw(port).session, "connect");
});

test("a connection that does not answer a ping is cut off", async () => {
  const { port, host } = await limited({});
  const { session } = raw(port);
  const stream = session.request({ ":method": "POST", ":path": STREAM, "content-type": "application/grpc" });
  stream.on("error", () => {});
  await once(stream, "response");
  host.clock.advance(30_000);
  host.clock.advance(10_000);
  await closeOf(session);
  await until(() => host.metric("grpc_connections_refused_total{reason=a ping was not answered}") === 1);
});

/** The errors before it are the point of the test. */
const closeOf = (session: http2.ClientHttp2Session): Promise<void> =>
  new Promise((done) => session.once("close", done));

/** Waits for the other end of a socket, whose events are not ours. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve));
}
