import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { stringify } from "yaml";
import type { AdminServer } from "../../src/admin.ts";
import { proxyStatusCommand } from "../../src/commands/proxy-status.ts";
import { remoteClustersCommand } from "../../src/commands/remote-clusters.ts";
import { workloadsCommand } from "../../src/commands/workloads.ts";
import { folderOf } from "../kits/folder.ts";
import { type Answer, answerJson } from "../kits/kube-server.ts";
import { type PortForwardLab, portForwardServer } from "../kits/port-forward-server.ts";
import { TestAuthority } from "../kits/tls.ts";
import { client, type Ran, run, serve, SHOP, subscription, viewedMesh } from "./served-mesh.ts";

const authority = await TestAuthority.create();
/** Where nothing listens. */
const DEAD_PORT = 1;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function plane(...clients: readonly string[]): Promise<AdminServer> {
  const connected = clients.map((name) => client(name, [subscription()]));
  const server = await serve(viewedMesh(SHOP, connected));
  closing.push(() => server.close());
  return server;
}

const pod = (name: string, phase = "Running") => ({
  metadata: { name, namespace: "istio-system", labels: { app: "istiod" } },
  status: { phase },
});

/** A cluster with a pod for each port; its context has the cluster's name. */
async function cluster(ports: Readonly<Record<string, number>>, listed?: Answer): Promise<PortForwardLab> {
  const pods = [...Object.keys(ports).map((name) => pod(name)), pod("istiod-gone", "Succeeded")];
  const lab = await portForwardServer(
    authority,
    (path) => ports[/pods\/([^/]+)\//.exec(path)![1]!]!,
    undefined,
    listed ?? ((_, response) => answerJson(response, 200, { kind: "PodList", items: pods })),
  );
  closing.push(() => lab.server[Symbol.asyncDispose]());
  return lab;
}

/** Contexts of these clusters, by name. */
async function kubeconfigOf(labs: Readonly<Record<string, PortForwardLab>>): Promise<string> {
  const names = Object.keys(labs);
  const ca = Buffer.from(authority.root).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: names.map((name) => ({
      name,
      cluster: { server: labs[name]!.server.url, "certificate-authority-data": ca },
    })),
    users: [{ name: "ann", user: { token: "secret" } }],
    contexts: names.map((name) => ({ name, context: { cluster: name, user: "ann" } })),
    "current-context": names[0],
  };
  const folder = await folderOf({ config: stringify(config) });
  closing.push(() => folder[Symbol.asyncDispose]());
  return folder.at("config");
}

const names = ({ out }: Ran): readonly string[] =>
  out
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(" ")[0]!);

test("proxy-status asks every replica of every context, as each has clients of its own", async () => {
  const east = await cluster({
    "istiod-1": (await plane("ztunnel-a")).adminPort,
    "istiod-2": (await plane("ztunnel-b")).adminPort,
  });
  const west = await cluster({ "istiod-3": (await plane("ztunnel-c")).adminPort });
  const kubeconfig = await kubeconfigOf({ east, west });
  const ran = await run(proxyStatusCommand, "--contexts", "east,west", "--kubeconfig", kubeconfig);
  assert.deepEqual([ran.code, ran.err], [0, ""]);
  assert.deepEqual(names(ran), ["ztunnel-a.istio-system", "ztunnel-b.istio-system", "ztunnel-c.istio-system"]);
  assert.ok(
    east.asked.every(({ path, authorization }) => path.endsWith("?ports=15014") && authorization === "Bearer secret"),
  );
});

test("what all replicas hold comes from the first that answers, and the current context is the default", async () => {
  const east = await cluster({ "istiod-1": DEAD_PORT, "istiod-2": (await plane()).adminPort });
  const ran = await run(workloadsCommand, "--kubeconfig", await kubeconfigOf({ east }));
  assert.deepEqual([ran.code, ran.err], [0, ""]);
  assert.deepEqual(names(ran), ["bank", "shop", "shop"]);
  assert.deepEqual(
    east.asked.map(({ path }) => /istiod-\d/.exec(path)![0]),
    ["istiod-1", "istiod-2"],
  );
});

test("a replica that does not answer is named, as its clients would be missing", async () => {
  const east = await cluster({ "istiod-1": DEAD_PORT, "istiod-2": (await plane("ztunnel-b")).adminPort });
  const kubeconfig = await kubeconfigOf({ east });
  const ran = await run(proxyStatusCommand, "--context", "east", "--kubeconfig", kubeconfig);
  assert.deepEqual([ran.code, ran.out], [2, ""]);
  assert.match(ran.err, /context east: port 15014 of pod istio-system\/istiod-1 cannot be reached: .*ECONNREFUSED/);
});

test("one cluster's mesh cannot be asked of two contexts, and where to ask is said once", async () => {
  const east = await cluster({ "istiod-1": DEAD_PORT });
  const kubeconfig = await kubeconfigOf({ east, west: east });
  const both = await run(workloadsCommand, "--contexts", "east,west", "--kubeconfig", kubeconfig);
  assert.equal(both.code, 64);
  assert.match(both.err, /--contexts names east and west: what this shows is one cluster's/);
  const twice = await run(workloadsCommand, "--context", "east", "--admin", "http://127.0.0.1:1");
  assert.equal(twice.code, 64);
  assert.match(twice.err, /--admin says where to ask, and so does --context/);
});

test("who may only look into istio-system finds the control plane there", async () => {
  const { adminPort } = await plane();
  const east = await cluster({ "istiod-1": adminPort }, ({ url }, response) =>
    url!.startsWith("/api/v1/namespaces/istio-system/pods?")
      ? answerJson(response, 200, { items: [pod("istiod-1")] })
      : answerJson(response, 403, { kind: "Status", reason: "Forbidden", message: "pods is forbidden" }),
  );
  const kubeconfig = await kubeconfigOf({ east });
  const ran = await run(remoteClustersCommand, "--context", "east", "--kubeconfig", kubeconfig);
  assert.deepEqual(names(ran), ["east", "west"], ran.err);
});

test("a cluster without a control plane is named", async () => {
  const kubeconfig = await kubeconfigOf({ east: await cluster({}) });
  const ran = await run(workloadsCommand, "--context", "east", "--kubeconfig", kubeconfig);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /context east: no running pod has the label app=istiod; is a control plane installed there\?/);
});
