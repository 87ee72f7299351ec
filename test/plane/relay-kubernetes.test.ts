import assert from "node:assert/strict";
import { test } from "mocha";
import { loadConfig } from "../../src/config.ts";
import type { LocalConnection } from "../../src/kube/local-connection.ts";
import { PEER_GRANTS, SECRETS } from "../../src/kube/resource-types.ts";
import { clusterId } from "../../src/names.ts";
import { KubernetesSource } from "../../src/plane/kubernetes-source.ts";
import { RelaySecrets } from "../../src/plane/relay-kubernetes.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { LabRoot } from "../relay/agent-lab.ts";

const namespace = "istio-system";
const LABEL = "trust.causeway.dev/cluster";

function lab() {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const flags = { cluster: "east", trustManager: "trust.example:9900" };
  const config = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "/nowhere" });
  const sink = new RelaySecrets(config, server.connect());
  const done = async <T>(work: Promise<T>): Promise<T> => {
    work.catch(() => {});
    await host.clock.pass(1_000);
    return work;
  };
  const put = (name: string, files: ReadonlyMap<string, string>, labels: Record<string, string> = {}): void => {
    const data = Object.fromEntries([...files].map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
    server.put({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace, labels }, data });
  };
  const secret = (name: string) => server.get(SECRETS, namespace, name);
  return { host, server, sink, done, put, secret, files: new LabRoot(host, "Root a").files().text };
}

test("on Kubernetes the authority is one Secret with our label, and what was there before is kept in another", async () => {
  const { sink, done, secret, files } = lab();
  assert.deepEqual(await done(sink.look()), { kind: "absent" });
  await done(sink.install({ files, wish: "one", replaces: undefined }));
  assert.equal(secret("cacerts")!.metadata.labels![LABEL], "east");
  const found = await done(sink.look());
  assert.ok(found.kind === "own");
  assert.equal(found.wish, "one");
  assert.equal(found.files.text.get("ca-key.pem"), files.get("ca-key.pem"));
  // Of what is not there any more, nothing is replaced.
  await assert.rejects(done(sink.install({ files, wish: "two", replaces: "other" })), /was changed meanwhile/);
  const before = secret("cacerts")!["data"];
  const roots = new Map([...files, ["root-cert.pem", files.get("root-cert.pem")!.repeat(2)]]);
  await done(sink.install({ files: roots, wish: "two", replaces: found.files.digest }));
  assert.deepEqual(secret("cacerts-previous")!["data"], before);
  assert.notDeepEqual(secret("cacerts")!["data"], before);
});

test("a Secret without our label, or with another cluster's, is never written", async () => {
  for (const labels of [{}, { [LABEL]: "west" }]) {
    const { sink, done, put, secret, files } = lab();
    put("cacerts", files, labels);
    const before = secret("cacerts");
    const found = await done(sink.look());
    assert.ok(found.kind === "foreign");
    assert.match(found.why, /label it trust\.causeway\.dev\/cluster=east to hand it over, or delete it/);
    await assert.rejects(done(sink.install({ files, wish: "", replaces: undefined })), /hand it over/);
    assert.deepEqual(secret("cacerts"), before);
    assert.equal(secret("cacerts-previous"), undefined);
  }
});

test("a root of our own is what an order begins with, and its Secret stays", async () => {
  const { sink, done, put, secret, files } = lab();
  put("istio-ca-secret", files);
  const found = await done(sink.look());
  assert.ok(found.kind === "own");
  await done(sink.install({ files, wish: "", replaces: found.files.digest }));
  assert.equal(secret("cacerts")!.metadata.labels![LABEL], "east");
  assert.ok(secret("istio-ca-secret") !== undefined);
});

test("who we are is a Secret of ours, the token is read, and what may not be done is named", async () => {
  const { sink, done, put, secret, server } = lab();
  assert.equal(await done(sink.identity.read()), undefined);
  assert.equal(await done(sink.identity.token()), undefined);
  put("relay-identity-token-secret", new Map([["token", "causeway-relay-1.x"]]));
  assert.equal(await done(sink.identity.token()), "causeway-relay-1.x");
  const identity = { chain: "c", key: "k", roots: "r", tokenId: "t" };
  await done(sink.identity.write(identity));
  assert.deepEqual(await done(sink.identity.read()), identity);
  assert.equal(secret("relay-client-tls-secret")!.metadata.labels![LABEL], "east");
  server.faults.forbidden = ({ verb }) => verb === "update";
  await assert.rejects(done(sink.identity.write({ ...identity, key: "other" })), /grant create and update on it/);
});

test("a folder in the place of the Secret is refused, as what is ordered would never be used", async () => {
  const flags = { trustManager: "trust.example:9900", cacerts: "/etc/cacerts" };
  const config = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "/nowhere" });
  const connection = { source: "", connection: { server: "https://nowhere" } } as unknown as LocalConnection;
  const source = new KubernetesSource(config, connection);
  const plane = source.plane(new TestHost(), new AbortController().signal);
  await assert.rejects(plane, /\/etc\/cacerts would be used in its place; leave out --cacerts/);
});

test("bounds are PeerGrants with our labels: made, changed and removed, and no others", async () => {
  const { sink, done, server } = lab();
  const grant = { apiVersion: "peering.causeway.dev/v1alpha1", kind: "PeerGrant", spec: { cluster: "north" } };
  server.put({ ...grant, metadata: { name: "somebody-elses", namespace } });
  const west = { cluster: clusterId("west"), exports: [{ namespaces: ["shop"], services: undefined }], imports: [] };
  await done(sink.govern([west]));
  const spec = (name: string) => server.get(PEER_GRANTS, namespace, name)?.["spec"];
  assert.deepEqual(spec("workspace-bound.west.0"), {
    cluster: "west",
    export: { namespaces: ["shop"] },
    import: { namespaces: [] },
  });
  assert.deepEqual(spec("workspace-bound.0"), {
    cluster: "*",
    export: { namespaces: [] },
    import: { namespaces: [] },
  });
  await done(sink.govern([]));
  assert.equal(spec("workspace-bound.west.0"), undefined);
  assert.ok(spec("workspace-bound.0") !== undefined);
  await done(sink.govern(undefined));
  assert.equal(spec("workspace-bound.0"), undefined);
  assert.deepEqual(spec("somebody-elses"), { cluster: "north" });
});
