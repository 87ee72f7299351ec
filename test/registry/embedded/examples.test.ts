import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { Lab } from "./lab.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "..", "examples", "shop");

function examples(): Lab {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".yaml"));
  return new Lab().apply(Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), "utf8")])));
}

test("the examples have no problems, and every pod of theirs runs", () => {
  const lab = examples();
  assert.deepEqual(lab.problems, []);
  assert.deepEqual(
    Object.entries(lab.pods).filter(([, at]) => !/^[\d.]+ harbour-[12]$/.test(at)),
    [],
  );
});

test("the examples hold what their README counts, as far as Kubernetes makes it", () => {
  const lab = examples();
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const [, workloads, services, policies] = /\*\*all\*\* \| \*\*(\d+)\*\* \| \*\*(\d+)\*\* \| \*\*(\d+)\*\*/.exec(
    readme,
  )!;
  // The control plane adds a workload and a service for the one host of the ServiceEntry, and the policy of STRICT.
  assert.equal(lab.all("ServiceEntry").length, 1);
  assert.equal(lab.all("Pod").length + 1, Number(workloads));
  assert.equal(lab.all("Service").length + 1, Number(services));
  assert.equal(lab.all("PeerAuthentication").length, 1);
  assert.equal(lab.all("AuthorizationPolicy").length + 1, Number(policies));
});
