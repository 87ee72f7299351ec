import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parseAllDocuments } from "yaml";
import { NAMESPACES, SECRETS } from "../../src/kube/resource-types.ts";
import { loadManagerConfig } from "../../src/manager-config.ts";
import { CLUSTER_LABEL } from "../../src/relay/installed.ts";
import { policyOf } from "../kits/trust-objects.ts";
import { ChartLab, neededChartTools } from "./chart-lab.ts";
import type { ChartTools } from "./chart-tools.ts";
import { TRUST } from "./chart-values.ts";
import { allowed, containerOf, environmentOf, install, listed, type Rule } from "./installed-chart.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";
import { CHARTS, type ChartObject, Helm, shown, type Values } from "./rendered-chart.ts";
import { Management, NAMESPACE } from "./trust-management.ts";

const start = promisify(execFile);
const CHART = "trust-manager";
const ACCOUNT = "causeway-trust";
const SYSTEM = "istio-system";

/** The rules of the roles in a file of deploy/rbac. */
function rulesOf(file: string): readonly Rule[] {
  const text = readFileSync(join(CHARTS, "..", "rbac", `${file}.yaml`), "utf8");
  const objects = parseAllDocuments(text).map((document) => document.toJS() as { readonly rules?: readonly Rule[] });
  return objects.flatMap(({ rules = [] }) => rules);
}

suite("The chart of the trust manager, as Helm renders it", () => {
  let tools: ChartTools;
  let helm: Helm;
  before(async function () {
    tools = await neededChartTools(this);
    helm = new Helm(tools.helm);
  });
  after(() => helm?.close());

  const rendered = (values: Values, namespace = NAMESPACE): Promise<readonly ChartObject[]> =>
    helm.objects(CHART, values, namespace);

  test("it passes helm lint --strict", () => helm.lint(CHART));

  test("every combination of values renders objects that each have a name, their labels, and a namespace that was given", async () => {
    for (const [what, values] of Object.entries(TRUST)) {
      const objects = await rendered(values, "trust-system");
      assert.ok(objects.length > 6, what);
      for (const { metadata } of objects) {
        assert.ok([undefined, "trust-system", "pki", "vaults"].includes(metadata.namespace), metadata.namespace);
        assert.equal(metadata.labels?.["helm.sh/chart"], "trust-manager-0.1.0", what);
      }
      const names = objects.map((object) => `${shown(object)} ${object.metadata.namespace ?? ""}`);
      assert.equal(new Set(names).size, names.length, what);
      assert.doesNotMatch(JSON.stringify(objects), /gloo-mesh/, what);
      // Nobody hands it a secret: what is one it makes, or reads by its name.
      assert.ok(objects.every(({ kind }) => kind !== "Secret"));
    }
  });

  test("managers in two namespaces have nothing in common", async () => {
    const of = async (namespace: string) =>
      (await rendered(TRUST["with everything on"]!, namespace)).map(
        (object) => `${shown(object)} ${object.metadata.namespace ?? ""}`,
      );
    const [one, other] = [await of("trust-system"), new Set(await of("gloo-mesh"))];
    assert.deepEqual(
      one.filter((name) => other.has(name)),
      [],
    );
  });

  test("one administrator's objects and another's are all of them, and none twice", async () => {
    const all = TRUST["with everything on"]!;
    const scoped = async (resourceScope: string) =>
      (await rendered({ ...all, global: { resourceScope } })).map(
        ({ kind, metadata: { name, namespace = "none" } }) => `${namespace} ${kind} ${name}`,
      );
    const [both, cluster, own] = [await scoped("all"), await scoped("cluster"), await scoped("namespace")];
    assert.deepEqual([...cluster, ...own].toSorted(), both.toSorted());
    assert.ok(cluster.length > 4 && cluster.every((object) => !object.startsWith(NAMESPACE)));
    assert.ok(own.length > 4 && own.every((object) => object.startsWith(NAMESPACE)));
  });

  test("there is one pod, of which a new one begins when the last has ended; its ports are the program's", async () => {
    const objects = await rendered({});
    const { spec } = objects.find(({ kind }) => kind === "Deployment") as unknown as { spec: Values };
    assert.deepEqual([spec["replicas"], spec["strategy"]], [1, { type: "Recreate" }]);
    // Nothing holds up a node that is drained.
    assert.ok(objects.every(({ kind }) => kind !== "PodDisruptionBudget"));
    const { relay, admin, health } = loadManagerConfig({}, {}).ports;
    assert.deepEqual(
      containerOf(objects).ports.map(({ containerPort }) => containerPort),
      [relay, admin, health],
    );
    const policy = objects.find(({ kind }) => kind === "NetworkPolicy") as unknown as {
      spec: { ingress: readonly { ports: readonly { port: number }[] }[] };
    };
    assert.deepEqual(
      policy.spec.ingress.flatMap(({ ports }) => ports.map(({ port }) => port)),
      [relay, admin, health],
    );
    // The heap is two thirds of 512Mi.
    assert.equal(environmentOf(objects)["NODE_OPTIONS"], "--max-old-space-size=337");
  });

  test("a value that is misspelt is refused, wherever it stands", async () => {
    const misspelt: readonly (readonly [string, Values])[] = [
      ["replicas", { replicas: 1 }],
      ["nodeport", { relay: { service: { type: "NodePort", nodeport: 30900 } } }],
      ["name", { relay: { name: "trust.example" } }],
      ["enable", { certManager: { enable: true } }],
      ["audiences", { vault: { audiences: ["vault"] } }],
      ["secretName", { secrets: [{ namespace: "pki", name: "root", secretName: "root" }] }],
      ["network", { global: { network: "east" } }],
    ];
    for (const [key, values] of misspelt)
      assert.match((await helm.refusal(CHART, values)) ?? "it was taken", new RegExp(`'${key}' not allowed`), key);
    assert.match((await helm.refusal(CHART, { replicaCount: 2 })) ?? "it was taken", /replicaCount/);
  });

  test("a value that would do nothing, or undo what the chart does, is refused with its name and what to do", async () => {
    const refused: Readonly<Record<string, Values>> = {
      "env.POD_NAMESPACE": { env: { POD_NAMESPACE: "elsewhere" } },
      "secrets: mesh-root is in gloo-mesh": { secrets: [{ namespace: NAMESPACE, name: "mesh-root" }] },
      "relay.service.nodePort": { relay: { service: { nodePort: 30900 } } },
      "relay.service.loadBalancerSourceRanges": { relay: { service: { loadBalancerSourceRanges: ["192.0.2.0/24"] } } },
    };
    for (const [words, values] of Object.entries(refused)) {
      const refusal = (await helm.refusal(CHART, values, NAMESPACE)) ?? "it was taken";
      assert.ok(refusal.includes(words) && /leave it out/.test(refusal), refusal);
    }
  });

  test("the notes say what comes next, in this very namespace", async () => {
    const notes = await helm.notes(CHART, TRUST["with everything on"]!, "trust-system");
    assert.match(notes, /causeway trust token --cluster <name> --trust-namespace trust-system/);
    assert.match(notes, /mountedSaPath: \/var\/run\/secrets\/vault\/token/);
    assert.match(notes, /trust-manager, trust-cert-manager\./);
    assert.match(await helm.notes(CHART, {}, NAMESPACE), /--cluster <name> +#[^]*relay\.service\.type is ClusterIP/);
  });

  test("kube-score finds nothing critical in what is rendered, whatever is on", async () => {
    for (const [what, values] of Object.entries(TRUST).slice(0, 2)) {
      const file = helm.write("scored.yaml", await helm.text(CHART, values, NAMESPACE));
      const { stdout } = await start(tools.kubeScore, ["score", file, "--output-format", "ci"]);
      const lines = stdout.split("\n");
      assert.ok(lines.filter((line) => line.startsWith("[OK]")).length > 15, stdout);
      assert.deepEqual(
        lines.filter((line) => line.startsWith("[CRITICAL]")),
        [],
        what,
      );
    }
  });
});

suite("The chart of the trust manager, applied to a real API server", function () {
  this.timeout(180_000);
  let charts: ChartLab;
  let lab: KubeLab;
  let helm: Helm;
  let mgmt: Management;
  before(async function () {
    charts = await ChartLab.open(this);
    ({ kube: lab, helm } = charts);
    mgmt = await Management.without(lab);
    for (const name of ["pki", "vaults", "trust-system"])
      await mgmt.cluster.client.put(NAMESPACES, { metadata: { name } });
  });
  after(() => charts?.close());

  test("with everything on it may do that, and in other namespaces read the very Secrets that it was given", async () => {
    const { cluster } = mgmt;
    const account = { namespace: "trust-system", name: ACCOUNT };
    await install(helm, cluster, { chart: CHART, namespace: "trust-system", values: TRUST["with everything on"]! });
    const rules = [...rulesOf("trust-manager"), ...rulesOf("trust-cert-manager")];
    assert.deepEqual(await allowed(cluster, account), listed(rules));
    const everywhere = ["clusterissuers.cert-manager.io", "customresourcedefinitions.apiextensions.k8s.io"];
    const outside = (await allowed(cluster, account, "default")) as Readonly<Record<string, readonly string[]>>;
    assert.deepEqual([...new Set(Object.keys(outside).map((key) => key.split(" ")[0]))].toSorted(), everywhere);
    const pki = await allowed(cluster, account, "pki");
    assert.deepEqual(pki, { ...outside, "secrets mesh-root": ["get"], "secrets former-root": ["get"] });
    assert.deepEqual(await allowed(cluster, account, "vaults"), { ...outside, "secrets token": ["get"] });
  });

  test("as it comes it may do what deploy/rbac grants, and with that, its arguments and its variables, it gives a cluster an authority", async () => {
    const values = { relay: { names: ["trust.example", "192.0.2.7"] } };
    const objects = await install(helm, mgmt.cluster, { chart: CHART, namespace: NAMESPACE, values });
    assert.deepEqual(
      await allowed(mgmt.cluster, { namespace: NAMESPACE, name: ACCOUNT }),
      listed(rulesOf("trust-manager")),
    );
    const [trust, serve, ...flags] = containerOf(objects).args;
    assert.deepEqual([trust, serve], ["trust", "serve"]);
    const manager = await mgmt.beginManager(flags, {}, environmentOf(objects));
    await manager.leads();
    assert.match(await subjectAltName(manager.relayPort), /DNS:trust\.example.*IP Address:192\.0\.2\.7/);
    await mgmt.apply(policyOf({ mgmtServerCa: { generated: {} } }));
    await mgmt.register("east");
    await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "ACCEPTED");
    const east = await controlPlane("east", `127.0.0.1:${manager.relayPort}`);
    const { metadata } = await east.client.get(SECRETS, "cacerts", SYSTEM);
    assert.equal(metadata.labels?.[CLUSTER_LABEL], "east");
    const { relay } = await mgmt.status("KubernetesCluster", "east", (status) => status.relay?.connected === true);
    assert.ok(relay?.connected);
    assert.deepEqual((await mgmt.rbacUsage()).denied, []);
    assert.deepEqual((await east.rbacUsage()).denied, []);
  });

  /** A cluster whose control plane, as the chart `causeway` starts it, has enrolled and is ready. */
  async function controlPlane(name: string, trustManager: string): Promise<KubeCluster> {
    const cluster = await lab.cluster(name);
    const values = { global: { multiCluster: { clusterName: name } }, causeway: { trustManager } };
    await cluster.client.kubectl("delete", "roles,rolebindings", "--all", "-n", SYSTEM);
    const objects = await install(helm, cluster, { chart: "causeway", namespace: SYSTEM, values });
    await cluster.client.put(SECRETS, {
      metadata: { name: "relay-identity-token-secret", namespace: SYSTEM },
      stringData: { token: await mgmt.token(name) },
    });
    const flags = containerOf(objects).args.filter((arg) => !/^discovery$|^--state=/.test(arg));
    const kubeconfig = await cluster.kubeconfigFor("istiod");
    await lab.causeway({ kubeconfig, cluster: name, flags, environment: environmentOf(objects) });
    return cluster;
  }
});

/** By which names and addresses what answers on a port of this machine may be called. */
function subjectAltName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, ALPNProtocols: ["h2"], rejectUnauthorized: false };
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? "");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
