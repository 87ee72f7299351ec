import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "mocha";
import { parseAllDocuments } from "yaml";
import type { AdminServer } from "../../src/admin.ts";
import type { Command, Flag } from "../../src/command.ts";
import { analyzeCommand } from "../../src/commands/analyze.ts";
import { bugReportCommand } from "../../src/commands/bug-report.ts";
import { SOURCE_FLAGS, sourceTools } from "../../src/commands/cluster-sources.ts";
import { explainCommand } from "../../src/commands/explain.ts";
import { multiclusterCheckCommand } from "../../src/commands/multicluster-check.ts";
import { diffCommand } from "../../src/commands/multicluster-diff.ts";
import { topologyCommand } from "../../src/commands/multicluster-topology.ts";
import { unpackArchive } from "../../src/inspect/archive/archive-file.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { systemClock } from "../../src/system-host.ts";
import { folderOf } from "../kits/folder.ts";
import { type Ran, run, serve, SHOP, viewedMesh } from "./served-mesh.ts";

const check = multiclusterCheckCommand(sourceTools(systemClock));
const [analyze, diff, report] = [analyzeCommand, diffCommand, bugReportCommand].map((command) => command(systemClock));
const READERS = [check, analyze!, diff!, report!];

const running: AdminServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

/** The admin port of a control plane whose cluster is folders with these objects, or has an API server. */
async function adminOf(objects: readonly KubeObject[] | undefined): Promise<string> {
  const held = objects?.map((object) => ({ origin: "shop/all.yaml:1", object }));
  const embedded = held && { objects: held, problems: [], unknownKinds: [] };
  const server = await serve({ ...viewedMesh(objects ?? []), embedded: () => embedded });
  running.push(server);
  return `http://127.0.0.1:${server.adminPort}`;
}

const MANIFESTS = `
{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: n2}}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 81}]}}
`;
const connection = (cluster: string, admin: string): string =>
  JSON.stringify({ cluster, admin, xds: "", health: "", rootCertificate: "", token: "", pid: 1 });

test("commands that read clusters spell alike where to read, and so do those that ask one control plane", () => {
  for (const { name, flags = [] } of READERS)
    assert.deepEqual(
      SOURCE_FLAGS.filter((flag) => !flags.includes(flag)),
      [],
      name,
    );
  const nameOf = ({ flags }: Flag): string => flags.split(" ").find((word) => word.startsWith("--"))!;
  const names = SOURCE_FLAGS.map(nameOf).sort();
  for (const { name, flags = [] } of [explainCommand, topologyCommand]) {
    const own = flags.map(nameOf);
    const lacking = names.filter((each) => !own.includes(each));
    assert.deepEqual(lacking, [], name);
  }
});

test("each of them reads a control plane on this machine, by its port or its state, and folders beside it", async () => {
  const admin = await adminOf(SHOP);
  await using folder = await folderOf({ "state/connection.json": connection("east", admin), "west/a.yaml": MANIFESTS });
  const west = ["--directory", `west=${folder.at("west")}`];
  for (const place of [
    ["--admin", admin],
    ["--state", folder.at("state")],
    ["--admin", `${admin}/`, "--state", folder.at("state")],
  ]) {
    const checked = await run(check, ...place, ...west);
    const clusters = [...checked.out.matchAll(/^=== Cluster: (\S+) ===$/gm)].map(([, cluster]) => cluster);
    assert.deepEqual([checked.code, clusters], [1, ["west", "east"]], checked.err);
    const { out } = await run(analyze!, ...place, ...west, "-o", "json");
    assert.deepEqual((JSON.parse(out) as { clusters: unknown }).clusters, ["east", "west"]);
    const differing = await run(diff!, "shop/cart", ...place, ...west);
    assert.match(differing.out, /^! ports +81 +80$/m, differing.err);
    const planned = await run(report!, ...place, ...west, "--dry-run");
    assert.match(planned.out, /control plane http:[^]*west/, planned.err);
  }
});

const wrong = async (command: Command, ...words: readonly string[]): Promise<readonly [number, string]> => {
  const { code, err }: Ran = await run(command, ...words);
  return [code, err];
};

test("what cannot be meant is refused before anything is asked, and the sentence says what to give", async () => {
  await using folder = await folderOf({ "west/a.yaml": MANIFESTS });
  const west = folder.at("west");
  for (const command of [check, analyze!, report!]) {
    const [code, err] = await wrong(command, "--directory", west, "--kubeconfig", "k");
    assert.equal(code, 64, command.name);
    assert.match(err, /--kubeconfig names no cluster beside --directory, --state or --admin: say which with --context/);
    const [twice, why] = await wrong(command, "--directory", west, "--directory", west);
    assert.deepEqual([twice, why.includes(`--directory names ${west} twice`)], [64, true], command.name);
    assert.equal((await wrong(command, "--admin", "localhost:15014"))[0], 64, command.name);
  }
  for (const command of [explainCommand, topologyCommand]) {
    const host = command === explainCommand ? ["cart.shop"] : [];
    const [code, err] = await wrong(command, ...host, "--directory", west, "--state", "x");
    assert.deepEqual([code, err.includes("--state says where to ask, and --directory where to read")], [64, true]);
    const [both, why] = await wrong(command, ...host, "--admin", "http://127.0.0.1:1", "--state", "x");
    assert.deepEqual([both, why.includes("--admin says where to ask, and so does --state")], [64, true]);
  }
  const [code, err] = await wrong(topologyCommand, "--directory", west, "--serve");
  assert.deepEqual([code, err.includes("--serve shows a control plane that runs")], [64, true]);
});

test("a control plane whose cluster has an API server, or that is none of a cluster, is told what shows more", async () => {
  const [code, err] = await wrong(check, "--admin", await adminOf(undefined));
  assert.equal(code, 2);
  assert.match(err, /has its cluster from an API server, which only a context shows: name it with --context/);
});

test("a control plane on this machine that is gone is said by the name that it left", async () => {
  await using folder = await folderOf({ "state/connection.json": connection("bank", "http://127.0.0.1:1") });
  const { code, out } = await run(check, "--state", folder.at("state"));
  assert.equal(code, 2);
  assert.match(out, /Cluster Check: the control plane of bank does not answer: http:/);
  assert.doesNotMatch(out, /API server/);
});

test("explain answers from a bug report as the control plane did, and says what a report does not know", async () => {
  const admin = await adminOf(SHOP);
  const host = "cart.shop.mesh.internal";
  const answer = await (await fetch(`${admin}/debug/explain?host=${host}`)).text();
  const head = { cluster: "east", source: "x", readAt: "2026-11-21T06:00:00Z" };
  await using folder = await folderOf({
    "report/clusters/east/cluster.json": JSON.stringify(head),
    [`report/clusters/east/planes/istio-system_istiod-1/explain/${host}.json`]: answer,
    "manifests/all.yaml": MANIFESTS,
  });
  const [live, archived] = [
    await run(explainCommand, host, "--admin", admin, "-o", "json"),
    await run(explainCommand, host, "--directory", folder.at("report"), "-o", "json"),
  ];
  assert.deepEqual(archived, live);
  assert.notEqual(live.out, "");
  const ask = (...words: readonly string[]): ReturnType<typeof wrong> => wrong(explainCommand, ...words);
  const of = ["--directory", folder.at("report")];
  assert.deepEqual((await ask("other.shop.mesh.internal", ...of))[0], 2);
  assert.match((await ask(host, ...of, "--from", "shop/web"))[1], /--from is for a control plane that runs/);
  assert.match((await ask(host, "--directory", folder.at("manifests")))[1], /has no page of a control plane/);
});

test("a bug report of manifests that nobody serves says what the folder does, and is not packed again", async () => {
  await using folder = await folderOf({ "east/shop/all.yaml": MANIFESTS, "unpacked/x": "" });
  const file = folder.at("report.tar.gz");
  const packed = await run(report!, "--directory", `east=${folder.at("east")}`, "--file", file);
  assert.equal(packed.code, 0, packed.err);
  const place = await unpackArchive(file, folder.at("unpacked"));
  const written = join(place, "clusters", "east", "manifests", "0", "shop", "all.yaml");
  const valuesOf = (text: string): unknown => parseAllDocuments(text).map((document): unknown => document.toJS());
  assert.deepEqual(valuesOf(readFileSync(written, "utf8")), valuesOf(MANIFESTS));
  const said = async (where: string): Promise<unknown> => {
    const { out } = await run(analyze!, "--directory", where, "-o", "json");
    return (JSON.parse(out) as { findings: readonly { code: string; object: string }[] }).findings.map(
      ({ code, object }) => [code, object],
    );
  };
  assert.deepEqual(await said(place), await said(`east=${folder.at("east")}`));
  assert.match((await wrong(report!, "--directory", place))[1], /is of a bug report already: pack it as it is/);
});
