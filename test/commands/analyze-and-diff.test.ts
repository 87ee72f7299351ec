import assert from "node:assert/strict";
import { test } from "mocha";
import { analyzeCommand } from "../../src/commands/analyze.ts";
import { diffCommand } from "../../src/commands/multicluster-diff.ts";
import { runCli } from "../../src/cli.ts";
import { NO_TERMINAL } from "../../src/command.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";

const cluster = (network: string, port = 80, more = ""): string => `
{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: ${network}}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {solo.io/service-scope: global}}
spec: {selector: {app: cart}, ports: [{name: http, port: ${port}}]}
${more}`;

async function calling(
  files: Readonly<Record<string, string>>,
  words: (at: (name: string) => string) => readonly string[],
) {
  await using folder = await folderOf(files);
  const said = { out: "", err: "" };
  const printer = { out: (text: string) => void (said.out += text), err: (text: string) => void (said.err += text) };
  const { clock } = new TestHost();
  const commands = [analyzeCommand(clock), { name: "multicluster", summary: "", commands: [diffCommand(clock)] }];
  const cli = { commands, version: "0", clock, printer, terminal: NO_TERMINAL, environment: {} };
  const code = await runCli({ ...cli, interrupted: new AbortController().signal }, words(folder.at));
  return { code, ...said };
}

const both = (at: (name: string) => string): readonly string[] => [
  "--directory",
  at("east"),
  "--directory",
  at("west"),
];
const diff = (at: (name: string) => string): readonly string[] => ["multicluster", "diff", "shop/cart", ...both(at)];
const two = (west: string) => ({ "east/all.yaml": cluster("east"), "west/all.yaml": west });

test("diff shows only what differs, marks what callers notice, and ends with 1 if there is such", async () => {
  const { code, out } = await calling(two(cluster("west", 8080)), diff);
  assert.equal(code, 1);
  assert.match(out, /^! ports +80 +8080$/m);
  assert.doesNotMatch(out, /selector|takeover/);
});

test("clusters that agree end with 0, and --all shows on what", async () => {
  const agreed = await calling(two(cluster("west")), diff);
  assert.deepEqual([agreed.code, agreed.out], [0, "east, west agree on Service shop/cart; --all shows on what\n"]);
  const all = await calling(two(cluster("west")), (at) => [...diff(at), "--all"]);
  assert.equal(all.code, 0);
  assert.match(all.out, /^ {2}endpoints +1\/1 +1\/1$/m);
});

test("a policy of one name with other rules is a difference that matters, in JSON as well", async () => {
  const policy = (who: string): string => `---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: callers, namespace: shop}, spec: {rules: [{from: [{source: {namespaces: [${who}]}}]}]}}
`;
  const files = {
    "east/all.yaml": cluster("east", 80, policy("web")),
    "west/all.yaml": cluster("west", 80, policy("ops")),
  };
  const { code, out } = await calling(files, (at) => [...diff(at), "-o", "json"]);
  const { schema, rows } = JSON.parse(out) as {
    schema: string;
    rows: { aspect: string; values: string[]; matters: boolean }[];
  };
  assert.deepEqual([code, schema, rows.map(({ aspect }) => aspect)], [1, "causeway.dev/diff/v1", ["policies"]]);
  assert.ok(rows[0]!.matters && rows[0]!.values.every((value) => value.startsWith("shop/callers@")));
});

test("a service that nobody has is named, with the one that was meant, and ends with 2", async () => {
  const { code, err } = await calling(two(cluster("west")), (at) => ["multicluster", "diff", "shop/crat", ...both(at)]);
  assert.deepEqual(
    [code, err],
    [2, "causeway: no cluster has Service shop/crat (east, west); did you mean shop/cart?\n"],
  );
});

test("analyze reads a folder of clusters, names file and line, and leaves out what it is told to", async () => {
  const files = { "mesh/east/all.yaml": cluster("east"), "mesh/west/all.yaml": cluster("west", 8080) };
  const strict = await calling(files, (at) => ["analyze", at("mesh"), "--strict"]);
  assert.equal(strict.code, 1);
  assert.match(
    strict.out,
    /Warning \[CWY2301\] Service shop\/cart, spec\.ports \(mesh\/west\/all\.yaml:\d+\)\n {2}ports: 80 in east and 8080 in west\n/,
  );
  assert.match(strict.out, /docs\/analysis\.md#cwy2301/);
  assert.equal((await calling(files, (at) => ["analyze", at("mesh")])).code, 0);
  const words = ["--strict", "--suppress", "CWY2301=Service shop/*"];
  const suppressed = await calling(files, (at) => ["analyze", at("mesh"), ...words]);
  assert.equal(suppressed.code, 0);
  assert.doesNotMatch(suppressed.out, /CWY2301/);
});

test("analyze in JUnit has a case for each finding, and fails those that reach the threshold", async () => {
  const { out } = await calling(two(cluster("west", 8080)), (at) => [
    "analyze",
    ...both(at),
    "--strict",
    "-o",
    "junit",
  ]);
  assert.match(out, /<testcase classname="mesh" name="CWY2301 Service shop\/cart">\n *<failure type="warning"/);
  assert.match(out, /<testsuite name="analyze" tests="2" failures="1">/);
});

test("a folder without manifests, one that is not there, and a code that there is not end with 2 or 64", async () => {
  const files = { "empty/README.md": "nothing" };
  const empty = await calling(files, (at) => ["analyze", at("empty")]);
  assert.equal(empty.code, 2);
  assert.match(empty.err, /empty holds no manifest/);
  assert.equal((await calling(files, (at) => ["analyze", at("absent")])).code, 2);
  const wrong = await calling(files, (at) => ["analyze", at("empty"), "--suppress", "CWY9999"]);
  assert.equal(wrong.code, 64);
  assert.match(wrong.err, /--suppress is "CWY9999": give a code of docs\/analysis\.md/);
});

test("a file that cannot be parsed is a finding with its line, and ends with 1", async () => {
  const { code, out } = await calling(
    { "east/cart.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: [}\n" },
    (at) => ["analyze", at("east")],
  );
  assert.equal(code, 1);
  assert.match(out, /Error \[CWY2001\] cluster east \(east\/cart\.yaml:3\)/);
});
