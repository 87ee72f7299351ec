import { ClientStream } from "../src/xds/client-stream.ts";
import {
  ADDRESS_TYPE,
  AUTHORIZATION_TYPE,
  type DeltaRequest,
  type ResourceChange,
  type TypeUrl,
} from "../src/xds/resource.ts";
import { ResourceLog } from "../src/xds/resource-log.ts";
import { type Bench, cost, median, memoryInUse, type Report, timed } from "./bench.ts";

const RESOURCES = 100_000;
const RECORD_BYTES = 300;
const HELD = 10_000;
const SESSIONS = 1_000;

const clock = { now: () => 0, elapsedMs: () => 0, after: () => ({ [Symbol.dispose]: () => {} }) };
const node = {
  id: "ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local",
  metadata: new Map<string, string>(),
};

function change(name: string, revision: number): ResourceChange {
  const version = `${name.length}${revision}`.padStart(16, "0");
  return { name, after: { name, version, record: Buffer.allocUnsafe(RECORD_BYTES).fill(revision) } };
}

function request(typeUrl: TypeUrl, part: Partial<DeltaRequest> = {}): DeltaRequest {
  const empty = { subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "", rejection: undefined };
  return { typeUrl, node, ...empty, ...part };
}

function connected(
  log: ResourceLog,
  policies: ResourceLog,
  initialVersions: ReadonlyMap<string, string>,
): ClientStream {
  const logs = new Map([
    [ADDRESS_TYPE, log],
    [AUTHORIZATION_TYPE, policies],
  ]);
  const stream = new ClientStream(logs, clock, { id: "c", onWake: () => {}, onExpired: () => {} });
  stream.receive(request(ADDRESS_TYPE, { initialVersions }));
  stream.receive(request(AUTHORIZATION_TYPE));
  answerAll(stream);
  return stream;
}

function answerAll(stream: ClientStream): number {
  let responses = 0;
  for (let sent = stream.poll(); sent !== undefined; sent = stream.poll(), responses++)
    stream.receive({ ...request(sent.typeUrl, { nonce: sent.nonce }), node: undefined });
  return responses;
}

/** What a resource costs beyond its bytes, against a Map from its name to its version. */
function measureMemory(report: Report): void {
  const names = Array.from({ length: RESOURCES }, (_, i) => `cluster//Pod/namespace/pod-${i}`);
  const beforeMap = memoryInUse();
  const map = new Map(names.map((name, at) => [name, `${at}`.padStart(16, "0")]));
  const limit = (memoryInUse() - beforeMap) / RESOURCES;
  const before = memoryInUse();
  const log = new ResourceLog();
  for (let at = 0; at < RESOURCES; at += 1000) log.append(names.slice(at, at + 1000).map((name) => change(name, at)));
  const bytes = (memoryInUse() - before - log.bytes) / map.size;
  report(cost("log.memory-per-resource-beyond-its-bytes", bytes, "B", limit));
  const all = Buffer.alloc(log.bytes, 1);
  const limitMs = median(5, () => timed(() => Buffer.from(all)));
  const snapshotMs = timed(() => log.snapshot());
  report(cost("log.first-snapshot-100k", snapshotMs, "ms", limitMs));
  const secondMs = median(5, () => timed(() => connected(log, new ResourceLog(), new Map())));
  report(cost("log.second-client-100k", secondMs, "ms", limitMs));
}

function measureSessions(report: Report): void {
  const names = Array.from({ length: HELD }, (_, i) => `cluster//Pod/namespace/pod-${i}`);
  const log = new ResourceLog();
  const policies = new ResourceLog();
  log.append(names.map((name) => change(name, 1)));
  const held = new Map(names.map((name) => [name, log.versionOf(name)!]));
  const lookups = () => {
    let found = 0;
    for (const [name, version] of held) if (held.get(name) === version) found += 1;
    return found;
  };
  const limitMs = median(9, () => timed(lookups));
  report(
    cost(
      "log.resume-10k-names",
      median(9, () => timed(() => connected(log, policies, held))),
      "ms",
      limitMs,
    ),
  );

  const before = memoryInUse();
  const streams = Array.from({ length: SESSIONS }, () => connected(log, policies, new Map()));
  const perStream = (memoryInUse() - before) / SESSIONS;
  report(cost("log.memory-per-idle-stream-of-two-types", perStream, "B", 2 * 1024));

  const bare = () =>
    streams.map((_, at) => ({ nonce: `c-${at}`, records: [log.get(names[0]!)!.record], removed: [] })).length;
  const limitUs = (1000 / SESSIONS) * median(9, () => timed(bare));
  const fanoutUs =
    (1000 / SESSIONS) *
    median(9, () => {
      log.append([change(names[0]!, 2 + Math.floor(performance.now() * 1000))]);
      return timed(() => streams.forEach((stream) => answerAll(stream)));
    });
  report(cost("log.one-change-per-stream", fanoutUs, "us", limitUs));
}

/** The log and the sessions without I/O: what they hold, and what one change and one return cost. */
export const bench: Bench = {
  name: "log",
  async run(report) {
    measureMemory(report);
    measureSessions(report);
  },
};
