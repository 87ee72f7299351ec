import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { UsageError } from "../../src/command.ts";
import { clusterId } from "../../src/names.ts";
import { openTraces, type Traces } from "../../src/trace/open-traces.ts";
import { traceConfig } from "../../src/trace-config.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { type CollectedSpan, TraceCollector } from "../kits/trace-collector.ts";

const EAST = clusterId("east");
const WEST = clusterId("west");
const CART = { cluster: EAST, kind: "Pod", name: "shop/cart", deleted: false };
const behind = (client: string, target = 7) => ({ client, name: `ztunnel-${client}`, typeUrl: "wds", target });

let collector: TraceCollector;
let host: TestHost;
let traces: Traces;
beforeEach(async () => {
  collector = await TraceCollector.start();
  host = new TestHost();
  traces = await open();
});
afterEach(() => collector[Symbol.asyncDispose]());

function open(more: Readonly<Record<string, string>> = {}): Promise<Traces> {
  const environment = {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    ...more,
  };
  return openTraces(host, traceConfig(environment)!, EAST);
}

async function collected(): Promise<ReadonlyMap<string, CollectedSpan>> {
  await traces.close();
  return new Map(collector.spans.map((span) => [span.name, span]));
}

test("a change is one trace from the object that arrived to the last acknowledgement", async () => {
  const { changes } = traces;
  const startMs = host.clock.now();
  changes.arrived(CART);
  await host.clock.pass(10);
  changes.settling();
  changes.settled();
  changes.flushed([behind("1"), behind("2"), behind("3")]);
  await host.clock.pass(5);
  changes.sent("1", "wds", 7);
  changes.sent("2", "wds", 7);
  await host.clock.pass(20);
  changes.served("1", "wds", 7);
  changes.served("3", "wds", 7);
  await host.clock.pass(40);
  changes.served("2", "wds", 7);
  const spans = await collected();
  assert.deepEqual([...spans.keys()].toSorted(), ["change of Pod", "client", "deliver", "encode", "settle"]);
  assert.equal(new Set(collector.spans.map(({ traceId }) => traceId)).size, 1);
  const [change, deliver] = [spans.get("change of Pod")!, spans.get("deliver")!];
  assert.deepEqual([change.startMs, change.endMs, deliver.startMs], [startMs, startMs + 75, startMs + 10]);
  assert.deepEqual(change.events, ["written shop/cart"]);
  assert.equal(deliver.parentSpanId, change.spanId);
  assert.deepEqual([deliver.facts["causeway.clients"], deliver.facts["causeway.clients.last"]], ["2", "ztunnel-2"]);
  assert.deepEqual([change.facts["service.name"], change.facts["causeway.cluster"]], ["causeway", "east"]);
});

test("a response of before the change does not end it, and a client that leaves does not hold it up", async () => {
  const { changes } = traces;
  changes.arrived(CART);
  changes.settling();
  changes.flushed([behind("1"), behind("2")]);
  changes.sent("1", "wds", 6);
  changes.served("1", "wds", 6);
  await host.clock.pass(1_000);
  assert.equal(
    collector.spans.some(({ name }) => name === "deliver"),
    false,
  );
  changes.sent("1", "wds", 7);
  changes.refused("1");
  changes.served("1", "wds", 7);
  changes.left("2");
  const { facts } = (await collected()).get("deliver")!;
  assert.deepEqual(
    [facts["causeway.clients"], facts["causeway.clients.gone"], facts["causeway.responses.refused"]],
    ["1", "1", "1"],
  );
});

test("a client that is silent for a minute ends the trace, and is counted", async () => {
  const { changes } = traces;
  changes.arrived(CART);
  changes.settling();
  changes.flushed([behind("1")]);
  await host.clock.pass(61_000);
  const deliver = (await collected()).get("deliver")!;
  assert.equal(deliver.facts["causeway.clients.silent"], "1");
  assert.equal(deliver.endMs - deliver.startMs, 60_000);
});

test("what a peer told of goes on in the peer's trace, and its own peers are told of that", async () => {
  const { changes } = traces;
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  changes.heard(WEST, [`00-${traceId}-b7ad6b7169203331-01`]);
  changes.settling();
  changes.flushed([behind("1")]);
  const told = changes.sent("1", "wds", 7);
  changes.served("1", "wds", 7);
  const spans = await collected();
  assert.deepEqual(new Set(collector.spans.map((span) => span.traceId)), new Set([traceId]));
  assert.equal(spans.get("change of a peer")!.parentSpanId, "b7ad6b7169203331");
  assert.deepEqual(told, [`00-${traceId}-${spans.get("deliver")!.spanId}-01`]);
});

test("a change that nobody is told of leaves no trace, and 64 are followed at once", async () => {
  const { changes } = traces;
  changes.arrived(CART);
  changes.settling();
  changes.flushed([]);
  for (let at = 0; at < 70; at += 1) {
    changes.arrived(CART);
    changes.settling();
    changes.flushed([behind("1", at)]);
  }
  await collected();
  assert.equal(collector.spans.filter(({ name }) => name === "deliver").length, 64);
  assert.equal(host.metric("change_traces_dropped_total"), 6);
});

test("what is not sampled is not sent, and headers and names are those of the variables", async () => {
  await traces.close();
  const resource = { OTEL_RESOURCE_ATTRIBUTES: "team=mesh%20a", OTEL_SERVICE_NAME: "istiod" };
  for (const OTEL_TRACES_SAMPLER of ["always_off", "always_on"]) {
    traces = await open({ OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=a", ...resource });
    traces.changes.arrived(CART);
    traces.changes.settling();
    traces.changes.flushed([behind("1")]);
    await collected();
    assert.equal(collector.spans.length > 0, OTEL_TRACES_SAMPLER === "always_on");
  }
  assert.equal(collector.headers.at(-1)!["x-tenant"], "a");
  const { facts } = collector.spans[0]!;
  assert.deepEqual([facts["service.name"], facts["team"]], ["istiod", "mesh a"]);
});

/** One change that one client is told of: five parts of a trace. */
function change(client: string): void {
  const { changes } = traces;
  changes.arrived(CART);
  changes.settling();
  changes.settled();
  changes.flushed([behind(client)]);
  changes.sent(client, "wds", 7);
  changes.served(client, "wds", 7);
}

test("a collector gets the same trace as JSON and as protobuf, packed or not", async () => {
  const got: (readonly CollectedSpan[])[] = [];
  for (const more of [
    {},
    { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" },
    { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf", OTEL_EXPORTER_OTLP_COMPRESSION: "gzip" },
  ]) {
    await traces.close();
    collector.spans.length = 0;
    // The same chance, and the same time.
    host = new TestHost();
    traces = await open(more);
    change("1");
    await traces.close();
    got.push([...collector.spans]);
  }
  assert.equal(got[0]!.length, 5);
  assert.equal(got[0]!.find(({ name }) => name === "deliver")!.facts["causeway.clients"], "1");
  assert.deepEqual(got[1], got[0]);
  assert.deepEqual(got[2], got[0]);
  assert.deepEqual(
    collector.headers.map((headers) => [headers["content-type"], headers["content-encoding"]]),
    [
      ["application/json", undefined],
      ["application/x-protobuf", undefined],
      ["application/x-protobuf", "gzip"],
    ],
  );
});

test("a collector is verified by the root, and shown the certificate, that the variables name", async () => {
  const folder = mkdtempSync(join(tmpdir(), "causeway-otlp-"));
  const root = await TestAuthority.create("CN=collectors");
  const client = await root.issue(["urn:causeway"]);
  const at = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  await using guarded = await TraceCollector.start({ own: await root.issue(), clients: root.root });
  const files = {
    OTEL_EXPORTER_OTLP_ENDPOINT: guarded.url,
    OTEL_EXPORTER_OTLP_CERTIFICATE: at("root.pem", root.root),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: at("client.pem", client.certificate),
    OTEL_EXPORTER_OTLP_CLIENT_KEY: at("client-key.pem", client.key),
  };
  await traces.close();
  traces = await open(files);
  change("1");
  await traces.close();
  assert.equal(guarded.spans.length, 5);
  traces = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: guarded.url });
  change("1");
  await traces.close();
  assert.equal(guarded.spans.length, 5, "nobody else is believed to be the collector");
  assert.equal(host.metric("trace_spans_total{result=failed}"), 5);
  rmSync(folder, { recursive: true });
  await assert.rejects(open(files), /OTEL_EXPORTER_OTLP_CERTIFICATE names .*root\.pem, which cannot be read/);
});

test("a collector that never answers gets no more than one batch, and what waits is bounded", async () => {
  collector.answer = { status: 200, delayMs: 3_600_000 };
  for (let count = 0; count < 600; count += 1) change(`${count}`);
  await host.clock.pass(1_000);
  for (let count = 0; count < 600; count += 1) change(`${count}`);
  await until(() => collector.headers.length > 0);
  await host.clock.pass(60_000);
  assert.equal(collector.headers.length, 1);
  // Of 6,000 one batch of 512 is under way, and 2,048 wait.
  assert.equal(host.metric("trace_spans_total{result=dropped}"), 6_000 - 2_048 - 512);
});

test("a process that ends does not wait for a collector that is slow", async () => {
  collector.answer = { status: 200, delayMs: 3_600_000 };
  for (let count = 0; count < 200; count += 1) change(`${count}`);
  const closed = traces.close();
  await host.clock.pass(3_000);
  await closed;
  assert.equal(host.metric("trace_spans_total{result=dropped}"), 1_000 - 512);
});

test("a collector that is away, or says no, costs its parts of traces and a line in the log", async () => {
  for (const [more, status, why] of [
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TIMEOUT: "100" }, 200, /ECONNREFUSED/],
    [{}, 400, /Bad Request/],
  ] as const) {
    await traces.close();
    host = new TestHost();
    collector.answer = { status, delayMs: 0 };
    traces = await open(more);
    change("1");
    await traces.close();
    assert.equal(host.metric("trace_spans_total{result=failed}"), 5);
    assert.match(host.lines.join("\n"), /the collector of traces did not take them/);
    assert.match(host.lines.join("\n"), why);
  }
});

test("what a collector takes too long for is given up after the time that the variable says", async () => {
  await traces.close();
  collector.answer = { status: 200, delayMs: 3_600_000 };
  traces = await open({ OTEL_EXPORTER_OTLP_TIMEOUT: "50" });
  change("1");
  await traces.close();
  assert.equal(host.metric("trace_spans_total{result=failed}"), 5);
});

test("traces are off unless asked for, and what cannot be is refused with what would be right", () => {
  assert.equal(traceConfig({}), undefined);
  assert.equal(traceConfig({ OTEL_TRACES_EXPORTER: "none", OTEL_TRACES_SAMPLER: "x" }), undefined);
  assert.equal(traceConfig({ OTEL_TRACES_EXPORTER: "otlp", OTEL_SDK_DISABLED: "true" }), undefined);
  for (const [name, value, right] of [
    ["OTEL_TRACES_EXPORTER", "jaeger", "otlp, none"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "thrift", "http/protobuf, http/json"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "set it to http/protobuf"],
    ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for HTTP"],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds from 1 to"],
    ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", "none, gzip"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://localhost:4318"],
    ["OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "secret", "pairs as name=value"],
  ] as const)
    assert.throws(
      () => traceConfig({ OTEL_TRACES_EXPORTER: "otlp", [name]: value }),
      (thrown) => thrown instanceof UsageError && thrown.message.includes(name) && thrown.message.includes(right),
      name,
    );
});
