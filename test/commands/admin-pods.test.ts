import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { proxyStatusCommand } from "../../src/commands/proxy-status.ts";
import { remoteClustersCommand } from "../../src/commands/remote-clusters.ts";
import { workloadsCommand } from "../../src/commands/workloads.ts";
import { answerJson } from "../kits/kube-server.ts";
import { closeAll, cluster, DEAD_PORT, kubeconfigOf, plane, pod } from "./forwarded-planes.ts";
import { type Ran, run } from "./served-mesh.ts";

afterEach(closeAll);

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
