import http2 from "node:http2";
import { MessageReader, messagePrefix } from "../../src/grpc/frames.ts";
import { ADDRESS_TYPE, type DeltaRequest, FSDS_TYPE, SGDS_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { isSnapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "../../src/xds/wire.ts";
import { peerNode } from "./records.ts";

/** Whom to read, as a peer of another cluster, over a connection of its own; PEM throughout. */
export interface ReadingOrder {
  readonly places: readonly { readonly as: string; readonly address: string; readonly port: number }[];
  readonly root: string;
  readonly chain: string;
  readonly key: string;
}

/** `states`: every place has said all of its state. `change`: every place has said something since. */
export interface ReadingReport {
  readonly what: "states" | "change" | "memory" | "error";
  /** By the clock of the machine: when the last of it came. */
  readonly at: number;
  /** Received so far. */
  readonly bytes: number;
  readonly rss: number;
  readonly error?: string;
}

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const MESSAGE_BYTES_MAX = 64 << 20;
const TYPES = [SGDS_TYPE, FSDS_TYPE, ADDRESS_TYPE];

/** All that was received, as it came: what any reader must at least keep. */
const kept: Uint8Array[] = [];
let sessions: http2.ClientHttp2Session[] = [];
let [states, changes, bytes, expected] = [0, 0, 0, 0];

function report(what: ReadingReport["what"], error?: string): void {
  const at = performance.timeOrigin + performance.now();
  process.send!({ what, at, bytes, rss: process.memoryUsage.rss(), ...(error === undefined ? {} : { error }) });
}

const blank = (typeUrl: TypeUrl): DeltaRequest => ({
  ...{ typeUrl, node: undefined, subscribe: [], unsubscribe: [] },
  ...{ initialVersions: new Map<string, string>(), nonce: "", rejection: undefined },
});

function framed(request: DeltaRequest): Buffer {
  const message = encodeDeltaRequest(request);
  return Buffer.concat([messagePrefix(message.length), message]);
}

function take(message: Uint8Array, stream: http2.ClientHttp2Stream): void {
  const { typeUrl, nonce, resources } = decodeDeltaResponse(message);
  kept.push(message);
  bytes += message.length;
  stream.write(framed({ ...blank(typeUrl), nonce }));
  if (resources.some(({ name }) => isSnapshotEnd(name))) {
    if ((states += 1) === expected * TYPES.length) report("states");
  } else if (states === expected * TYPES.length && (changes += 1) === expected) {
    changes = 0;
    report("change");
  }
}

function read({ as, address, port }: ReadingOrder["places"][number], { root: ca, chain, key }: ReadingOrder): void {
  const session = http2.connect(`https://${address}:${port}`, {
    ca,
    cert: chain,
    key,
    servername: "istiod.istio-system.svc",
  });
  session.setTimeout(0);
  session.on("error", (error) => report("error", `${address}:${port}: ${error.message}`));
  sessions.push(session);
  const headers = { ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request({ ...headers, clusterid: as });
  stream.on("error", (error) => report("error", error.message));
  stream.on("response", (head) => head["grpc-status"] !== undefined && report("error", String(head["grpc-message"])));
  stream.on("trailers", (head) => report("error", String(head["grpc-message"])));
  const reader = new MessageReader(MESSAGE_BYTES_MAX);
  stream.on("data", (chunk: Buffer) => {
    for (const message of reader.push(chunk)) take(message, stream);
  });
  for (const typeUrl of TYPES) stream.write(framed({ ...blank(typeUrl), node: peerNode(as) }));
}

process.on("message", (order: ReadingOrder | "leave" | "memory") => {
  if (order === "memory") return report("memory");
  for (const session of sessions) session.destroy();
  sessions = [];
  [states, changes] = [0, 0];
  if (order === "leave") return;
  expected = order.places.length;
  for (const place of order.places) read(place, order);
});
