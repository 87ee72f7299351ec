import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { DeployedGateways } from "./deployed-gateways.ts";
import { GATEWAYS_RBAC, type KubeCluster, KubeLab } from "./kube-lab.ts";

const { AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, GATEWAYS, GATEWAY_CLASSES, LEASES, NAMESPACES, SERVICES } = types;
const SOON_MS = 20_000;
const until = (what: string, check: () => Promise<boolean>): Promise<number> => eventually(what, SOON_MS, check);

interface PodSpec {
  readonly containers: readonly { readonly name: string; readonly image: string }[];
}
const podOf = (deployment: KubeObject): PodSpec =>
  (deployment["spec"] as { readonly template: { readonly spec: PodSpec } }).template.spec;
const imageOf = (deployment: KubeObject): string =>
  podOf(deployment).containers.find(({ name }) => name === "envoy")!.image;

suite("Gateways that are deployed by way of a real API server", () => {
  let lab: KubeLab;
  let cluster: KubeCluster;
  let plane: Causeway;
  let gateways: DeployedGateways;
  const begin = async (flags: readonly string[] = []): Promise<Causeway> =>
    lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod"), cluster: "east", flags });
  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await lab.cluster("east");
    await cluster.client.kubectl("apply", "-f", GATEWAYS_RBAC);
    await cluster.client.put(NAMESPACES, { metadata: { name: "shop" } });
    const theirs = { metadata: { name: "istio-east-west" }, spec: { controllerName: "example.com/theirs" } };
    await cluster.client.put(GATEWAY_CLASSES, theirs);
    gateways = new DeployedGateways(cluster);
    plane = await begin();
  });
  after(() => lab?.close());

  test("classes of ours are made and accepted; one of another controller is left alone, and said to be", async () => {
    const accepted = async () =>
      (await cluster.client.list(GATEWAY_CLASSES)).flatMap(({ metadata, status }) => {
        const { conditions = [] } = (status ?? {}) as { conditions?: { type: string; status: string }[] };
        return conditions.some(({ type, status }) => type === "Accepted" && status === "True") ? [metadata.name] : [];
      });
    await until("three are accepted", async () => (await accepted()).length === 3);
    assert.deepEqual((await accepted()).sort(), ["istio-eastwest", "istio-remote", "istio-waypoint"]);
    const theirs = await cluster.client.get(GATEWAY_CLASSES, "istio-east-west");
    assert.deepEqual(theirs["spec"], { controllerName: "example.com/theirs" });
    await gateways.put("not-ours", { gatewayClassName: "istio-east-west" });
    await until("it is said", async () => plane.log.includes("example.com/theirs"));
  });

  test("a waypoint is deployed, and programmed once a replica is ready; its address is its Service's name", async () => {
    await gateways.put("wp");
    await gateways.programmed("wp", "False Pending");
    await until("it has its address", async () => (await gateways.state("wp")).addresses.length === 1);
    await gateways.made(DEPLOYMENTS, "wp");
    await until("it waits for pods", async () =>
      /No replica of Deployment shop\/wp is ready/.test(await gateways.programmed("wp", "False Pending")),
    );
    assert.deepEqual((await gateways.state("wp")).addresses, ["Hostname wp.shop.svc.cluster.local"]);
    await gateways.run("wp");
    await gateways.programmed("wp", "True Programmed");
    const { listeners, conditions } = await gateways.state("wp");
    assert.deepEqual(
      listeners.map(({ name, conditions }) => [
        name,
        ...conditions.map(({ type, status }) => `${type}=${status}`).sort(),
      ]),
      [["mesh", "Accepted=True", "Conflicted=False", "Programmed=True", "ResolvedRefs=True"]],
    );
    assert.ok(conditions.every(({ observedGeneration }) => observedGeneration === 1));
    await gateways.run("wp", 0);
    await gateways.programmed("wp", "False Pending");
    await gateways.run("wp");
    await gateways.programmed("wp", "True Programmed");
    assert.equal(await gateways.part(DEPLOYMENTS, "not-ours"), undefined);
  });

  test("what is as it is wanted is not written again", async () => {
    const versions = async () =>
      Promise.all(
        [SERVICES, DEPLOYMENTS, types.SERVICE_ACCOUNTS].map(
          async (type) => (await gateways.made(type, "wp")).metadata["resourceVersion"],
        ),
      );
    const [before, writes] = [await versions(), await plane.metric("status_writes_total")];
    await gateways.put("wp", {}, { annotations: { note: "nothing of ours" } });
    await gateways.put("calm");
    await gateways.run("calm");
    await gateways.programmed("calm", "True Programmed");
    assert.deepEqual(await versions(), before);
    assert.ok((await plane.metric("status_writes_total")) > writes, "only the other one was written");
    await until("nothing waits", async () => (await plane.metric("status_writes_pending", 'writer="gateways"')) === 0);
  });

  test("a load balancer's address is waited for, and then it is the Gateway's", async () => {
    const listeners = [
      { name: "tls-hbone", port: 15008, protocol: "HBONE" },
      { name: "tls-xds", port: 15012, protocol: "TLS" },
    ];
    const labels = { "istio.io/expose-istiod": "15012", "topology.istio.io/network": "east" };
    await gateways.put("ew", { gatewayClassName: "istio-eastwest", listeners }, { labels });
    assert.match(
      await gateways.programmed("ew", "False AddressNotAssigned"),
      /type LoadBalancer, and nothing has given/,
    );
    await gateways.run("ew");
    await gateways.balance("ew", [{ ip: "192.0.2.7" }, { hostname: "lb.example" }]);
    await gateways.programmed("ew", "True Programmed");
    assert.deepEqual((await gateways.state("ew")).addresses, ["IPAddress 192.0.2.7", "Hostname lb.example"]);
  });

  test("what somebody changes is changed back, and what somebody adds stays", async () => {
    const deployment = await gateways.made(DEPLOYMENTS, "wp");
    const image = imageOf(deployment);
    const text = JSON.stringify(deployment["spec"]).replaceAll(image, "example.com/evil:1");
    await cluster.client.merge(DEPLOYMENTS, deployment, {
      spec: JSON.parse(text),
      metadata: { labels: { team: "a" } },
    });
    await until("the image is ours again", async () => imageOf(await gateways.made(DEPLOYMENTS, "wp")) === image);
    assert.equal((await gateways.made(DEPLOYMENTS, "wp")).metadata.labels?.["team"], "a");
    await cluster.client.merge(DEPLOYMENTS, deployment, { spec: { replicas: 3 } });
    await cluster.client.delete(SERVICES, "wp", "shop");
    await gateways.made(SERVICES, "wp");
    assert.deepEqual((await gateways.state("wp")).addresses, ["Hostname wp.shop.svc.cluster.local"]);
    assert.equal(((await gateways.made(DEPLOYMENTS, "wp"))["spec"] as { replicas: number }).replicas, 3);
  });

  test("another field manager that applies our fields by force does not keep them", async () => {
    const { metadata } = await gateways.made(SERVICES, "wp");
    const theirs = {
      spec: { type: "NodePort" },
      metadata: { name: "wp", namespace: "shop", annotations: { own: "1" } },
    };
    await cluster.client.put(SERVICES, theirs);
    const typeOf = async () => ((await gateways.made(SERVICES, "wp"))["spec"] as { type: string }).type;
    await until("it is a ClusterIP again", async () => (await typeOf()) === "ClusterIP");
    const now = await gateways.made(SERVICES, "wp");
    assert.deepEqual([now.metadata.uid, now.metadata.annotations?.["own"]], [metadata.uid, "1"]);
  });

  test("an object of that name that is somebody else's is left as it is, until it goes", async () => {
    const spec = {
      selector: { matchLabels: { app: "own" } },
      template: { metadata: { labels: { app: "own" } }, spec: {} },
    };
    const own = await cluster.client.put(DEPLOYMENTS, { metadata: { name: "taken", namespace: "shop" }, spec });
    await gateways.put("taken");
    assert.match(await gateways.programmed("taken", "False NoResources"), /Deployment shop\/taken is somebody else's/);
    const now = await gateways.made(DEPLOYMENTS, "taken");
    assert.equal(now.metadata["resourceVersion"], own.metadata["resourceVersion"]);
    assert.ok((await plane.metric("status_writes_total", 'result="foreign"')) > 0);
    await cluster.client.delete(DEPLOYMENTS, "taken", "shop");
    await eventually("it is made", 70_000, async () => (await gateways.part(DEPLOYMENTS, "taken")) !== undefined);
    await gateways.run("taken");
    await gateways.programmed("taken", "True Programmed");
  }).timeout(120_000);

  test("an autoscaler comes with its parameters, and goes with them", async () => {
    const map = (data: Readonly<Record<string, string>>) =>
      cluster.client.put(CONFIG_MAPS, { metadata: { name: "sizes", namespace: "shop" }, data });
    const parametersRef = { group: "", kind: "ConfigMap", name: "sizes" };
    await gateways.put("sized", { infrastructure: { parametersRef } });
    const message = await gateways.programmed("sized", "False Invalid");
    assert.match(message, /not accepted/);
    assert.equal(await gateways.part(DEPLOYMENTS, "sized"), undefined);
    await map({ horizontalPodAutoscaler: "spec: { minReplicas: 2, maxReplicas: 4 }" });
    const { spec } = await gateways.made(AUTOSCALERS, "sized");
    assert.equal((spec as { maxReplicas: number }).maxReplicas, 4);
    await map({ podDisruptionBudget: "spec: { minAvailable: 1 }" });
    await gateways.made(types.DISRUPTION_BUDGETS, "sized");
    await until("the autoscaler is gone", async () => (await gateways.part(AUTOSCALERS, "sized")) === undefined);
  });

  test("all that is made is owned by its Gateway, and nothing of it is made again once that is gone", async () => {
    const { metadata } = await gateways.put("going");
    await gateways.made(DEPLOYMENTS, "going");
    await gateways.made(SERVICES, "going");
    await gateways.made(types.SERVICE_ACCOUNTS, "going");
    await cluster.client.delete(GATEWAYS, "going", "shop");
    const gone = await gateways.collect(metadata.uid!);
    assert.deepEqual([...gone].sort(), ["Deployment going", "Service going", "ServiceAccount going"]);
    await gateways.put("later");
    await gateways.made(DEPLOYMENTS, "later");
    assert.equal(await gateways.part(DEPLOYMENTS, "going"), undefined);
  });

  test("another replica goes on when the one that writes is gone", async () => {
    const holder = async () =>
      (
        (await cluster.client.get(LEASES, "causeway-gateway-writer", "istio-system"))["spec"] as Record<string, unknown>
      )["holderIdentity"];
    const first = await holder();
    const second = await begin();
    await gateways.put("after");
    await gateways.run("after");
    await gateways.programmed("after", "True Programmed");
    assert.equal(await holder(), first);
    await plane.stop();
    plane = second;
    await until("the other one leads", async () => ![first, "", undefined].includes((await holder()) as string));
    await gateways.put("new-leader");
    await gateways.run("new-leader");
    await gateways.programmed("new-leader", "True Programmed");
  }).timeout(120_000);

  test("no request was denied", async () => {
    const { denied } = await cluster.rbacUsage();
    assert.deepEqual(denied, []);
  });

  test("switched off, it neither asks for Deployments nor writes, and needs none of its rights", async () => {
    const other = await lab.cluster("off");
    await other.client.put(NAMESPACES, { metadata: { name: "shop" } });
    const off = new DeployedGateways(other);
    const kubeconfig = await other.kubeconfigFor("istiod");
    const idle = await lab.causeway({ kubeconfig, cluster: "off", flags: ["--gateway-controller", "off"] });
    await off.put("wp");
    await until("what it does write is there", async () =>
      (await other.client.list(CONFIG_MAPS, "shop")).some(({ metadata }) => metadata.name === "istio-ca-root-cert"),
    );
    assert.deepEqual((await off.state("wp")).conditions, []);
    assert.deepEqual((await other.rbacUsage()).denied, []);
    assert.deepEqual(await other.client.list(GATEWAY_CLASSES), []);
    assert.equal(await idle.metric("status_writes_total", 'kind="Gateway'), 0);
  });
});
