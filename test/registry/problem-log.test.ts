import assert from "node:assert/strict";
import { test } from "mocha";
import type { Problem } from "../../src/registry/model/problem.ts";
import { ProblemLog } from "../../src/registry/problem-log.ts";
import { TestHost } from "../kits/test-host.ts";

const problem = (object: string, message: string, origin = "a.yaml:1"): Problem => {
  return { object, origin, field: "spec", message, severity: "error" };
};

test("a problem is said once when it comes and once when it goes, and a renamed file says nothing", () => {
  const host = new TestHost();
  const log = new ProblemLog(host.log.scope("registry"));
  log.note([problem("Service a", "is wrong")]);
  log.note([problem("Service a", "is wrong", "renamed.yaml:1")]);
  assert.deepEqual(host.lines, ["warn registry: is wrong object=Service a field=spec origin=a.yaml:1"]);
  log.note([]);
  assert.deepEqual(host.lines.slice(1), ["info registry: no longer a problem object=Service a field=spec"]);
});

test("the last word on an object is what holds", () => {
  const host = new TestHost();
  const log = new ProblemLog(host.log.scope("registry"));
  log.note([problem("Service a", "is wrong")]);
  log.note([problem("Service a", "is wrong in another way")]);
  assert.match(host.lines.at(-1)!, /^warn registry: is wrong in another way/);
});
