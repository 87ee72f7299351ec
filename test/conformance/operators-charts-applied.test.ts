import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS, DEPLOYMENTS, NAMESPACES } from "../../src/kube/resource-types.ts";
import { NEEDED_RIGHTS, type RightsFeature } from "../../src/registry/kube/rights.ts";
import { eventually } from "./causeway-process.ts";
import { ChartLab } from "./chart-lab.ts";
import { DeployedGateways } from "./deployed-gateways.ts";
import { allowed, containerOf, environmentOf, install as installed, listed } from "./installed-chart.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { type ChartObject, Helm, type Values } from "./rendered-chart.ts";

const ACCOUNT = { namespace: "istio-system", name: "istiod" };
const DEFAULT: readonly RightsFeature[] = ["mesh", "gateways", "peering"];

suite("The charts, applied to a real API server", () => {
  let charts: ChartLab;
  let lab: KubeLab;
  let helm: Helm;
  before(async function () {
    charts = await ChartLab.open(this);
    ({ kube: lab, helm } = charts);
  });
  after(() => charts?.close());

  /** A cluster in which nothing has rights yet. */
  async function bare(name: string): Promise<KubeCluster> {
    const cluster = await lab.cluster(name);
    for (const kinds of ["clusterroles,clusterrolebindings", "roles,rolebindings,serviceaccounts"])
      await cluster.client.kubectl("delete", kinds, "--all", "-n", "istio-system");
    return cluster;
  }

  const install = (cluster: KubeCluster, values: Values): Promise<readonly ChartObject[]> =>
    installed(helm, cluster, { chart: "causeway", namespace: "istio-system", values });

  /** A control plane with the account, the arguments and the variables that the Deployment gives it. */
  async function start(cluster: KubeCluster, objects: readonly ChartObject[]) {
    const { args } = containerOf(objects);
    assert.equal(args[0], "discovery");
    return lab.causeway({
      kubeconfig: await cluster.kubeconfigFor("istiod"),
      cluster: cluster.name,
      flags: args.slice(1).filter((flag) => !flag.startsWith("--state=")),
      environment: environmentOf(objects),
    });
  }

  /** By what the program says that it needs. */
  const needed = (features: readonly RightsFeature[]): Values =>
    listed(
      NEEDED_RIGHTS.filter(({ feature }) => features.includes(feature)).map(({ group, names, ...rule }) => ({
        ...{ ...rule, apiGroups: [group], resourceNames: names },
      })),
    );

  test("as it comes, it may do exactly what the program says that it needs, and does its work with that", async function () {
    this.timeout(180_000);
    const east = await bare("east");
    const objects = await install(east, { global: { multiCluster: { clusterName: "east" } } });
    assert.deepEqual(await allowed(east, ACCOUNT), needed(DEFAULT));
    await east.applyExamples();
    const plane = await start(east, objects);
    const client = lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
    await client.close();
    await east.client.put(NAMESPACES, { metadata: { name: "shop" } });
    await eventually("the root of trust is in a new namespace", 30_000, async () => {
      const { data } = await east.client.get(CONFIG_MAPS, "istio-ca-root-cert", "shop");
      return (data as Record<string, string>)["root-cert.pem"]!.includes("BEGIN CERTIFICATE");
    });
    const gateways = new DeployedGateways(east);
    await gateways.put("wp", {});
    await gateways.made(DEPLOYMENTS, "wp");
    assert.deepEqual((await east.rbacUsage()).denied, []);
  });

  test("with all that can be turned on it may do that, too; with all off, only what a mesh needs", async function () {
    this.timeout(180_000);
    const cluster = await bare("west");
    const everything: Values = {
      causeway: {
        ...{ peeringObjects: "full", clusterTrustBundle: true, trustManager: "trust.example:9977" },
        spire: { register: true, server: "unix:///nowhere.sock" },
      },
    };
    await install(cluster, everything);
    assert.deepEqual(
      await allowed(cluster, ACCOUNT),
      needed([...new Set(NEEDED_RIGHTS.map(({ feature }) => feature))]),
    );
    const little = { causeway: { gatewayController: false }, platforms: { peering: { enabled: false } } };
    const named = await bare("north");
    const objects = await install(named, little);
    assert.deepEqual(await allowed(named, ACCOUNT), needed(["mesh"]));
    await named.applyExamples();
    const plane = await start(named, objects);
    await lab.with(await MeshWatcher.start(plane, await named.ztunnelToken(), named.name)).close();
    assert.deepEqual((await named.rbacUsage()).denied, []);
  });
});
