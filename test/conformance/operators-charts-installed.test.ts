import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { NAMESPACES, SECRETS } from "../../src/kube/resource-types.ts";
import { ChartLab } from "./chart-lab.ts";
import { GUIDE, PEERING } from "./chart-values.ts";
import type { KubeCluster } from "./kube-lab.ts";
import { CHARTS, Helm, type Values } from "./rendered-chart.ts";

const SYSTEM = "istio-system";
const TRUST = "gloo-mesh";
const EAST_WEST = "istio-eastwest";

suite("The charts, as Helm installs, upgrades and removes them at a real API server", function () {
  this.timeout(180_000);
  let charts: ChartLab;
  let helm: Helm;
  let cluster: KubeCluster;
  before(async function () {
    charts = await ChartLab.open(this);
    helm = charts.helm;
    cluster = await charts.kube.cluster("bare", { crds: undefined });
    // As a cluster is before anybody has installed anything.
    await cluster.client.kubectl("delete", "clusterroles,clusterrolebindings", "--all");
    await cluster.client.kubectl("delete", "roles,rolebindings,serviceaccounts", "--all", "-n", SYSTEM);
    for (const name of [TRUST, EAST_WEST]) await cluster.client.put(NAMESPACES, { metadata: { name } });
    const gateways = join(charts.tools.gatewayApi, "gateway.networking.k8s.io_gateways.yaml");
    await cluster.client.kubectl("apply", "--server-side", "-f", gateways);
  });
  after(() => charts?.close());

  const release = (verb: "install" | "upgrade", name: string, namespace: string, values: Values, ...more: string[]) => {
    const chart = { istiod: "causeway", "istiod-canary": "causeway", "causeway-crds": "crds" }[name] ?? name;
    const words = [verb, name, join(CHARTS, chart), "-n", namespace, ...more];
    return helm.inCluster(cluster.client.kubeconfig, values, ...words);
  };
  const named = async (kinds: string, namespace: string): Promise<readonly string[]> =>
    (await cluster.client.kubectl("get", kinds, "-n", namespace, "-o", "name")).trim().split("\n").toSorted();

  test("each is installed, with guide 002's values for the control plane, and a revision beside it", async () => {
    await release("install", "causeway-crds", SYSTEM, {});
    await cluster.client.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=60s");
    const notes = await release("install", "istiod", SYSTEM, GUIDE);
    assert.match(notes, /rollout status deployment\/istiod/);
    await release("install", "istiod-canary", SYSTEM, { revision: "canary", revisionTags: ["prod"] });
    await release("install", "trust-manager", TRUST, { certManager: { enabled: true } });
    await release("install", "peering", EAST_WEST, PEERING["a way in by a load balancer"]!);
    assert.deepEqual(await named("deployments,services", SYSTEM), [
      ...["deployment.apps/istiod", "deployment.apps/istiod-canary"],
      ...["service/istiod", "service/istiod-canary", "service/istiod-revision-tag-prod"],
    ]);
    assert.deepEqual(await named("deployments,services", TRUST), [
      "deployment.apps/causeway-trust",
      "service/causeway-trust",
    ]);
    assert.deepEqual(await named("gateways", EAST_WEST), ["gateway.gateway.networking.k8s.io/istio-eastwest"]);
  });

  test("an account that another release made is left to it", async () => {
    const { metadata } = JSON.parse(
      await cluster.client.kubectl("get", "sa", "istio-reader-service-account", "-n", SYSTEM, "-o", "json"),
    ) as { metadata: { annotations: Values } };
    assert.equal(metadata.annotations["meta.helm.sh/release-name"], "istiod");
  });

  test("an upgrade takes new values beside those of before, and one that is refused changes nothing", async () => {
    await release("upgrade", "istiod", SYSTEM, { causeway: { bundlePort: 8443 } }, "--reset-then-reuse-values");
    const ports = "-o=jsonpath={.spec.ports[*].port}";
    assert.equal(await cluster.client.kubectl("get", "service", "istiod", "-n", SYSTEM, ports), "15012 15014 8443");
    const map = await cluster.client.kubectl("get", "configmap", "istio", "-n", SYSTEM, "-o=jsonpath={.data.mesh}");
    assert.match(map, /trustDomain: cluster1/);
    await assert.rejects(
      release("upgrade", "istiod", SYSTEM, { profile: "demo" }, "--reuse-values"),
      /profile is .*demo.*set it to ambient/,
    );
    const history = JSON.parse(
      await helm.of(cluster.client.kubeconfig, "history", "istiod", "-n", SYSTEM, "-o", "json"),
    ) as readonly { status: string }[];
    assert.deepEqual(
      history.map(({ status }) => status),
      ["superseded", "deployed"],
    );
    await helm.of(cluster.client.kubeconfig, "rollback", "istiod", "1", "-n", SYSTEM);
    assert.equal(await cluster.client.kubectl("get", "service", "istiod", "-n", SYSTEM, ports), "15012 15014");
  });

  test("removed, each takes what it made, and leaves authorities and definitions", async () => {
    for (const [name, namespace] of [
      ["cacerts", SYSTEM],
      ["causeway-trust-root", TRUST],
    ] as const)
      await cluster.client.put(SECRETS, { metadata: { name, namespace } });
    const releases = [
      ["istiod", SYSTEM],
      ["istiod-canary", SYSTEM],
      ["trust-manager", TRUST],
      ["peering", EAST_WEST],
      ["causeway-crds", SYSTEM],
    ] as const;
    for (const [name, namespace] of releases)
      await helm.of(cluster.client.kubeconfig, "uninstall", name, "-n", namespace);
    const left =
      "deployments,services,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,roles,rolebindings";
    for (const namespace of [SYSTEM, TRUST]) assert.deepEqual(await named(left, namespace), [""]);
    assert.deepEqual(await named("gateways", EAST_WEST), [""]);
    assert.deepEqual(await named("clusterroles,clusterrolebindings", SYSTEM), [""]);
    // Remote secrets of other clusters have tokens of it; it may do nothing.
    assert.deepEqual(await named("serviceaccounts", SYSTEM), ["serviceaccount/istio-reader-service-account"]);
    assert.deepEqual(await named("secrets", SYSTEM), ["secret/cacerts"]);
    assert.deepEqual(await named("secrets", TRUST), ["secret/causeway-trust-root"]);
    assert.match(await cluster.client.kubectl("get", "crds", "-o", "name"), /roottrustpolicies\.admin\.gloo\.solo\.io/);
  });
});
