import * as http2 from "node:http2";
import { connect as connectTls } from "node:tls";
import { messagePrefix } from "../src/grpc/frames.ts";
import { ADDRESS_TYPE, type DeltaRequest } from "../src/xds/resource.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "../src/xds/wire.ts";

/** What the parent wants. Ports are on 127.0.0.1, and speak TLS that `root` verifies. */
export type ClientOrder =
  /** Connects and receives one whole response; `tell` its names and versions for `return`. */
  | { readonly do: "snapshot"; readonly port: number; readonly root: string; readonly remember: boolean }
  /** Connects and receives `bytes` over plain TLS. */
  | { readonly do: "raw"; readonly port: number; readonly root: string; readonly bytes: number }
  /** Connects `count` streams; reports once all have their first response, then each time all have another. */
  | {
      readonly do: "streams";
      readonly port: number;
      readonly root: string;
      readonly count: number;
      readonly ack: boolean;
    }
  /** Connects `count` streams that hold what was remembered; reports once each has an answer. */
  | { readonly do: "return"; readonly port: number; readonly root: string; readonly count: number };

export interface ClientReport {
  /** From before the connection to the last byte. */
  readonly ms: number;
  readonly bytes: number;
  /** When the last byte came, on the clock of the machine. */
  readonly at: number;
  readonly error?: string;
}

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const machineNow = (): number => performance.timeOrigin + performance.now();

const blank: DeltaRequest = {
  typeUrl: ADDRESS_TYPE,
  node: {
    id: "agent~10.0.0.9~bench.istio-system~istio-system.svc.cluster.local",
    metadata: new Map([["NAMESPACE", "istio-system"]]),
  },
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: "",
  rejection: undefined,
};

let held: ReadonlyMap<string, string> = new Map();

function framed(request: DeltaRequest): Buffer {
  const message = encodeDeltaRequest(request);
  return Buffer.concat([messagePrefix(message.length), message]);
}

/** One stream over a connection of its own, with the windows of a ztunnel (contract ztunnel.md 1.3). */
function open(
  port: number,
  root: string,
  first: Buffer,
  onMessage: (message: Buffer, stream: http2.ClientHttp2Stream) => void,
): void {
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca: root, settings: { initialWindowSize: 2 << 20 } });
  session.once("connect", () => session.setLocalWindowSize(5 << 20));
  session.on("error", fail);
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", fail);
  let parts: Buffer[] = [];
  let have = 0;
  stream.on("data", (chunk: Buffer) => {
    parts.push(chunk);
    have += chunk.length;
    while (have >= 5) {
      const head = parts[0]!.length >= 5 ? parts[0]! : Buffer.concat(parts);
      const length = 5 + head.readUInt32BE(1);
      if (have < length) return;
      const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts, have);
      parts = have === length ? [] : [all.subarray(length)];
      have -= length;
      onMessage(all.subarray(5, length), stream);
    }
  });
  stream.write(first);
}

function fail(error: Error): void {
  report({ ms: 0, bytes: 0, at: 0, error: error.message });
}

function report(value: ClientReport): void {
  process.send!(value);
}

function snapshot({ port, root, remember }: Extract<ClientOrder, { do: "snapshot" }>): void {
  const start = performance.now();
  open(port, root, framed(blank), (message, stream) => {
    const [ms, at] = [performance.now() - start, machineNow()];
    if (remember) held = new Map(decodeDeltaResponse(message).resources.map(({ name, version }) => [name, version]));
    stream.session?.destroy();
    report({ ms, bytes: message.length, at });
  });
}

function raw({ port, root, bytes }: Extract<ClientOrder, { do: "raw" }>): void {
  const start = performance.now();
  const socket = connectTls({ port, host: "127.0.0.1", ca: root, servername: "localhost" });
  let have = 0;
  socket.on("error", fail);
  socket.on("secureConnect", () => socket.write("go"));
  socket.on("data", (chunk: Buffer) => {
    have += chunk.length;
    if (have < bytes) return;
    report({ ms: performance.now() - start, bytes: have, at: machineNow() });
    socket.destroy();
  });
}

function streams(
  order: { readonly port: number; readonly root: string; readonly count: number },
  first: Buffer,
  ack: boolean,
): void {
  const start = performance.now();
  let [waiting, bytes] = [order.count, 0];
  // Answered once all are in: what a client does with a response is no part of how long it takes to arrive.
  let unanswered: (readonly [Buffer, http2.ClientHttp2Stream])[] = [];
  const received = (message: Buffer, stream: http2.ClientHttp2Stream): void => {
    bytes += message.length;
    waiting -= 1;
    if (ack) unanswered.push([message, stream]);
    if (waiting > 0) return;
    waiting = order.count;
    report({ ms: performance.now() - start, bytes, at: machineNow() });
    bytes = 0;
    for (const [response, from] of unanswered)
      from.write(framed({ ...blank, node: undefined, nonce: decodeDeltaResponse(response).nonce }));
    unanswered = [];
  };
  for (let at = 0; at < order.count; at += 1) open(order.port, order.root, first, received);
}

process.on("message", (order: ClientOrder) => {
  if (order.do === "snapshot") snapshot(order);
  else if (order.do === "raw") raw(order);
  else if (order.do === "streams") streams(order, framed(blank), order.ack);
  else streams(order, framed({ ...blank, initialVersions: held }), false);
});
