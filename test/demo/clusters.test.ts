import assert from "node:assert/strict";
import { test } from "mocha";
import { demoConfigs } from "../../src/demo/clusters.ts";

test("each cluster of the demo has ports, state and an authority of its own", () => {
  const configs = demoConfigs({ options: { state: "/tmp/x" } });
  assert.deepEqual(
    configs.map(({ cluster, config, relayPort }) => [
      cluster,
      config.clusterId,
      config.stateDir,
      config.ports.xds,
      relayPort,
    ]),
    [
      ["edge", "edge", "/tmp/x/edge", 15012, 15022],
      ["bank", "bank", "/tmp/x/bank", 15112, 15122],
      ["vendor", "vendor", "/tmp/x/vendor", 15212, 15222],
    ],
  );
  assert.equal(
    new Set(configs.flatMap(({ config }) => [config.ports.admin, config.ports.health, config.ports.xds])).size,
    9,
  );
  assert.equal(configs[1]!.config.cacertsDir, "/tmp/x/bank/intermediate");
});

test("ports move together, and 0 is any that is free", () => {
  const xds = (xdsPort: string) =>
    demoConfigs({ options: { xdsPort } }).map(({ config, relayPort }) => [config.ports.xds, relayPort]);
  assert.deepEqual(xds("20000"), [
    [20000, 20010],
    [20100, 20110],
    [20200, 20210],
  ]);
  assert.deepEqual(xds("0"), [
    [0, 0],
    [0, 0],
    [0, 0],
  ]);
});

test("a flag that only one control plane can have says what to add", () => {
  assert.throws(
    () => demoConfigs({ options: { trustDomain: "bank.example" } }),
    /--trust-domain is for one control plane; add --manifests <dir> to run only one/,
  );
});

test("with SPIRE each cluster is a trust domain, and its stand-in has a folder in its state", () => {
  const configs = demoConfigs({ options: { state: "/tmp/x", identity: "spire" } });
  assert.deepEqual(
    configs.map(({ config, spireDir }) => [config.trustDomain, config.spire.identity, spireDir]),
    ["edge", "bank", "vendor"].map((name) => [name, "spire", `/tmp/x/${name}/spire`]),
  );
  assert.deepEqual(configs[0]!.config.spire.server, { kind: "socket", path: "/tmp/x/edge/spire/server.sock" });
  assert.throws(
    () => demoConfigs({ options: { identity: "external" } }),
    /--identity external is for one control plane/,
  );
});

test("a state folder with too long a path for the sockets of SPIRE is refused, by what the system takes", () => {
  const ofLength = (bytes: number) => () =>
    demoConfigs({ options: { state: `/${"l".repeat(bytes)}`, identity: "spire" } });
  // What is longest is /…/vendor/spire/agent-0-admin-0.sock.
  ofLength(107 - 1 - 34)();
  assert.throws(
    ofLength(107 - 34),
    /vendor\/spire\/agent-0-admin-0\.sock has 108 bytes.* at most 107; .*--state <dir>/,
  );
});
