import assert from "node:assert/strict";
import { once } from "node:events";
import * as http2 from "node:http2";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { ServerLimits } from "../../src/grpc/limits.ts";
import type { StreamMethod } from "../../src/grpc/method.ts";
import {
  authority,
  callUnary,
  cleanups,
  client,
  closeOf,
  echo,
  type Lab,
  raw,
  serve,
  STREAM,
  UNARY,
  unary,
} from "./lab.ts";
import { until } from "../kits/until.ts";
import { data, headers, PING, RawClient, reset, SETTINGS, Type } from "./raw-client.ts";

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

const plain = (methods: readonly (StreamMethod | ReturnType<typeof unary>)[], limits: Partial<ServerLimits> = {}) =>
  serve(methods, { certificate: undefined, limits });

/** As a proxy in front of us could be set up wrongly. */
test("a TLS client that does not speak HTTP/2 is closed, and told why if it can be", async () => {
  const { port } = await serve([]);
  const silent = connectTls({ port, host: "127.0.0.1", ca: authority.root });
  const answer = once(silent, "data");
  silent.on("error", () => {});
  silent.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(String((await answer)[0]), /^HTTP\/1.0 403/);
  const older = connectTls({ port, host: "127.0.0.1", ca: authority.root, ALPNProtocols: ["http/1.1"] });
  const [error] = (await once(older, "error")) as [Error];
  assert.match(error.message, /no application protocol/i);
});

test("a TLS handshake is done in time or cut off, however busily it dawdles", async () => {
  const { port, host, server } = await serve([]);
  const socket = connectTcp(port, "127.0.0.1");
  cleanups.push(() => socket.destroy());
  socket.on("error", () => {});
  await until(() => host.metric("grpc_connections{port=test}") === 1);
  socket.write(Buffer.from([22, 3, 1]));
  host.clock.advance(4_999);
  assert.equal(host.metric("grpc_connections_refused_total{reason=handshake failed}"), 0);
  const closed = new Promise<void>((done) => socket.once("close", () => done()));
  socket.resume();
  host.clock.advance(1);
  await closed;
  assert.equal(host.metric("grpc_connections_refused_total{reason=handshake failed}"), 1);
  await until(() => host.metric("grpc_connections{port=test}") === 0);
  await server.close(0);
});

test("closing does not wait for a handshake", async () => {
  const { port, host, server } = await serve([]);
  const socket = connectTcp(port, "127.0.0.1");
  cleanups.push(() => socket.destroy());
  socket.on("error", () => {});
  await until(() => host.metric("grpc_connections{port=test}") === 1);
  await server.close(0);
});

test("a connection keeps its place past the handshake's deadline once that is done", async () => {
  const { port, host } = await serve([echo()]);
  const { session, request } = raw(port);
  await once(session, "remoteSettings");
  await request({ ":path": "/nowhere" });
  host.clock.advance(6_000);
  assert.equal((await request({ ":path": "/nowhere" }))["grpc-status"], "12");
});

test("who is refused while it still sends is told to stop, and forgotten", async () => {
  const angry: StreamMethod = {
    ...echo(),
    open: (channel) => {
      channel.sendHeaders();
      const message = (): void => {
        throw new MeshError("invalid", "bad");
      };
      return Promise.resolve({ message, writable: () => {}, closed: () => {} });
    },
  };
  const { port, host } = await plain([angry, unary((request) => Promise.resolve(request), 10)]);
  const from = await RawClient.connect(port);
  from.send(
    headers(1, UNARY),
    data(1, [0, 0, 0, 1, 0]),
    headers(3, STREAM),
    data(3, [0, 0, 0, 0, 0]),
    headers(5, "/x"),
  );
  for (const id of [1, 3, 5]) {
    await from.frame(({ last, stream }) => last && stream === id);
    host.clock.advance(0);
    const { payload } = await from.frame(({ type, stream }) => type === Type.reset && stream === id);
    assert.equal(payload.readUInt32BE(), http2.constants.NGHTTP2_NO_ERROR);
  }
});

test("a request that never ends is given up after a minute", async () => {
  const { port, host } = await plain([unary((request) => Promise.resolve(request))], { pingMs: 3_600_000 });
  const from = await RawClient.connect(port);
  from.send(headers(1, UNARY), data(1, [0, 0, 0, 0, 9, 1]), PING);
  await from.frame(({ type }) => type === Type.ping);
  host.clock.advance(59_999);
  from.send(headers(3, "/nowhere"));
  await from.frame(({ stream }) => stream === 3);
  assert.ok(!from.frames.some(({ stream }) => stream === 1));
  host.clock.advance(1);
  await from.frame(({ type, stream }) => type === Type.headers && stream === 1);
  await from.frame(({ type, stream }) => type === Type.reset && stream === 1);
});

test("a client that resets as fast as it asks is cut off", async () => {
  const { port, host } = await plain([echo()], { resetsPerSecondMax: 50 });
  const from = await RawClient.connect(port);
  for (let id = 1; id < 201; id += 2) from.send(headers(id, STREAM), reset(id));
  const { payload } = await from.frame(({ type }) => type === Type.goaway);
  assert.equal(payload.readUInt32BE(4), http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  await from.closed;
  await until(() => host.metric("grpc_connections_refused_total{reason=too many streams cancelled}") === 1);
});

test("resets may cross answers at any moment", async () => {
  let calls = 0;
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const patience = async (): Promise<number> => {
    const call = calls++;
    for (let i = 0; i < call % 7; i++) await (i % 2 === 0 ? turn() : undefined);
    return call;
  };
  const open: StreamMethod["open"] = async (channel) => {
    const call = await patience();
    if (call % 3 === 0) throw new MeshError("denied", "no");
    channel.sendHeaders();
    channel.send([Buffer.from("x")]);
    if (call % 3 === 1) channel.end();
    return { message: () => {}, writable: () => {}, closed: () => {} };
  };
  const answer = unary(async (request) => (await patience(), request));
  const { port, host } = await plain([{ ...echo(), open }, answer], { resetsPerSecondMax: 1e9 });
  for (let round = 0; round < 10; round++) {
    const from = await RawClient.connect(port);
    for (let id = 1; id < 80; id += 2) {
      from.send(headers(id, id % 8 === 1 ? UNARY : STREAM), data(id, [0, 0, 0, 0, 1, 7]));
      for (let i = 0; i < id % 5; i++) await turn();
      from.send(reset(id));
    }
    for (let id = 81; id < 120; id += 2) {
      from.send(headers(id, "/nowhere", { method: id % 4 === 1 ? "GET" : "POST" }), reset(id));
    }
    from.send(PING);
    await from.frame(({ type }) => type === Type.ping);
    from.close();
  }
  assert.ok(calls > 200, `only ${calls} calls arrived`);
  assert.deepEqual(
    host.lines.filter((line) => line.startsWith("error")),
    [],
  );
});

test("floods of pings and settings hurt nobody else", async () => {
  const { port, host } = await plain([unary((request) => Promise.resolve(request))]);
  for (const flood of [PING, SETTINGS]) {
    const from = await RawClient.connect(port, { reading: false });
    for (let i = 0; i < 200; i++) from.send(Buffer.concat(Array<Buffer>(100).fill(flood)));
    const good = await RawClient.connect(port);
    good.send(headers(1, "/nowhere"));
    await good.frame(({ stream }) => stream === 1);
    from.close();
    good.close();
  }
  await until(() => host.metric("grpc_connections{port=test}") === 0);
});

test("headers without end cost no more than their limit", async () => {
  const { port } = await plain([unary((request) => Promise.resolve(request))]);
  const from = await RawClient.connect(port);
  const fill = Buffer.concat([Buffer.from([0, 1, 0x78, 127, 0x81, 0x7d]), Buffer.alloc(16_000, 0x61)]);
  const continuation = (id: number): Buffer => {
    const frame = Buffer.alloc(9);
    frame.writeUIntBE(fill.length, 0, 3);
    frame[3] = 9;
    frame.writeUInt32BE(id, 5);
    return Buffer.concat([frame, fill]);
  };
  from.send(headers(1, UNARY, { last: false }));
  for (let i = 0; i < 20; i++) from.send(continuation(1));
  await from.closed;
});

test("calls that have proven nothing are bounded by address", async () => {
  let letIn = (): void => {};
  const door = new Promise<void>((resolve) => (letIn = resolve));
  const slow: StreamMethod = { ...echo(), open: async (channel) => (await door, echo().open(channel)) };
  const { port, host } = await plain([slow], { unprovenPerAddressMax: 2 });
  const from = await RawClient.connect(port);
  from.send(headers(1, STREAM), headers(3, STREAM), headers(5, STREAM));
  const refused = await from.frame(({ stream }) => stream !== 0);
  assert.equal(refused.stream, 5);
  assert.equal(host.metric("grpc_calls_refused_total{reason=too many unproven}"), 1);
  const said = host.lines.filter((line) => line.startsWith("warn grpc: call refused: too many wait to be"));
  assert.equal(said.length, 1, host.lines.join("\n"));
  letIn();
  await from.frame(({ stream, type }) => stream === 3 && type === Type.headers);
  from.send(headers(7, STREAM));
  await from.frame(({ stream, type }) => stream === 7 && type === Type.headers);
  assert.equal(host.metric("grpc_calls_refused_total{reason=too many unproven}"), 1);
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
