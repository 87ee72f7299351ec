import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { MessageChannel, MessageReceiver, StreamMethod } from "../../src/grpc/method.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import {
  authority,
  callUnary,
  captured,
  cleanups,
  client,
  echo,
  pair,
  raw,
  same,
  serve,
  startStream,
  STREAM,
  UNARY,
  unary,
} from "./lab.ts";

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
  for (const size of [0, 1, 70_000, 5 << 20, 70 << 20]) {
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
  assert.equal(channel.bytesWritten, 0, "nothing is on its way any more");
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
  assert.ok(channel.bytesWritten < part.length, "nobody reads");
  stream.on("data", () => {});
  await drained;
  assert.ok(channel.bytesWritten > part.length, "what was read was written");
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
  const reasons = host.lines.filter((line) => line.startsWith("warn grpc:")).map((line) => line.split(" port=")[0]);
  assert.deepEqual(reasons, [
    "warn grpc: client certificate not verified: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "warn grpc: client certificate not verified: CERT_HAS_EXPIRED",
  ]);
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

test("what is not gRPC, not known or compressed is told so", async () => {
  const { port } = await serve([echo(), unary((request) => Promise.resolve(Buffer.from(request)))]);
  const { request } = raw(port);
  assert.equal((await request({ ":path": UNARY, ":method": "GET" }))[":status"], 405);
  assert.equal((await request({ ":path": UNARY, "content-type": "text/html" }))[":status"], 415);
  assert.equal((await request({ ":path": "/nowhere" }))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY, "grpc-encoding": "gzip" }))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([1, 0, 0, 0, 0])))["grpc-status"], "12");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 0, 0, 0, 9, 1])))["grpc-status"], "13");
  assert.equal((await request({ ":path": UNARY }))["grpc-status"], "3");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 255, 255, 255, 255])))["grpc-status"], "8");
  const two = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal((await request({ ":path": UNARY }, two))["grpc-status"], "3");
  assert.equal((await request({ ":path": UNARY }, Buffer.from([0, 0, 0, 0, 0])))["grpc-status"], "0");
});

test("a call under way ends in peace if it ends within the grace", async () => {
  let answer = (_: Buffer): void => {};
  let come = (): void => {};
  const arrived = new Promise<void>((resolve) => (come = resolve));
  const { port, server } = await serve([unary(() => (come(), new Promise((resolve) => (answer = resolve))))]);
  const call = callUnary(client(port), Buffer.from("x"));
  await arrived;
  const closed = server.close(10_000);
  answer(Buffer.from("done"));
  assert.equal((await call).toString(), "done");
  await closed;
});

test("a call that outlasts the grace is told to ask elsewhere, and its method to give up", async () => {
  let come = (): void => {};
  let why: unknown;
  const arrived = new Promise<void>((resolve) => (come = resolve));
  const endless = unary((_, __, signal) => {
    signal.addEventListener("abort", () => (why = signal.reason));
    come();
    return new Promise(() => {});
  });
  const { port, server, host } = await serve([endless]);
  const refused = assert.rejects(callUnary(client(port), Buffer.from("x")), { code: grpc.status.UNAVAILABLE });
  await arrived;
  const closed = server.close(10_000);
  host.clock.advance(10_000);
  await Promise.all([refused, closed]);
  assert.ok(why instanceof MeshError && why.code === "unavailable");
});

test("a client that cancels a call makes its method give up", async () => {
  let come = (): void => {};
  let leave = (): void => {};
  const [arrived, left] = [new Promise<void>((done) => (come = done)), new Promise<void>((done) => (leave = done))];
  const endless = unary((_, __, signal) => {
    signal.addEventListener("abort", leave);
    come();
    return new Promise(() => {});
  });
  const { port } = await serve([endless]);
  const call = client(port).makeUnaryRequest(UNARY, same, same, Buffer.from("x"), () => {});
  await arrived;
  call.cancel();
  await left;
});

test("a mistake in a method is logged with its place, and the client learns nothing of it", async () => {
  const broken: StreamMethod = { ...echo(), open: () => Promise.reject(new TypeError("secret")) };
  const { port, host } = await serve([broken]);
  const { code, details } = await statusOf(startStream(client(port)));
  assert.deepEqual([code, details], [grpc.status.INTERNAL, "internal error"]);
  const [line] = host.lines.filter((each) => each.startsWith("error grpc:"));
  assert.match(line ?? "", /path=\/test\/Stream why=TypeError: secret\n +at /);
});

test("another stream of a connection is served while a large message waits for its reader", async () => {
  const { method, opened } = captured();
  const { port } = await serve([method, unary((request) => Promise.resolve(request))]);
  const from = client(port);
  startStream(from).pause();
  (await opened).send([Buffer.alloc(70 << 20)]);
  assert.equal((await callUnary(from, Buffer.from("here"))).toString(), "here");
});

test("readers that stall share what they wait for", async () => {
  const opened: MessageChannel[] = [];
  const open = (channel: MessageChannel): Promise<MessageReceiver> => {
    channel.sendHeaders();
    opened.push(channel);
    return Promise.resolve({ message: () => {}, writable: () => {}, closed: () => {} });
  };
  const { port } = await serve([{ ...echo(), open }]);
  const readers = 50;
  for (let i = 0; i < readers; i++) {
    const stream = raw(port).session.request({
      ":method": "POST",
      ":path": STREAM,
      "content-type": "application/grpc",
    });
    stream.on("error", () => {});
    await once(stream, "response");
  }
  const shared = Array.from({ length: 32 }, (_, byte) => Buffer.alloc(1 << 20, byte));
  const before = process.memoryUsage.rss();
  for (const channel of opened) assert.equal(channel.send(shared), false);
  // What could be copied is, by the time that a call over TLS has gone there and back.
  await raw(port).request({ ":path": "/nowhere" });
  const grown = (process.memoryUsage.rss() - before) / (1 << 20);
  assert.equal(opened.length, readers);
  assert.ok(grown < 320, `1600 MiB for ${readers} readers took ${grown.toFixed(0)} MiB`);
});
