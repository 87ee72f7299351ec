import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "mocha";
import { traceConfig } from "../src/trace-config.ts";
import { WatchedMesh } from "./conformance/watched-mesh.ts";
import { type CollectedSpan, TraceCollector } from "./kits/trace-collector.ts";
import { until } from "./kits/until.ts";

test("a change in one cluster that reaches a client of another is one trace across both control planes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "causeway-traced-"));
  await using collector = await TraceCollector.start();
  const mesh = await WatchedMesh.start(
    folder,
    traceConfig({
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
    }),
  );
  const { registry } = mesh.planes.get("east")!.plane;
  const ready = (): number | undefined =>
    [...registry.peers.federated.entries()].find(([key]) => key === "west/bank/payments")?.[1].ready;
  try {
    await until(() => ready() === 1);
    mesh.share("west", 2);
    await until(() => ready() === 2);
    // From the change in west to the client of east.
    await until(() => journeys(collector.spans).length > 0);
    const [{ begun, gone, reached }] = journeys(collector.spans) as [Journey];
    assert.match(begun.name, /^change of /);
    assert.ok(begun.startMs <= gone.startMs && gone.startMs <= reached.startMs && reached.startMs <= reached.endMs);
  } finally {
    await mesh.close();
    rmSync(folder, { recursive: true, force: true });
  }
}).timeout(60_000);

interface Journey {
  readonly begun: CollectedSpan;
  readonly gone: CollectedSpan;
  readonly reached: CollectedSpan;
}

/** From a client of east up to where its trace began, in west. */
function journeys(spans: readonly CollectedSpan[]): readonly Journey[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const of = (span: CollectedSpan | undefined, name: RegExp, cluster: string): CollectedSpan | undefined =>
    span !== undefined && name.test(span.name) && span.facts["causeway.cluster"] === cluster ? span : undefined;
  const above = (span: CollectedSpan | undefined): CollectedSpan | undefined => byId.get(span?.parentSpanId ?? "");
  return spans.flatMap((reached) => {
    const heard = of(
      above(of(above(of(reached, /^client$/, "east")), /^deliver$/, "east")),
      /^change of a peer$/,
      "east",
    );
    const gone = of(above(heard), /^deliver$/, "west");
    const begun = of(above(gone), /^change of /, "west");
    const same = new Set([reached, gone, begun].map((span) => span?.traceId)).size === 1;
    return gone !== undefined && begun !== undefined && same ? [{ begun, gone, reached }] : [];
  });
}
