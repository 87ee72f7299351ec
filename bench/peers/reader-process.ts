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

/** As links of ours do at first (contract peering.md 2.3). */
const RETRY_MS = 500;

/** All that was received, as it came: what any reader must at least keep. */
const kept: Uint8Array[] = [];
let order: ReadingOrder | undefined;
let sessions: http2.ClientHttp2Session[] = [];
/** `place/type` of which all has come, and places that have said something since. */
let [whole, changed] = [new Set<string>(), new Set<string>()];
let bytes = 0;

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

type Place = ReadingOrder["places"][number];

function take({ as, address }: Place, message: Uint8Array, stream: http2.ClientHttp2Stream): void {
  const { typeUrl, nonce, resources } = decodeDeltaResponse(message);
  kept.push(message);
  bytes += message.length;
  stream.write(framed({ ...blank(typeUrl), nonce }));
  const all = (order?.places.length ?? 0) * TYPES.length;
  const before = whole.size;
  if (resources.some(({ name }) => isSnapshotEnd(name))) whole.add(`${as}/${address}/${typeUrl}`);
  else if (whole.size === all) changed.add(`${as}/${address}`);
  if (whole.size === all && before < all) report("states");
  if (changed.size * TYPES.length < all) return;
  changed = new Set();
  report("change");
}

function read(place: Place, { root: ca, chain, key }: ReadingOrder): void {
  const { as, address, port } = place;
  const servername = "istiod.istio-system.svc";
  const session = http2.connect(`https://${address}:${port}`, { ca, cert: chain, key, servername });
  session.on("error", () => {});
  // A server that has no time for us now has it later.
  session.on("close", () => void setTimeout(() => sessions.includes(session) && read(place, order!), RETRY_MS));
  sessions.push(session);
  const headers = { ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request({ ...headers, clusterid: as });
  stream.on("error", () => session.destroy());
  stream.on("trailers", (head) => report("error", String(head["grpc-message"])));
  const reader = new MessageReader(MESSAGE_BYTES_MAX);
  stream.on("data", (chunk: Buffer) => {
    for (const message of reader.push(chunk)) take(place, message, stream);
  });
  for (const typeUrl of TYPES) stream.write(framed({ ...blank(typeUrl), node: peerNode(as) }));
}

process.on("message", (asked: ReadingOrder | "memory") => {
  if (asked === "memory") return report("memory");
  const before = sessions;
  [sessions, order, whole, changed] = [[], asked, new Set(), new Set()];
  for (const session of before) session.destroy();
  for (const place of asked.places) read(place, asked);
});
