import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { stringify } from "yaml";
import { ChartLab } from "./chart-lab.ts";
import type { ChartTools } from "./chart-tools.ts";
import { MATRIX, PEERING, TRUST } from "./chart-values.ts";
import { KindSchemas } from "./kind-schemas.ts";
import { CRDS, type KubeCluster } from "./kube-lab.ts";
import { CHARTS, type ChartObject, Helm, objectsIn } from "./rendered-chart.ts";

const run = promisify(execFile);
const EAST_WEST = "istio-eastwest";

interface Judged {
  readonly resources: readonly { readonly kind: string; readonly name: string; readonly status: string }[];
  readonly summary: Readonly<Record<"valid" | "invalid" | "errors" | "skipped", number>>;
}

suite("The charts, by the definitions of all kinds that they render", () => {
  let charts: ChartLab;
  let tools: ChartTools;
  let helm: Helm;
  let cluster: KubeCluster;
  let schemas: KindSchemas;
  before(async function () {
    charts = await ChartLab.open(this);
    ({ tools, helm } = charts);
    cluster = await charts.kube.cluster("bare", { crds: undefined });
    schemas = new KindSchemas(join(helm.folder, "schemas"));
  });
  after(() => charts?.close());

  /** What the charts render, but for definitions: those an API server holds to what they may be, and publishes no schema of. */
  async function rendered(): Promise<string> {
    const ha = join(CHARTS, "causeway", "values-ha.yaml");
    const texts = [await helm.text("causeway", {}, undefined, "--values", ha)];
    for (const values of Object.values(MATRIX)) texts.push(await helm.text("causeway", values));
    for (const values of Object.values(PEERING)) texts.push(await helm.text("peering", values, EAST_WEST));
    for (const values of Object.values(TRUST)) texts.push(await helm.text("trust-manager", values, "gloo-mesh"));
    return texts.join("\n---\n");
  }

  async function writeSchemas(objects: readonly ChartObject[]): Promise<void> {
    const custom = new Set<string>();
    for (const folder of [CRDS, join(CHARTS, "..", "crds"), tools.gatewayApi])
      for (const apiVersion of await schemas.ofDefinitions(cluster.client, folder)) custom.add(apiVersion);
    const built = objects.map(({ apiVersion }) => apiVersion).filter((name) => !custom.has(name));
    await schemas.ofServer(cluster.client, new Set(built));
  }

  /** What kubeconform says of these objects; one that is of no known kind is an error. */
  async function judged(text: string): Promise<Judged> {
    const file = helm.write("judged.yaml", text);
    const args = ["-strict", "-summary", "-output", "json", "-schema-location", schemas.location, file];
    const { stdout } = await run(tools.kubeconform, args, { maxBuffer: 1 << 26 }).catch((thrown: { stdout: string }) =>
      Promise.resolve(thrown),
    );
    return JSON.parse(stdout) as Judged;
  }

  /** As `helm install`, into a namespace, and every field is held to what the server knows. */
  async function apply(text: string, namespace: string): Promise<void> {
    const file = helm.write("applied.yaml", text);
    const flags = ["--server-side", "--validate=strict", "--field-manager=helm", "-n", namespace];
    await cluster.client.kubectl("apply", ...flags, "-f", file);
  }

  test("kubeconform finds nothing wrong with what is rendered, and a field that is misspelt anywhere", async function () {
    this.timeout(120_000);
    const text = await rendered();
    const objects = objectsIn(text);
    await writeSchemas(objects);
    const { resources, summary } = await judged(text);
    assert.deepEqual(resources, []);
    assert.deepEqual(summary, { valid: objects.length, invalid: 0, errors: 0, skipped: 0 });
    assert.ok(new Set(objects.map(({ kind }) => kind)).size > 10, `${objects.length} objects`);
    const misspelt: readonly (readonly [kind: string, field: string, by: string])[] = [
      ["Deployment", "readOnlyRootFilesystem", "readOnlyRootFileSystem"],
      ["Deployment", "topologySpreadConstraints", "topologySpreadConstraint"],
      ["Service", "selector", "selectors"],
      ["NetworkPolicy", "policyTypes", "policyType"],
      ["ClusterRole", "verbs", "verb"],
      ["Gateway", "allowedRoutes", "allowedRoute"],
      ["Gateway", "gatewayClassName", "gatewayClass"],
    ];
    for (const [kind, field, by] of misspelt) {
      const right = objects.filter((object) => object.kind === kind).map((object) => JSON.stringify(object));
      const wrong = right.find((each) => each.includes(`"${field}":`))?.replace(`"${field}":`, `"${by}":`);
      assert.ok(wrong !== undefined, `no ${kind} has ${field}`);
      const found = await judged(wrong);
      assert.equal(found.summary.invalid, 1, field);
      assert.match(JSON.stringify(found.resources), new RegExp(`additional properties '${by}' not allowed`));
    }
  });

  test("the charts crds and peering are taken by a real API server, strictly, with the Gateway API's own definitions", async function () {
    this.timeout(120_000);
    const { client } = cluster;
    const text = await helm.text("crds");
    await apply(text, "istio-system");
    await client.kubectl(
      "apply",
      "--server-side",
      "-f",
      join(tools.gatewayApi, "gateway.networking.k8s.io_gateways.yaml"),
    );
    await client.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=60s");
    // Each kind is served: an object of it can be asked for.
    for (const { metadata } of objectsIn(text)) assert.equal(await client.kubectl("get", metadata.name, "-A"), "");
    await client.kubectl("create", "namespace", EAST_WEST);
    for (const values of Object.values(PEERING)) await apply(await helm.text("peering", values, EAST_WEST), EAST_WEST);
    const names = await client.kubectl("get", "gateways", "-n", EAST_WEST, "-o", "name");
    assert.deepEqual(
      names
        .trim()
        .split("\n")
        .map((name) => name.split("/")[1]!),
      ["branch", "door", "istio-eastwest", "istio-remote-peer-edge", "istio-remote-peer-vendor"],
    );
    const gateway = await helm.text("peering", PEERING["a way in by a load balancer"], EAST_WEST);
    await assert.rejects(
      apply(gateway.replace("gatewayClassName", "gatewayClass"), EAST_WEST),
      /\.spec\.gatewayClass: field not declared in schema/,
    );
    const grant = { apiVersion: "peering.causeway.dev/v1alpha1", kind: "PeerGrant", metadata: { name: "west" } };
    await apply(stringify({ ...grant, spec: { cluster: "west" } }), "istio-system");
    const misspelt = stringify({ ...grant, spec: { cluster: "west", exports: {} } });
    await assert.rejects(apply(misspelt, "istio-system"), /\.spec\.exports: field not declared in schema/);
  });
});
