import assert from "node:assert/strict";
import { test } from "mocha";
import { parse } from "yaml";
import type { Finding } from "../../src/inspect/finding.ts";
import { failsBy, findingsText, type FindingsReport } from "../../src/inspect/report/findings-report.ts";

const finding = (level: Finding["level"], evidence = "it is so"): Finding => ({
  ...{ code: "CWY0101", level, cluster: "east", object: "Pod a/b", field: "spec.x", evidence, fix: "mend it" },
});
const report = (findings: readonly Finding[], strict = false): FindingsReport => ({
  ...{ command: "multicluster check", findings, fails: failsBy(strict), pageOf: () => "checks/environment" },
});

test("JSON and YAML say the same: schema, command, success, and each finding with the place that explains it", () => {
  const all = { ...report([finding("warning")]), more: { changes: [] } };
  const json: unknown = JSON.parse(findingsText(all, "json"));
  assert.deepEqual(json, parse(findingsText(all, "yaml")));
  assert.deepEqual(json, {
    ...{ schema: "causeway.dev/findings/v1", command: "multicluster check", success: true, changes: [] },
    findings: [{ ...finding("warning"), documentation: "docs/checks/environment.md#cwy0101" }],
  });
});

test("warnings fail only where they count, in what scripts read, too", () => {
  const strict = report([finding("warning")], true);
  assert.equal((JSON.parse(findingsText(strict, "json")) as { success: boolean }).success, false);
  assert.match(findingsText(strict, "junit"), /<failure type="warning"/);
  assert.doesNotMatch(findingsText(report([finding("warning")]), "junit"), /<failure/);
});

test("JUnit holds nothing that is no XML, and is never without a case", () => {
  const hostile = findingsText(report([finding("error", '\u001b]0;<x>&"\u0000]]>\ud800\uffff')]), "junit");
  assert.match(hostile, /message="\ufffd\]0;&lt;x&gt;&amp;&quot;\ufffd\]\]&gt;\ufffd\ufffd"/);
  assert.match(hostile, /spec\.x\nfix: mend it\nsee: docs\/checks\/environment\.md#cwy0101</);
  assert.match(findingsText(report([]), "junit"), /tests="1" failures="0">\n.*name="nothing was found"\/>/);
});
