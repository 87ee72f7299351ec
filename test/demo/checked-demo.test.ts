import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { bugReportCommand } from "../../src/commands/bug-report.ts";
import { leaveConnection } from "../../src/commands/demo-client.ts";
import { sourceTools } from "../../src/commands/cluster-sources.ts";
import { multiclusterCheckCommand } from "../../src/commands/multicluster-check.ts";
import { topologyCommand } from "../../src/commands/multicluster-topology.ts";
import { Convergence } from "../../src/demo/convergence.ts";
import { DemoMesh } from "../../src/demo/mesh.ts";
import { unpackArchive } from "../../src/inspect/archive/archive-file.ts";
import { systemClock } from "../../src/system-host.ts";
import { type Ran, run } from "../commands/served-mesh.ts";
import { folderOf } from "../kits/folder.ts";
import { until } from "../kits/until.ts";

const golden = join(import.meta.dirname, "..", "..", "..", "test", "inspect", "golden", "demo.txt");
const SOON_MS = 40_000;

// One mesh for all: starting it takes longer than what is asked of it. What breaks it comes last.
let folder: Awaited<ReturnType<typeof folderOf>>;
let mesh: DemoMesh;
before(async function () {
  this.timeout(90_000);
  folder = await folderOf({});
  const ports = { xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" };
  mesh = new DemoMesh({ options: { ...ports, state: folder.at("state") } });
  await mesh.start(AbortSignal.timeout(SOON_MS));
  await mesh.trust!.leaveConnection(process.pid);
  for (const { cluster, config } of mesh.configs)
    await leaveConnection(mesh.planes.get(cluster)!, config, undefined, process.pid);
  await using convergence = new Convergence(mesh);
  await convergence.follow();
  const lacking = (): readonly string[] => [...convergence.shortcomings(), ...untried()];
  await convergence.until(
    () => lacking().length === 0,
    () => lacking().join("; "),
    AbortSignal.timeout(SOON_MS),
  );
});
after(async () => {
  await mesh.close();
  await folder[Symbol.asyncDispose]();
});

/** Links whose way for traffic nobody has tried. */
const untried = (): readonly string[] =>
  Array.from(mesh.planes.values(), ({ plane }) => [...plane.registry.peers.statuses.entries()])
    .flat()
    .filter(([, { dataPlane }]) => dataPlane !== "open")
    .map(([peer, { dataPlane }]) => `the way to ${peer} is ${dataPlane}`);
const check = (...words: readonly string[]): Promise<Ran> =>
  run(multiclusterCheckCommand(sourceTools(systemClock)), ...words);
const state = (): string => folder.at("state");
/** What is another one at each start: ports that were free, names of pods, the root. */
const masked = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{64}\b/g, "<sha256>")
    .replace(/\b[1-9]\d{4}\b/g, "<port>")
    .replace(/^(\S+?)(?:-[a-z\d]{5,10}){1,2} +(\d+\/\d+) +/gm, "$1-<id> $2 ")
    .replace(/^NAME +READY +/gm, "NAME READY ");

test("a healthy demo passes every check, with its pods, roots and conditions, and its archive says the same", async () => {
  const live = await check("--state", state(), "--verbose");
  assert.deepEqual([live.code, live.err], [0, ""], live.out);
  if (process.env["UPDATE"] === "1") writeFileSync(golden, masked(live.out));
  assert.equal(masked(live.out), readFileSync(golden, "utf8"));
  assert.doesNotMatch(live.out, /not known of manifests/);
  const trust = await check("--state", join(state(), "trust"));
  assert.deepEqual(
    [trust.code, /is a trust manager, which has no cluster: causeway trust status/.test(trust.err)],
    [2, true],
  );
  const file = folder.at("report.tar.gz");
  const report = await run(bugReportCommand(systemClock), "--state", state(), "--file", file);
  assert.equal(report.code, 0, report.err);
  mkdirSync(folder.at("unpacked"));
  const unpacked = await unpackArchive(file, folder.at("unpacked"));
  assert.equal((await check("--directory", unpacked, "--verbose")).out, live.out);
  const [shown, archived] = [
    await run(topologyCommand, "--state", join(state(), "edge"), "-o", "json"),
    await run(topologyCommand, "--directory", `edge=${unpacked}`, "-o", "json"),
  ];
  assert.deepEqual([shown.code, archived.code], [0, 0]);
  const links = ({ out }: Ran): unknown =>
    (JSON.parse(out) as { links: { cluster: string }[] }).links.map(({ cluster }) => cluster);
  assert.deepEqual(links(archived), links(shown));
}).timeout(60_000);

test("what is wrong in a demo is mended in its files, and a control plane that is gone is told from the others", async () => {
  const links = join(state(), "edge", "links");
  const written = readFileSync(join(links, "edge.yaml"), "utf8");
  rmSync(join(links, "vendor.yaml"));
  writeFileSync(
    join(links, "edge.yaml"),
    written.replace(/istio.io\/expose-istiod: .*/, "a: b").replace("network: edge", "network: x"),
  );
  await mesh.stopPlane("bank");
  const gateways = (): readonly string[] =>
    Array.from(mesh.planes.get("edge")!.plane.clusters.embedded()!.objects, ({ object }) => JSON.stringify(object));
  await until(() => gateways().some((text) => text.includes('"a":"b"')) && !gateways().join().includes("peer-vendor"));
  const { code, out } = await check("--state", state());
  assert.equal(code, 1);
  const own = "Gateway istio-eastwest/istio-eastwest in \\S+edge\\.yaml:\\d+";
  for (const [found, fix] of [
    ["CWY0001 cluster bank", "start it; or name the state folder of one that runs"],
    ["CWY0607 Gateway istio-eastwest/istio-remote-peer-edge", "write a Gateway of class istio-remote .*"],
    ["CWY0902 .*", `set label topology.istio.io/network of ${own} to edge`],
    ["CWY1302 .*", `set label istio.io/expose-istiod of ${own} to \\d+`],
  ])
    assert.match(out, new RegExp(`${found}.*\n(?:.*\n)? +fix: ${fix}\n`));
  assert.match(out, /❌ Cluster Check: the control plane of bank does not answer/);
  assert.doesNotMatch(out, /kubectl|--context/);
  await mesh.close();
  assert.equal((await check("--state", state())).code, 2);
}).timeout(60_000);
