import assert from "node:assert/strict";
import { test } from "mocha";
import { loadConfig } from "../../../src/config.ts";
import type { Environment } from "../../../src/command.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import type { EffectiveMesh } from "../../../src/registry/kube/effective-mesh.ts";
import { MeshConfigFollower } from "../../../src/registry/kube/mesh-config-follower.ts";
import { Reflector } from "../../../src/kube/reflector.ts";
import { RelistGate } from "../../../src/kube/relist-gate.ts";
import { CONFIG_MAPS } from "../../../src/kube/resource-types.ts";
import { FakeApiServer } from "../../kits/fake-api-server.ts";
import { TestHost } from "../../kits/test-host.ts";

const configMap = (mesh: unknown, name = "istio", namespace = "istio-system"): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data: { mesh },
});

function follow(environment: Environment = {}) {
  const host = new TestHost();
  const config = loadConfig({}, environment, { listenAddress: "127.0.0.1", stateDir: "" });
  const heard: EffectiveMesh[] = [];
  const follower = new MeshConfigFollower(host.log.scope("registry"), {
    maps: config.meshConfigMaps,
    defaults: config,
    onChange: (mesh) => heard.push(mesh),
    onProblems: () => {},
  });
  const problems = () => follower.problems().map(({ object, message }) => `${object}: ${message}`);
  const trustDomains = () => heard.map(({ settings }) => settings.trustDomain);
  return { host, follower, heard, problems, trustDomains };
}

test("nothing holds before the ConfigMap was read, or is known to be absent", () => {
  const { follower, heard, host } = follow();
  follower.set(configMap("trustDomain: other", "istio", "shop"));
  follower.set(configMap("trustDomain: other", "istio-canary"));
  assert.deepEqual([follower.mesh, heard], [undefined, []]);
  follower.synced();
  assert.deepEqual(heard[0]!.settings, {
    trustDomain: "cluster.local",
    rootNamespace: "istio-system",
    clusterDomain: "cluster.local",
  });
  assert.equal(heard.length, 1);
  assert.deepEqual(host.lines, [
    "info registry: the mesh has no such ConfigMap, so defaults hold object=ConfigMap istio-system/istio",
  ]);
});

test("a revision has a ConfigMap of its own, in the system namespace", () => {
  const { follower, trustDomains } = follow({ REVISION: "canary", POD_NAMESPACE: "mesh" });
  follower.set(configMap("trustDomain: wrong", "istio", "mesh"));
  follower.set(configMap("trustDomain: right", "istio-canary", "mesh"));
  assert.deepEqual(trustDomains(), ["right"]);
});

test("a control plane whose first mesh config cannot be read knows nothing until it is fixed", () => {
  const { follower, host, problems, trustDomains } = follow();
  follower.set(configMap("trustDomain: a/b"));
  follower.synced();
  assert.match(
    host.lines.join(),
    /^error registry: mesh.trustDomain is "a\/b".* object=ConfigMap istio-system\/istio$/,
  );
  assert.equal(follower.mesh, undefined);
  assert.match(
    problems().join(),
    /^ConfigMap istio-system\/istio: mesh.trustDomain is "a\/b".* nothing is served, since nobody knows/,
  );
  follower.set(configMap("trustDomain: east"));
  assert.deepEqual([trustDomains(), problems()], [["east"], []]);
});

test("scopes change while we run, and a config that turns bad or goes leaves the last good one in force", () => {
  const { follower, heard, problems } = follow();
  const scope = "serviceScopeConfigs: [{ scope: GLOBAL }]";
  follower.set(configMap(""));
  follower.set(configMap(scope));
  assert.deepEqual(
    heard.map(({ serviceScopeConfigs }) => serviceScopeConfigs.length),
    [0, 1],
  );
  follower.set(configMap("serviceScopeConfigs: [{ scope: Everywhere }]"));
  assert.match(problems().join(), /serviceScopeConfigs\[0\]\.scope must be .* what it said before stays in force/);
  follower.delete(configMap(undefined));
  assert.match(problems().join(), /It was deleted\. What it said stays in force until the next start/);
  assert.equal(follower.mesh?.serviceScopeConfigs.length, 1);
  follower.set(configMap(scope));
  assert.deepEqual([heard.length, problems()], [2, []]);
});

test("identities stay what they were: another trust domain or root namespace waits for a restart, and says so", () => {
  const { follower, heard, problems } = follow();
  follower.set(configMap("trustDomain: east"));
  follower.set(configMap("trustDomain: west\nrootNamespace: roots\ntrustDomainAliases: [east]"));
  const { settings, trustDomainAliases } = heard.at(-1)!;
  assert.deepEqual([settings.trustDomain, settings.rootNamespace], ["east", "istio-system"]);
  assert.deepEqual(trustDomainAliases, ["east"]);
  const [domain, namespace] = problems();
  assert.match(domain!, /mesh.trustDomain is now west, after a restart; until then it is east\.$/);
  assert.match(namespace!, /mesh.rootNamespace is now roots, after a restart; until then it is istio-system\.$/);
  follower.set(configMap("trustDomain: east"));
  assert.deepEqual(problems(), []);
});

test("a trust domain that was chosen wins over the mesh config, which is told so", () => {
  const { follower, problems, trustDomains } = follow({ TRUST_DOMAIN: "chosen" });
  follower.set(configMap("trustDomain: east"));
  follower.set(configMap("trustDomain: west"));
  assert.deepEqual(trustDomains(), ["chosen"]);
  assert.match(problems().join(), /mesh.trustDomain is west, but --trust-domain or TRUST_DOMAIN is chosen, and wins/);
});

test("what the own ConfigMap does not say, the shared one says, each with a last good of its own", () => {
  const { follower, problems } = follow({ SHARED_MESH_CONFIG: "shared" });
  const said = () => [follower.mesh?.settings.trustDomain, follower.mesh?.settings.rootNamespace];
  follower.set(configMap("trustDomain: own"));
  assert.deepEqual(said(), [undefined, undefined]);
  follower.set(configMap("trustDomain: shared\nrootNamespace: shared\ntrustDomainAliases: [old]", "shared"));
  assert.deepEqual(said(), ["own", "shared"]);
  follower.set(configMap("rootNamespace: [", "shared"));
  follower.set(configMap("trustDomain: own\nserviceScopeConfigs: [{ scope: GLOBAL }]"));
  assert.deepEqual(said(), ["own", "shared"]);
  assert.deepEqual([follower.mesh?.trustDomainAliases, follower.mesh?.serviceScopeConfigs.length], [["old"], 1]);
  assert.match(problems().join(), /ConfigMap istio-system\/shared: data.mesh cannot be read/);
  follower.set(configMap("trustDomain: null\n__proto__: { trustDomain: a/b }"));
  follower.set(configMap("trustDomain: shared", "shared"));
  assert.deepEqual(problems().slice(0, 1), [
    "ConfigMap istio-system/istio: mesh.trustDomain is now shared, after a restart; until then it is own.",
  ]);
});

test("fields for Envoy are said once, in one line", () => {
  const { follower, host } = follow();
  follower.set(configMap("defaultConfig: {}\naccessLogFile: a"));
  follower.set(configMap("accessLogFile: b\ndefaultConfig: {}"));
  assert.deepEqual(host.lines, [
    "info registry: fields of the mesh config that ztunnels have no use for fields=accessLogFile,defaultConfig",
  ]);
});

test("over an API server that expires, vanishes and comes back without the ConfigMap, the last good config holds", async () => {
  const { follower, host, problems, trustDomains } = follow();
  const { clock } = host;
  const server = new FakeApiServer(clock);
  server.put(configMap("trustDomain: east\nserviceScopeConfigs: [{ scope: GLOBAL }]"));
  const reflector = new Reflector(host, server.connect(), new RelistGate(), {
    cluster: "east",
    type: CONFIG_MAPS,
    namespace: "istio-system",
    sink: follower,
    onSynced: () => follower.synced(),
  });
  reflector.start();
  await clock.pass(5_000);
  server.expireAll();
  await clock.pass(60_000);
  assert.deepEqual([trustDomains(), problems()], [["east"], []]);
  server.faults.down = true;
  server.cutWatches();
  server.remove(configMap(undefined));
  await clock.pass(600_000);
  assert.deepEqual([follower.mesh?.serviceScopeConfigs.length, problems()], [1, []]);
  server.faults.down = false;
  await clock.pass(60_000);
  assert.match(problems().join(), /It was deleted\. What it said stays in force/);
  server.put(configMap("trustDomain: east\ntrustDomainAliases: [old]"));
  await clock.pass(5_000);
  assert.deepEqual(follower.mesh?.trustDomainAliases, ["old"]);
  assert.deepEqual(follower.mesh?.serviceScopeConfigs, []);
  await reflector.close();
});
