import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parse, stringify } from "yaml";
import type { Finding } from "../../src/inspect/finding.ts";
import { PROGRAM } from "./causeway-process.ts";
import type { Draft } from "./kube-client.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";

const run = promisify(execFile);
const KINDS = "namespaces,nodes,pods,services,serviceaccounts,endpointslices,gateways.gateway.networking.k8s.io";
const POLICIES = "authorizationpolicies.security.istio.io";

const RBAC = { apiVersion: "rbac.authorization.k8s.io/v1" };

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

type Manifest = Draft & { readonly apiVersion: string; readonly kind: string };

interface Document {
  readonly schema: string;
  readonly success: boolean;
  readonly clusters: readonly string[];
  readonly unread: readonly { readonly source: string; readonly why: string }[];
  readonly findings: readonly Finding[];
}

suite("Analysis of live clusters", () => {
  let lab: KubeLab;
  let kubeconfig: string;
  let clusters: readonly KubeCluster[];

  before(async function () {
    lab = await KubeLab.open(this);
    this.timeout(120_000);
    clusters = await Promise.all(["east", "west"].map((name) => lab.cluster(name)));
    for (const [at, cluster] of clusters.entries()) await cluster.apply(...objectsOf(cluster.name, at));
    kubeconfig = join(lab.folder, "contexts");
    writeFileSync(kubeconfig, await contextsOf(lab, clusters));
  });
  after(() => lab?.close());

  const causeway = async (...words: readonly string[]): Promise<Ran> => {
    const environment = { ...process.env, NO_COLOR: "1", KUBECONFIG: kubeconfig };
    const ended = await run("node", [PROGRAM, ...words], {
      env: environment,
      cwd: lab.folder,
      maxBuffer: 1 << 26,
    }).catch((thrown: { readonly code: number; readonly stdout: string; readonly stderr: string }) => thrown);
    return { code: "code" in ended ? ended.code : 0, out: ended.stdout, err: ended.stderr };
  };
  const documentOf = ({ out }: Ran): Document => JSON.parse(out) as Document;
  const analyzed = async (...words: readonly string[]): Promise<Document> =>
    documentOf(await causeway("analyze", ...words, "-o", "json"));
  /** Where an object was read is all that may differ. */
  const said = ({ findings }: Document): readonly object[] => findings.map(({ origin: _, ...finding }) => finding);

  test("live clusters, their objects in folders, and an archive of them have the same findings", async () => {
    const live = await analyzed("--contexts", "east,west");
    assert.deepEqual([live.schema, live.clusters], ["causeway.dev/findings/v1", ["east", "west"]]);
    const codes = new Set(live.findings.map(({ code }) => code));
    for (const code of ["CWY2106", "CWY2203", "CWY2301", "CWY2403"]) assert.ok(codes.has(code), [...codes].join());
    for (const { name, client } of clusters) {
      mkdirSync(join(lab.folder, "kept", name), { recursive: true });
      const text = await client.kubectl("get", `${KINDS},${POLICIES}`, "-A", "-o", "yaml");
      writeFileSync(join(lab.folder, "kept", name, "all.yaml"), text);
    }
    assert.deepEqual(said(await analyzed("kept/east", "kept/west")), said(live));
    assert.deepEqual(said(await analyzed("kept")), said(live));
    const reported = await causeway("bug-report", "--contexts", "east,west", "--file", "kept.tar.gz");
    assert.equal(reported.code, 0, reported.err);
    await run("tar", ["xzf", "kept.tar.gz", "--strip-components=1", "--one-top-level=archive"], { cwd: lab.folder });
    assert.deepEqual(said(await analyzed("--directory", "archive")), said(live));
  });

  test("clusters that are silent, refuse the token or are not there keep nobody waiting, and are no finding", async () => {
    const startedAt = Date.now();
    const ran = await causeway("analyze", "--contexts", "east,silent,stranger,gone", "-o", "json");
    assert.ok(Date.now() - startedAt < 15_000);
    const { unread, clusters: read, findings } = documentOf(ran);
    assert.deepEqual([ran.code, read], [2, ["east"]]);
    assert.deepEqual(
      unread.map(({ source }) => source),
      ["context silent", "context stranger", "context gone"],
    );
    assert.match(ran.err, /context silent could not be read: .* no connection in 4 s/);
    assert.match(ran.err, /context stranger could not be read: .* 401 Unauthorized/);
    assert.match(ran.err, /context gone could not be read: .* nothing listens there/);
    assert.deepEqual(
      findings.filter(({ cluster }) => cluster !== "east"),
      [],
    );
    const nobody = await causeway("analyze", "--contexts", "silent", "--timeout", "2s");
    assert.deepEqual([nobody.code, nobody.out], [2, ""]);
  });

  test("a reader without rights is told which to ask for, and of what it cannot see nothing is said", async () => {
    const { findings } = await analyzed("--context", "nobody");
    const [{ code, evidence }, ...others] = findings as readonly [Finding, ...Finding[]];
    assert.deepEqual([code, others], ["CWY2010", []]);
    const [, who, kinds] = /^(system:\S+) may not list ([^:]*): nothing is said/.exec(evidence)!;
    assert.deepEqual(
      ["namespaces", "pods", "services"].filter((kind) => !kinds!.split(", ").includes(kind)),
      [],
    );
    // Exactly what it asks for is enough.
    const metadata = { name: "causeway-reader" };
    await clusters[0]!.apply(
      { ...RBAC, kind: "ClusterRole", metadata, rules: kinds!.split(", ").map(mayList) },
      {
        ...{ ...RBAC, kind: "ClusterRoleBinding", metadata, subjects: [{ kind: "User", name: who }] },
        roleRef: { kind: "ClusterRole", ...metadata },
      },
    );
    assert.deepEqual(said(await analyzed("--context", "nobody")), said(await analyzed("--context", "east")));
  });

  test("diff of one service is the same live and from folders", async () => {
    const live = await causeway("multicluster", "diff", "shop/cart", "--contexts", "east,west", "-o", "json");
    const folders = ["--directory", "kept/east", "--directory", "kept/west"];
    const kept = await causeway("multicluster", "diff", "shop/cart", ...folders, "-o", "json");
    assert.equal(live.code, 1, live.err);
    assert.match(live.out, /"aspect": "ports"/);
    assert.equal(kept.out, live.out);
  });
});

const mayList = (kind: string): object => {
  const [, plural, group = ""] = /^([^.]+)(?:\.(.*))?$/.exec(kind)!;
  return { apiGroups: [group], resources: [plural], verbs: ["list"] };
};

/** What one cluster says otherwise than the other, and a link in one direction. */
function objectsOf(name: string, at: number): readonly Manifest[] {
  const labels = {
    "topology.istio.io/cluster": name,
    "topology.istio.io/network": at === 0 ? "net-east" : "elsewhere",
  };
  const listeners = [
    { name: "cross-network", port: 15_008, protocol: "HBONE", tls: { mode: "Passthrough" } },
    { name: "xds-tls", port: 15_012, protocol: "TLS", tls: { mode: "Passthrough" } },
  ];
  const text = stringify([
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "istio-system", labels: { "topology.istio.io/network": `net-${name}` } },
    },
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "shop", labels: { "istio.io/dataplane-mode": "ambient" } },
    },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: {
        name: "istio-eastwest",
        namespace: "istio-system",
        labels: { ...labels, "istio.io/expose-istiod": "15012" },
      },
      spec: { gatewayClassName: "istio-eastwest", listeners },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "cart", namespace: "shop", labels: { "istio.io/global": "true" } },
      spec: { selector: { app: "cart" }, ports: [{ name: "http", port: 80 + at }] },
    },
    {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "callers", namespace: "shop" },
      spec: { rules: [{ from: [{ source: { namespaces: [name] } }] }] },
    },
    ...(at === 0 ? [peerGateway(listeners)] : []),
  ]);
  return parse(text) as readonly Manifest[];
}

const peerGateway = (listeners: readonly object[]): object => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: {
    ...{ name: "istio-remote-peer-west", namespace: "istio-system" },
    labels: { "topology.istio.io/cluster": "west", "topology.istio.io/network": "net-west" },
  },
  spec: { gatewayClassName: "istio-remote", addresses: [{ type: "IPAddress", value: "10.9.9.9" }], listeners },
});

/** A kubeconfig of both as their administrators, and of contexts that something is wrong with. */
async function contextsOf(lab: KubeLab, clusters: readonly KubeCluster[]): Promise<string> {
  const [east] = clusters as readonly [KubeCluster];
  const silent = createServer((socket) => void socket.on("error", () => {})).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  lab.with({ close: async () => void silent.close() });
  const token = (await east.client.kubectl("create", "token", "default", "-n", "default")).trim();
  const ca = Buffer.from(east.api.admin.ca).toString("base64");
  const contexts = [
    ...clusters.map(({ name, api: { server, admin } }) => ({
      name,
      server,
      token: admin.token,
      ca: Buffer.from(admin.ca).toString("base64"),
    })),
    { name: "silent", server: `https://127.0.0.1:${(silent.address() as AddressInfo).port}`, token, ca },
    { name: "stranger", server: east.api.server, token: "made-up", ca },
    { name: "gone", server: "https://127.0.0.1:1", token, ca },
    { name: "nobody", server: east.api.server, token, ca },
  ];
  return stringify({
    ...{ apiVersion: "v1", kind: "Config", "current-context": "east" },
    clusters: contexts.map(({ name, server, ca }) => ({ name, cluster: { server, "certificate-authority-data": ca } })),
    users: contexts.map(({ name, token }) => ({ name, user: { token } })),
    contexts: contexts.map(({ name }) => ({ name, context: { cluster: name, user: name } })),
  });
}
