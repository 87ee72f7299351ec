import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { type Environment, UsageError } from "../../src/command.ts";
import { leaveConnection } from "../../src/commands/demo-client.ts";
import { DemoMesh } from "../../src/demo/mesh.ts";
import { type CollectedSpan, TraceCollector } from "../kits/trace-collector.ts";
import { until } from "../kits/until.ts";

let folder: string;
let open: DemoMesh[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "demo-"));
  open = [];
});
afterEach(async () => {
  for (const mesh of open) await mesh.close();
  await rm(folder, { recursive: true });
});

const { signal } = new AbortController();

function meshIn(state: string, identity = "spire", environment: Environment = {}): DemoMesh {
  const options = { state, identity, xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" };
  const mesh = new DemoMesh({ options, environment });
  open.push(mesh);
  return mesh;
}

test("a second demo on the same folder is refused, and takes no socket from the first", async () => {
  const first = meshIn(folder);
  await first.start(signal);
  const { config, spireDir } = first.configs[0]!;
  const plane = first.planes.get("edge")!;
  await leaveConnection(plane, config, undefined, process.pid);
  await assert.rejects(
    meshIn(folder).start(signal),
    /edge is the state folder of the control plane at .*--state <dir>/,
  );
  assert.ok(existsSync(join(spireDir!, "server.sock")));
});

test("a demo without SPIRE, with it, and without it again is ready each time, on one state folder", async () => {
  for (const identity of ["mesh", "spire", "mesh"]) {
    const mesh = meshIn(folder, identity);
    await mesh.start(AbortSignal.timeout(10_000));
    assert.equal(mesh.planes.size, 3, identity);
    await mesh.close();
  }
}).timeout(40_000);

test("with OpenTelemetry's variables the demo's control planes tell a collector of changes that reach their peers", async () => {
  await using collector = await TraceCollector.start();
  const traced = { OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  assert.throws(() => meshIn(folder, "mesh", { ...traced, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), UsageError);
  const mesh = meshIn(folder, "mesh", traced);
  await mesh.start(AbortSignal.timeout(30_000));
  const { linksDir, config } = mesh.configs[0]!;
  const { discovery } = mesh.planes.get("edge")!.plane;
  await until(() => discovery.clients().length === 2);
  const metadata = "{ name: traced, namespace: istio-eastwest, labels: { solo.io/service-scope: global } }";
  const service = `{ apiVersion: v1, kind: Service, metadata: ${metadata}, spec: { ports: [{ port: 80 }] } }`;
  await writeFile(join(linksDir, "traced.yaml"), service);
  const told = (): readonly CollectedSpan[] =>
    collector.spans.filter(({ name, facts }) => name === "client" && facts["causeway.cluster"] === config.clusterId);
  await until(() => told().length >= 2);
}).timeout(40_000);
