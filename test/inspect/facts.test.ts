import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "mocha";
import type { ClusterAccess } from "../../src/inspect/cluster-access.ts";
import { type ClusterFacts, objectsOf, pageOf, whyUnknown } from "../../src/inspect/cluster-facts.ts";
import { readFacts, writeFacts } from "../../src/inspect/facts-folder.ts";
import { readCluster, readClusters } from "../../src/inspect/read-cluster.ts";
import { remotesOf, secretText } from "../../src/inspect/secret-facts.ts";
import { CONFIG_MAPS, PODS, SECRETS, SEGMENTS, SERVICES } from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const claims = { iat: 1_700_000_000, exp: 1_800_000_000, sub: "system:serviceaccount:istio-system:reader" };
const TOKEN = `${base64('{"alg":"RS256"}')}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2lnbmF0dXJl`;
const KUBECONFIG = `apiVersion: v1
kind: Config
clusters: [{ name: west, cluster: { server: "https://10.9.9.9:6443" } }]
users: [{ name: west, user: { token: ${TOKEN} } }]
contexts: [{ name: west, context: { cluster: west, user: west } }]
current-context: west
`;

const istiod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "istiod-1", namespace: "mesh-system", labels: { app: "istiod" } },
  spec: {
    serviceAccountName: "istiod",
    containers: [
      {
        name: "discovery",
        env: [
          { name: "CLUSTER_ID", value: "east" },
          { name: "VAULT_TOKEN", value: "hvs.sesame" },
        ],
      },
    ],
  },
  status: { phase: "Running" },
};
const PAGES: Readonly<Record<string, unknown>> = { peerz: [{ cluster: "west", state: "live" }] };

async function lab(): Promise<{
  readonly server: FakeApiServer;
  readonly host: TestHost;
  readonly access: ClusterAccess;
}> {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const authority = await TestAuthority.create("CN=east");
  server.put(istiod);
  server.put({
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "cart", namespace: "shop" } },
    spec: { containers: [{ name: "cart", env: [{ name: "DB_URL", value: "postgres://cart:sesame@db" }] }] },
  });
  server.put({
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      ...{ name: "cacerts", namespace: "mesh-system" },
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ data: authority.key }) },
    },
    data: { "ca-cert.pem": base64(authority.root), "ca-key.pem": base64(authority.key) },
  });
  server.put({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "istio-remote-secret-west", namespace: "mesh-system", labels: { "istio/multiCluster": "true" } },
    data: { west: base64(KUBECONFIG) },
  });
  server.put({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "db", namespace: "shop" },
    data: { password: base64("sesame") },
  });
  server.put({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "app", namespace: "shop" },
    data: { a: "sesame" },
  });
  server.answer = ({ path, body }) =>
    path.endsWith("/subjectaccessreviews")
      ? { ...(body as object), status: { allowed: !JSON.stringify(body).includes('"leases"') } }
      : undefined;
  const api = Object.assign(server.connect(), { aheadMs: 1_200 });
  const page = (_: unknown, path: string): Promise<string> => {
    const body = PAGES[path.slice("/debug/".length)];
    return body === undefined ? Promise.reject(new Error("no such page")) : Promise.resolve(JSON.stringify(body));
  };
  return {
    server,
    host,
    access: { context: "kind-east", api, page, logs: () => Promise.resolve(""), close: () => api.close() },
  };
}

async function read(host: TestHost, access: ClusterAccess): Promise<ClusterFacts> {
  const reading = readCluster(host.clock, access, { signal: new AbortController().signal });
  await host.clock.pass(60_000);
  return reading;
}

test("facts of a live cluster are the same again after they were written to a folder and read from it", async () => {
  const { host, access } = await lab();
  const live = await read(host, access);
  assert.equal(live.cluster, "east");
  assert.equal(live.measured.clockSkewMs, 1_200);
  assert.deepEqual(pageOf(live, "peerz"), PAGES["peerz"]);
  await using folder = await folderOf({});
  assert.deepEqual(await writeFacts(folder.path, [live]), ["clusters/east"]);
  for (const place of [folder.path, folder.at("clusters/east")]) {
    const [offline] = await readFacts(place);
    const plain = (facts: ClusterFacts) =>
      JSON.parse(
        JSON.stringify({
          ...facts,
          source: "",
          kinds: [...facts.kinds].sort(),
          planes: facts.planes.map(({ pod, pages }) => ({ pod, pages: [...pages].sort() })),
        }),
      ) as unknown;
    assert.deepEqual(plain(offline!), plain(live));
  }
});

test("no private key, no token and no password of anybody is in facts, nor in the folder", async () => {
  const { host, access } = await lab();
  const facts = await read(host, access);
  await using folder = await folderOf({});
  await writeFacts(folder.path, [facts]);
  const entries = await readdir(folder.path, { recursive: true, withFileTypes: true });
  const texts = await Promise.all(
    entries.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name), "utf8")),
  );
  const all = [...texts, JSON.stringify([...facts.kinds])].join("\n");
  assert.ok(all.includes("istiod-1") && all.length > 2_000);
  for (const secret of ["PRIVATE KEY", base64("-----BEGIN PRIVATE"), "sesame", TOKEN, base64(KUBECONFIG).slice(0, 80)])
    assert.ok(!all.includes(secret), secret);
  const secrets = objectsOf(facts, SECRETS);
  assert.deepEqual(secrets.map(({ metadata }) => metadata.name).sort(), ["cacerts", "istio-remote-secret-west"]);
  assert.match(
    secretText(
      secrets.find(({ metadata }) => metadata.name === "cacerts")!,
      "ca-cert.pem",
    )!,
    /^-----BEGIN CERTIFICATE/,
  );
  assert.deepEqual(objectsOf(facts, CONFIG_MAPS), []);
});

test("of a remote secret facts say which server it names, how it proves itself, and how old its token is", async () => {
  const { host, access } = await lab();
  const facts = await read(host, access);
  const remote = objectsOf(facts, SECRETS).find(({ metadata }) => metadata.name.endsWith("west"))!;
  assert.deepEqual(remotesOf(remote), [
    {
      ...{ cluster: "west", server: "https://10.9.9.9:6443", proof: "token", why: "" },
      ...{ issuedAt: claims.iat * 1000, expiresAt: claims.exp * 1000 },
    },
  ]);
});

test("the rights of the control plane's own account are asked for, where it lives", async () => {
  const { host, access, server } = await lab();
  const { rights = [] } = (await read(host, access)).measured;
  assert.ok(rights.length > 30);
  assert.ok(rights.every(({ user }) => user === "system:serviceaccount:mesh-system:istiod"));
  const denied = rights
    .filter(({ allowed }) => !allowed)
    .map(({ verb, resource, namespace }) => `${verb} ${resource} ${namespace}`);
  assert.deepEqual(
    denied,
    ["create", "get", "update"].map((verb) => `${verb} leases mesh-system`),
  );
  server.faults.forbidden = ({ resource }) => resource === "subjectaccessreviews";
  server.answer = () => undefined;
  const { measured } = await read(host, access);
  assert.equal(measured.rights, undefined);
  assert.match(measured.rightsUnknown!, /subjectaccessreviews/);
});

test("a cluster that does not answer says why, within its time, and keeps no other waiting", async () => {
  const { host, access } = await lab();
  const silent = new FakeApiServer(host.clock, { server: "https://silent:6443" });
  silent.faults.silent = true;
  const dead = { ...access, context: "west", api: silent.connect() };
  const before = host.clock.elapsedMs();
  let doneMs = 0;
  const reading = readClusters(host.clock, [dead, access], { signal: new AbortController().signal });
  void reading.then(() => (doneMs = host.clock.elapsedMs()));
  await host.clock.pass(60_000);
  const [west, east] = await reading;
  assert.ok(doneMs - before < 6_000, `${doneMs - before} ms`);
  assert.match(west!.unread!, /silent:6443/);
  assert.equal(west!.cluster, "west");
  assert.match(whyUnknown(west!, PODS)!, /silent:6443/);
  assert.equal(east!.unread, undefined);
  assert.equal(objectsOf(east!, PODS).length, 2);
});

test("a kind that is not served has no objects; one that may not be listed is not known", async () => {
  const { host, access, server } = await lab();
  server.uninstall(SEGMENTS);
  server.faults.forbidden = ({ resource }) => resource === "pods";
  const facts = await read(host, access);
  assert.equal(whyUnknown(facts, SEGMENTS), undefined);
  assert.match(whyUnknown(facts, PODS)!, /403 Forbidden|forbidden/);
});

test("a folder of what kubectl prints is one cluster, which it names itself, and its Secrets are reduced", async () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: istio-eastwest, namespace: istio-eastwest, labels: { topology.istio.io/cluster: blue } }
spec: { gatewayClassName: istio-eastwest }
`;
  const list = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: { name: istio-remote-secret-west, namespace: istio-system, labels: { istio/multiCluster: "true" } }
  data: { west: ${base64(KUBECONFIG)} }
- { apiVersion: example.dev/v1, kind: Widget, metadata: { name: w } }
`;
  await using folder = await folderOf({
    "gateways.yaml": gateway,
    "deep/secrets.yml": list,
    "twice.yaml": gateway,
    "notes.txt": "-",
  });
  const [facts] = await readFacts(folder.path);
  assert.equal(facts!.cluster, "blue");
  assert.equal(remotesOf(objectsOf(facts!, SECRETS)[0]!)[0]!.server, "https://10.9.9.9:6443");
  assert.match(whyUnknown(facts!, PODS)!, /were not read/);
  assert.match(facts!.files!.faults[0]!.message, /gateways\.yaml:1, which counts/);
  assert.deepEqual(
    facts!.files!.unknownKinds.map(({ kind }) => kind),
    ["Widget"],
  );
  assert.equal(facts!.files!.declared, true);
});

test("a folder that is not there, or holds no manifest, is named, with what would do", async () => {
  await using folder = await folderOf({ "readme.md": "hello" });
  await assert.rejects(readFacts(folder.path), /holds no manifest of a kind that is read: give it/);
  await assert.rejects(readFacts(folder.at("nowhere")), /there is no folder .*nowhere/);
  await assert.rejects(readFacts(folder.at("readme.md")), /readme\.md is a file: name the folder that it is in/);
});

test("an archive is found in the folder that it was unpacked into", async () => {
  const { host, access } = await lab();
  await using folder = await folderOf({});
  await writeFacts(folder.at("here/report"), [await read(host, access)]);
  const [facts, ...more] = await readFacts(folder.at("here"));
  assert.deepEqual([facts!.cluster, facts!.planes.length, more], ["east", 1, []]);
});

test("an archive that was not unpacked is told from a folder", async () => {
  await using folder = await folderOf({ "report.tar.gz": "" });
  await assert.rejects(readFacts(folder.at("report.tar.gz")), /is a file: unpack it \(tar xzf\), and name the folder/);
});

test("lists within lists, in YAML and in JSON, are the objects of all of them", async () => {
  const service = (name: string): string => `{"apiVersion":"v1","kind":"Service","metadata":{"name":"${name}"}}`;
  const list = (...items: readonly string[]): string =>
    `{"apiVersion":"v1","kind":"List","items":[${items.join(",")}]}`;
  const deep = list(list(service("a"), list(service("b"))), service("c"));
  const files = { "long.json": deep, "short.yaml": ` ${deep.replaceAll('"a"', '"d"').replace(/"[bc]"/g, '"e"')}` };
  await using folder = await folderOf(files);
  const [facts] = await readFacts(folder.path);
  const names = objectsOf(facts!, SERVICES).map(({ metadata }) => metadata.name);
  assert.deepEqual(names.sort(), ["a", "b", "c", "d", "e"]);
});

test("the state of a control plane is no folder of manifests, and what to do is said", async () => {
  await using files = await folderOf({ "state/bank/connection.json": "{}" });
  await assert.rejects(
    readFacts(files.at("state")),
    /state holds the state of a control plane, not manifests: name it with --state, or the folder of its manifests$/,
  );
});

test("a trust manager in an archive is no cluster to be judged", async () => {
  await using files = await folderOf({
    "clusters/east/cluster.json": '{"cluster":"east","readAt":"2026-01-31T12:00:00Z"}',
    "clusters/trust-manager/cluster.json": '{"cluster":"trust-manager","readAt":"2026-01-31T12:00:00Z"}',
    "clusters/trust-manager/planes/istio-system_istiod/trustz.json": "{}",
  });
  const all = await readFacts(files.path);
  assert.deepEqual(
    all.map(({ cluster }) => cluster),
    ["east"],
  );
});

test("clusters whose names cannot be folders, or are the same, each get a folder of their own", async () => {
  const { host, access } = await lab();
  const facts = await read(host, access);
  await using folder = await folderOf({});
  const places = await writeFacts(folder.path, [facts, facts, { ...facts, cluster: "../up/arn:aws" }]);
  assert.deepEqual(places, ["clusters/east", "clusters/east_2", "clusters/__up_arn_aws"]);
  const names = (await readFacts(folder.path)).map(({ cluster }) => cluster);
  assert.deepEqual(names.sort(), ["../up/arn:aws", "east", "east"]);
});
