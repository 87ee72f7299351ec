import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS, DEPLOYMENTS, NAMESPACES } from "../../src/kube/resource-types.ts";
import { NEEDED_RIGHTS, type NeededRights, type RightsFeature } from "../../src/registry/kube/rights.ts";
import { eventually } from "./causeway-process.ts";
import { chartTools, TOOLS_MS } from "./chart-tools.ts";
import { DeployedGateways } from "./deployed-gateways.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";
import { skipWithout } from "./machine.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { type ChartObject, Helm, objectsIn, type Values } from "./rendered-chart.ts";

const ACCOUNT = "system:serviceaccount:istio-system:istiod";
const DEFAULT: readonly RightsFeature[] = ["mesh", "gateways", "peering"];

interface PodSpec {
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
  }[];
}

suite("The charts, applied to a real API server", () => {
  let lab: KubeLab;
  let helm: Helm;
  before(async function () {
    const [opened, tools] = [await KubeLab.open(this), await chartTools()];
    this.timeout(TOOLS_MS);
    lab = opened;
    skipWithout(this, "charts", "missing" in tools ? tools : true);
    if ("helm" in tools) helm = new Helm(tools.helm);
  });
  after(async () => {
    await lab?.close();
    helm?.close();
  });

  /** A cluster in which nothing has rights yet. */
  async function bare(name: string): Promise<KubeCluster> {
    const cluster = await lab.cluster(name);
    for (const kinds of ["clusterroles,clusterrolebindings", "roles,rolebindings,serviceaccounts"])
      await cluster.client.kubectl("delete", kinds, "--all", "-n", "istio-system");
    return cluster;
  }

  /** As `helm install`, and every field is held to what the server knows. */
  async function install(cluster: KubeCluster, values: Values): Promise<readonly ChartObject[]> {
    const text = await helm.text("causeway", values);
    const file = helm.write("release.yaml", text);
    await cluster.client.kubectl("apply", "--server-side", "--validate=strict", "--field-manager=helm", "-f", file);
    return objectsIn(text);
  }

  const podOf = (objects: readonly ChartObject[]): PodSpec["containers"][number] => {
    const deployment = objects.find(({ kind }) => kind === "Deployment")!;
    return (deployment["spec"] as { template: { spec: PodSpec } }).template.spec.containers[0]!;
  };

  /** A control plane with the account, the arguments and the variables that the Deployment gives it. */
  async function start(cluster: KubeCluster, objects: readonly ChartObject[]) {
    const { args, env } = podOf(objects);
    assert.equal(args[0], "discovery");
    const environment = Object.fromEntries(
      env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
    );
    return lab.causeway({
      kubeconfig: await cluster.kubeconfigFor("istiod"),
      cluster: cluster.name,
      flags: args.slice(1).filter((flag) => !flag.startsWith("--state=")),
      environment,
    });
  }

  /** Lines of `kubectl auth can-i --list`: the verbs on each resource, by name if there is one. */
  async function allowed(cluster: KubeCluster): Promise<Values> {
    const text = await cluster.client.kubectl("auth", "can-i", "--list", "-n", "istio-system", `--as=${ACCOUNT}`);
    const lines = text.trim().split("\n").slice(1);
    return Object.fromEntries(
      lines.map((line) => {
        const [, resource, urls, names, verbs] = /^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$/.exec(line)!;
        assert.equal(urls, "", line);
        return [`${resource} ${names}`.trim(), verbs!.split(" ").toSorted()];
      }),
    );
  }

  /** The same, by what the program says that it needs. */
  function needed(features: readonly RightsFeature[]): Values {
    const verbsOf = new Map<string, Set<string>>();
    for (const { group, resources, verbs, names = [""] } of NEEDED_RIGHTS.filter(({ feature }) =>
      features.includes(feature),
    ))
      for (const resource of resources)
        for (const name of names) {
          const key = `${named(resource, group)} ${name}`.trim();
          verbsOf.set(key, new Set([...(verbsOf.get(key) ?? []), ...verbs]));
        }
    return Object.fromEntries([...verbsOf].map(([key, verbs]) => [key, [...verbs].toSorted()]));
  }
  /** As kubectl writes it: the subresource after the group. */
  const named = (resource: string, group: NeededRights["group"]): string => {
    const [plural, ...subresource] = resource.split("/");
    return [group === "" ? plural : `${plural}.${group}`, ...subresource].join("/");
  };

  test("as it comes, it may do exactly what the program says that it needs, and does its work with that", async function () {
    this.timeout(180_000);
    const east = await bare("east");
    const objects = await install(east, { global: { multiCluster: { clusterName: "east" } } });
    assert.deepEqual(await allowed(east), needed(DEFAULT));
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
    assert.deepEqual(await allowed(cluster), needed([...new Set(NEEDED_RIGHTS.map(({ feature }) => feature))]));
    const little = { causeway: { gatewayController: false }, platforms: { peering: { enabled: false } } };
    const named = await bare("north");
    const objects = await install(named, little);
    assert.deepEqual(await allowed(named), needed(["mesh"]));
    await named.applyExamples();
    const plane = await start(named, objects);
    await lab.with(await MeshWatcher.start(plane, await named.ztunnelToken(), named.name)).close();
    assert.deepEqual((await named.rbacUsage()).denied, []);
  });
});
