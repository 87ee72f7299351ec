import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "mocha";
import { folderOf } from "../kits/folder.ts";
import { CASES } from "./check-cases.ts";
import { CheckLab, type Ran } from "./check-lab.ts";
import { change, remove, twoClusters } from "./two-clusters.ts";

const golden = join(import.meta.dirname, "..", "..", "..", "test", "inspect", "golden");
const asGolden = ({ code, out, err }: Ran): string =>
  `${out
    .replace(/\b[0-9a-f]{64}\b/g, "<sha256>")
    .replace(/\b\d+ s ago/g, "<n> s ago")
    .replace(/^(\S+ +\d+\/\d+ +\S+ +\d+ +)\S+$/gm, "$1<age>")}${err}exit code ${code}\n`;

function matches(name: string, actual: string): void {
  const path = join(golden, `${name}.txt`);
  if (process.env["UPDATE"] === "1") writeFileSync(path, actual);
  assert.equal(actual, readFileSync(path, "utf8"));
}

suite("What multicluster check says (contract peering.md T16)", () => {
  for (const [name, edit] of Object.entries(CASES))
    test(`${name}: the words are those of the golden file, live and from a folder alike`, async () => {
      const lab = await CheckLab.open(edit);
      const live = await lab.check({ verbose: true });
      const short = await lab.check({});
      matches(name, asGolden(live));
      await using folder = await folderOf({});
      await lab.written(folder.path);
      const offline = await lab.check({ verbose: true, directory: [folder.path] });
      assert.equal(asGolden(offline), asGolden(live));
      assert.equal(short.code, live.code);
      if (name === "healthy" || name === "unlinked") matches(`${name}-short`, asGolden(short));
    });

  test("what the guide shows of a healthy mesh stands there word for word", async () => {
    const lab = await CheckLab.open();
    const { code, out, err } = await lab.check({ verbose: true });
    assert.deepEqual([code, err], [0, ""]);
    for (const line of GUIDE) assert.ok(out.includes(`${line}\n`), line);
  });

  test("each check that is broken names its code, and no other check fails with it", async () => {
    for (const [name, edit] of Object.entries(CASES)) {
      const [, digits] = /^(\d\d)-/.exec(name) ?? [];
      if (digits === undefined) continue;
      const { out } = await (await CheckLab.open(edit)).check({ output: "json" });
      const { findings } = JSON.parse(out) as {
        findings: readonly { code: string; level: string; documentation?: string; fix: string }[];
      };
      const wrong = findings.filter(({ level }) => level === "error" || level === "warning");
      const own =
        name === "06-peers-unknown"
          ? findings.filter(({ code }) => code === "CWY0608")
          : wrong.filter(({ code }) => code.startsWith(`CWY${digits}`));
      assert.ok(own.length > 0, name);
      assert.ok(
        own.every(({ documentation, code }) => documentation?.endsWith(`#${code.toLowerCase()}`)),
        name,
      );
      if (name !== "06-peers-unknown")
        assert.ok(
          own.every(({ fix }) => fix !== ""),
          name,
        );
    }
  });

  test("what is not known is never said to be well", async () => {
    await using folder = await folderOf({
      "one.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n",
    });
    const { out } = await (await CheckLab.open()).check({ directory: [folder.path] });
    assert.ok(out.includes("ℹ Orphans Check: what is left of peers is not known"), out);
    assert.doesNotMatch(out, /^✅/m);
  });

  test("before clusters are linked, the check fails and the precheck does not", async () => {
    const lab = await CheckLab.open(CASES["unlinked"]);
    const plain = await lab.check({});
    assert.equal(plain.code, 1);
    assert.match(plain.out, /❌ Gateway Check: no configured eastwest gateways\n/);
    assert.match(plain.out, /❌ Peers Check: no configured peers\n/);
    assert.equal(plain.err.trimEnd().split("\n").at(-1), "Error: multicluster check found issues");
    const before = await lab.check({ precheck: true });
    assert.deepEqual([before.code, before.err], [0, ""]);
    assert.doesNotMatch(before.out, /Peers Check|Shared Services|Stale Workloads/);
  });

  test("warnings leave the exit code alone, unless --strict is given", async () => {
    const lab = await CheckLab.open(CASES["06-peers-half-linked"]);
    lab.clusters[1]!.objects.push(
      (await twoClusters(lab.host.clock.now()))[1].objects.find(
        ({ metadata }) => metadata.name === "istio-remote-peer-east",
      )!,
    );
    CASES["14-orphans"]!(lab.clusters[0]!, lab.clusters[1]!, 0);
    assert.equal((await lab.check({})).code, 0);
    assert.equal((await lab.check({ strict: true })).code, 1);
  });

  test("a cluster that does not answer is one finding, and the other is checked; without any the exit code is 2", async () => {
    const lab = await CheckLab.open();
    lab.clusters[1]!.silent = true;
    const half = await lab.check({});
    assert.equal(half.code, 1);
    assert.match(half.out, /❌ Cluster Check: the API server of west does not answer/);
    assert.match(half.out, /✅ Pod Check \(istiod\): all pods healthy/);
    lab.clusters[0]!.silent = true;
    assert.equal((await lab.check({})).code, 2);
  });

  test("with --wait it passes as soon as what was wrong is mended, and gives up when the time is over", async () => {
    const lab = await CheckLab.open(CASES["03-dns-capture"]);
    let opened = lab.access(lab.clusters[0]!);
    lab.open = async () => [opened, lab.access(lab.clusters[1]!)];
    const startMs = lab.host.clock.elapsedMs();
    assert.equal((await lab.check({ wait: "20s" })).code, 1);
    assert.ok(lab.host.clock.elapsedMs() - startMs >= 15_000);
    change(lab.clusters[0]!, "ConfigMap", "istio-cni-config", { data: { AMBIENT_DNS_CAPTURE: "true" } });
    const mended = lab.access(lab.clusters[0]!);
    opened = lab.access({ ...lab.clusters[0]!, objects: [] });
    const call = opened.api.call.bind(opened.api);
    const atMs = lab.host.clock.elapsedMs();
    Object.assign(opened.api, {
      call: (...asked: Parameters<typeof call>) =>
        lab.host.clock.elapsedMs() - atMs < 8_000 ? call(...asked) : mended.api.call(...asked),
    });
    assert.equal((await lab.check({ wait: "5m" })).code, 0);
    assert.ok(lab.host.clock.elapsedMs() - atMs < 60_000);
  });

  test("one cluster alone is held to its own root, and has no heading", async () => {
    const lab = await CheckLab.open();
    lab.clusters = [lab.clusters[0]!];
    const well = await lab.check({ precheck: true });
    assert.equal(well.code, 0, well.out);
    assert.doesNotMatch(well.out, /===/);
    remove(lab.clusters[0]!, "ConfigMap", "istio-ca-root-cert");
    assert.match((await lab.check({ precheck: true })).out, /CWY0801/);
  });

  test("JSON, YAML and JUnit say the same, and are versioned", async () => {
    const lab = await CheckLab.open(CASES["13-gateway-ports"]);
    const json = JSON.parse((await lab.check({ output: "json" })).out) as {
      schema: string;
      success: boolean;
      findings: readonly { level: string }[];
    };
    assert.deepEqual([json.schema, json.success], ["causeway.dev/findings/v1", false]);
    assert.match((await lab.check({ output: "yaml" })).out, /^schema: causeway\.dev\/findings\/v1\n/);
    const junit = (await lab.check({ output: "junit" })).out;
    const errors = json.findings.filter(({ level }) => level === "error").length;
    assert.ok(errors > 0);
    assert.equal(junit.match(/<failure /g)?.length, errors);
    assert.equal(junit.match(/<testcase /g)?.length, json.findings.length);
    assert.match(
      junit,
      new RegExp(
        `^<testsuites name="causeway multicluster check" tests="${json.findings.length}" failures="${errors}">$`,
        "m",
      ),
    );
  });

  test("colour is for terminals that show it, and nothing that clusters say can move a cursor", async () => {
    const lab = await CheckLab.open((east) =>
      change(east, "Gateway", "istio-remote-peer-west", {
        status: { conditions: [{ type: "Accepted", status: "False", reason: "Bad", message: "\u001b[2J gone" }] },
      }),
    );
    assert.doesNotMatch((await lab.check({ verbose: true })).out, /\u001b/);
    const colourful = (await lab.check({}, { colour: true })).out;
    assert.match(colourful, /\u001b\[31m❌\u001b\[0m Peers Check/);
    assert.doesNotMatch(colourful, /\u001b\[2J/);
  });

  test("--wait for a folder, or one folder twice, is a mistake that is named", async () => {
    const lab = await CheckLab.open();
    await assert.rejects(lab.check({ directory: ["x", "x"] }), /--directory names x twice/);
    await assert.rejects(lab.check({ directory: ["x"], wait: "5s" }), /a folder does not change/);
    await assert.rejects(lab.check({ tokenAge: "90 days" }), /--token-age is "90 days"/);
  });
});

/** Of guide 002, but for names and numbers. */
const GUIDE = [
  "--- Incompatible Environment Variable Check ---",
  '✅ Incompatible Environment Variable Check: K8S_SELECT_WORKLOAD_ENTRIES is valid ("")',
  '✅ Incompatible Environment Variable Check: ENABLE_PEERING_DISCOVERY is valid ("true")',
  "✅ Incompatible Environment Variable Check: all relevant environment variables are valid",
  "--- Pod Check (istiod) ---",
  "NAME     READY STATUS  RESTARTS AGE",
  "✅ Pod Check (istiod): all pods healthy",
  "✅ Pod Check (ztunnel): all pods healthy",
  "✅ Pod Check (eastwest gateway): all pods healthy",
  "--- Gateway Check ---",
  "Gateway: istio-eastwest",
  "Addresses:",
  "- 192.0.2.1",
  "Status: programmed ✅",
  "✅ Gateway Check: all eastwest gateways programmed",
  "--- Peers Check ---",
  "Cluster: west",
  "Conditions:",
  "- Accepted: True",
  "- Programmed: True",
  "- gloo.solo.io/PeerConnected: True",
  "- gloo.solo.io/PeeringSucceeded: True",
  "- gloo.solo.io/PeerDataPlaneProgrammed: True",
  "Status: connected ✅",
  "✅ Peers Check: all clusters connected",
  "✅ Intermediate Certs Compatibility Check: cluster east has compatible intermediate certificates with cluster west",
  "✅ Intermediate Certs Compatibility Check: cluster west has compatible intermediate certificates with cluster east",
  "✅ Intermediate Certs Compatibility Check: all clusters have compatible intermediate certificates",
  "--- Network Configuration Check ---",
  "✅ Cluster east has network: net-east",
  "✅ Eastwest gateway istio-eastwest/istio-eastwest has correct network label: net-east",
  "✅ Remote gateway istio-eastwest/istio-remote-peer-west references network net-west (clusters: [west])",
  "✅ Network Configuration Check: all network configurations are valid",
  "--- Stale Workloads Check ---",
  "⚠ Stale Workloads Check: no autogenflat workload entries found",
];
