import assert from "node:assert/strict";
import { test } from "mocha";
import { ClientStream, STREAM_LIMITS, type StreamOptions } from "../../src/xds/client-stream.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type DeltaRequest, type TypeUrl } from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";
import { VirtualClock } from "../sim/world.ts";

const node = {
  id: "ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local",
  metadata: new Map<string, string>(),
};

function request(typeUrl: TypeUrl, part: Partial<DeltaRequest> = {}): DeltaRequest {
  const empty = { subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "", rejection: undefined };
  return { typeUrl, node, ...empty, ...part };
}

function server(options: Partial<StreamOptions> = {}) {
  const logs = new Map([
    [ADDRESS_TYPE, new ResourceLog()],
    [AUTHORIZATION_TYPE, new ResourceLog()],
  ]);
  const clock = new VirtualClock();
  const open = () => new ClientStream(logs, clock, { id: "s", onWake: () => {}, onExpired: () => {}, ...options });
  return { log: logs.get(ADDRESS_TYPE)!, clock, open };
}

const change = (name: string, version: string, bytes = 50) => ({
  name,
  after: { name, version, record: new Uint8Array(bytes) },
});

/** A stream whose policies are answered, and which has subscribed to addresses. */
function opened(stream: ClientStream, part: Partial<DeltaRequest> = {}): ClientStream {
  stream.receive(request(AUTHORIZATION_TYPE));
  stream.receive(request(AUTHORIZATION_TYPE, { nonce: stream.poll()!.nonce }));
  stream.receive(request(ADDRESS_TYPE, part));
  return stream;
}

test("the first response of a large type is whole, and made of slices that all clients share", () => {
  const { log, open } = server();
  log.append(Array.from({ length: 5_000 }, (_, i) => change(`n${i}`, "1", 400)));
  const [one, other] = [opened(open()).poll()!, opened(open()).poll()!];
  assert.equal(one.resources, 5_000);
  assert.equal(one.recordsBytes, 2_000_000);
  assert.ok(one.records.length <= 5, `${one.records.length} slices`);
  assert.deepEqual([...one.records], [...other.records]);
  assert.ok(one.records.every((slice, at) => slice === other.records[at]));
});

test("a type above the limit comes in slices below it, and what leaves meanwhile is removed after", () => {
  const { log, open } = server({ limits: { responseBytesMax: 1_000_000 } });
  log.append(Array.from({ length: 5_000 }, (_, i) => change(`n${i}`, "1", 400)));
  const stream = opened(open());
  const responses = [];
  for (let response = stream.poll(); response !== undefined; response = stream.poll()) {
    responses.push(response);
    if (responses.length === 1) log.append([{ name: "n4999", after: undefined }, change("n0", "2", 400)]);
    assert.equal(stream.poll(), undefined, "one response is unanswered");
    stream.receive(request(ADDRESS_TYPE, { nonce: response.nonce }));
  }
  assert.ok(responses.length >= 3);
  assert.ok(responses.every(({ recordsBytes }) => recordsBytes <= 1_000_000));
  assert.equal(
    responses.reduce((sum, { resources }) => sum + resources, 0),
    5_001,
  );
  assert.deepEqual(responses.at(-1)!.removed, ["n4999"]);
});

test("a client that returns unchanged is answered with nothing, at every size", () => {
  const { log, open } = server();
  log.append(Array.from({ length: 10_000 }, (_, i) => change(`n${i}`, `v${i}`)));
  const initialVersions = new Map(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, `v${i}`]));
  const response = opened(open(), { initialVersions }).poll()!;
  assert.deepEqual([response.resources, response.recordsBytes, response.removed.length], [0, 0, 0]);
});

test("the same name a million times is one name", () => {
  const { open } = server();
  const stream = opened(open(), { subscribe: Array.from({ length: 1_000_000 }, () => "a/b") });
  assert.deepEqual(stream.poll()!.removed, ["a/b"]);
  assert.equal(stream.status().at(-1)!.subscribed, 1);
});

test("a million different names are refused, and so is a name that no resource can have", () => {
  const { open } = server();
  const subscribe = Array.from({ length: 1_000_000 }, (_, i) => `n/${i}`);
  assert.throws(() => opened(open(), { subscribe }), {
    code: "exhausted",
    message: new RegExp(`more than ${STREAM_LIMITS.subscribedNamesMax} names`),
  });
  assert.throws(() => opened(open(), { subscribe: ["n".repeat(2_000)] }), { code: "invalid" });
});

test("a NACK of a megabyte is kept as a kilobyte", () => {
  const { open } = server();
  const stream = opened(open());
  const { nonce } = stream.poll()!;
  stream.receive(request(ADDRESS_TYPE, { nonce, rejection: "\u001b[2J".repeat(250_000) }));
  const { lastRejection } = stream.status().at(-1)!;
  assert.ok(lastRejection.length <= 1024);
  assert.doesNotMatch(lastRejection, /\u001b/);
});

test("an empty rejection is a rejection", () => {
  const { open } = server();
  const stream = opened(open());
  stream.receive(request(ADDRESS_TYPE, { nonce: stream.poll()!.nonce, rejection: "" }));
  assert.equal(stream.status().at(-1)!.rejections, 1);
  assert.equal(stream.status().at(-1)!.ackedNonce, "");
});

test("a stream that was closed leaves no timer behind and says nothing more", () => {
  const { log, clock, open } = server();
  const stream = open();
  stream.receive(request(ADDRESS_TYPE));
  stream.receive(request(AUTHORIZATION_TYPE));
  assert.notEqual(stream.poll(), undefined);
  stream.close();
  log.append([change("a", "1")]);
  assert.equal(stream.poll(), undefined);
  assert.equal(clock.pending, 0);
});

test("the wait for policies wakes the driver once it is over", () => {
  let woken = 0;
  const { clock, open } = server({ onWake: () => (woken += 1) });
  const stream = open();
  stream.receive(request(ADDRESS_TYPE));
  clock.advance(999);
  assert.equal(woken, 0);
  clock.advance(1);
  assert.equal(woken, 1);
  assert.equal(stream.poll()!.typeUrl, ADDRESS_TYPE);
});

test("what a client holds is all there is if it asked for that, else what it was sent and not told to forget", () => {
  const { log, open } = server();
  log.append([change("a", "1"), change("b", "1")]);
  const all = opened(open());
  const named = opened(open(), { subscribe: ["a", "missing"], unsubscribe: ["*"] });
  const held = (stream: ClientStream): readonly string[] =>
    Array.from(stream.holdings().get(ADDRESS_TYPE)!, ({ name }) => name).sort();
  assert.deepEqual([held(all), held(named)], [["a", "b"], []]);
  named.poll();
  assert.deepEqual(held(named), ["a"]);
  assert.deepEqual([...all.holdings().keys()], [AUTHORIZATION_TYPE, ADDRESS_TYPE]);
});
