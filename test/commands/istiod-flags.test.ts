import assert from "node:assert/strict";
import { test } from "mocha";
import { loadConfig } from "../../src/config.ts";
import { ISTIOD_FLAGS, renamedOptions } from "../../src/commands/istiod-flags.ts";

const DEFAULTS = { listenAddress: "127.0.0.1", stateDir: "state" };

test("flags of istiod settle what they settle there, and ours win over them", () => {
  const theirs = {
    monitoringAddr: ":16014",
    httpAddr: "0.0.0.0:8081",
    secureGRPCAddr: ":16012",
    domain: "corp.example",
  };
  const { ports, clusterDomain } = loadConfig(renamedOptions(theirs), {}, DEFAULTS);
  assert.deepEqual([ports.admin, ports.health, ports.xds, clusterDomain], [16014, 8081, 16012, "corp.example"]);
  const both = loadConfig(renamedOptions({ ...theirs, adminPort: "17014" }), {}, DEFAULTS);
  assert.equal(both.ports.admin, 17014);
  assert.deepEqual(loadConfig(renamedOptions({}), {}, DEFAULTS), loadConfig({}, {}, DEFAULTS));
});

test("an address of istiod's that has no port is refused like one of ours", () => {
  assert.throws(
    () => loadConfig(renamedOptions({ monitoringAddr: "localhost" }), {}, DEFAULTS),
    /--admin-port is "localhost"/,
  );
});

test("what istiod's chart passes is known", () => {
  const names = ISTIOD_FLAGS.map(({ flags }) => /^--(\w+)/.exec(flags)![1]);
  for (const name of ["monitoringAddr", "domain", "keepaliveMaxServerConnectionAge"])
    assert.ok(names.includes(name), name);
});
