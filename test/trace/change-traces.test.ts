import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "mocha";
import { UsageError } from "../../src/command.ts";
import { clusterId } from "../../src/names.ts";
import { openTraces, type Traces } from "../../src/trace/open-traces.ts";
import { traceConfig } from "../../src/trace-config.ts";
import { TestHost } from "../kits/test-host.ts";
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

test("a collector that is away costs its spans and a line in the log", async () => {
  await traces.close();
  traces = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" });
  traces.changes.arrived(CART);
  traces.changes.settling();
  traces.changes.flushed([behind("1")]);
  const closed = traces.close();
  await closed;
  assert.equal(host.metric("trace_spans_total{result=failed}"), 4);
  assert.ok(host.lines.some((line) => line.includes("the collector of traces did not take them")));
}).timeout(30_000);

test("traces are off unless asked for, and what cannot be is refused with what would be right", () => {
  assert.equal(traceConfig({}), undefined);
  assert.equal(traceConfig({ OTEL_TRACES_EXPORTER: "none", OTEL_TRACES_SAMPLER: "x" }), undefined);
  for (const [name, value, right] of [
    ["OTEL_TRACES_EXPORTER", "jaeger", "otlp, none"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf, http/json"],
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
