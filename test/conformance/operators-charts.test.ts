import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parse } from "yaml";
import { eastWestGateway, remoteGateway } from "../../src/linking/gateways.ts";
import { chartTools, type ChartTools, TOOLS_MS } from "./chart-tools.ts";
import { skipWithout } from "./machine.ts";
import { CHARTS, type ChartObject, Helm, shown, type Values } from "./rendered-chart.ts";

const run = promisify(execFile);

/** Of guide 002, but for the hub and the tag, which are of other images. */
const GUIDE = {
  env: {
    PILOT_ENABLE_IP_AUTOALLOCATE: "true",
    PILOT_SKIP_VALIDATE_TRUST_DOMAIN: "true",
    DISABLE_LEGACY_MULTICLUSTER: "true",
  },
  global: {
    multiCluster: { clusterName: "cluster1" },
    network: "cluster1",
    proxy: { clusterDomain: "cluster.local" },
  },
  meshConfig: {
    accessLogFile: "/dev/stdout",
    defaultConfig: { proxyMetadata: { ISTIO_META_DNS_AUTO_ALLOCATE: "true", ISTIO_META_DNS_CAPTURE: "true" } },
    trustDomain: "cluster1",
  },
  gateways: { spire: { workloads: true } },
  pilot: { cni: { namespace: "istio-system", enabled: true } },
  platforms: { peering: { enabled: true } },
  profile: "ambient",
  license: { value: "key" },
};

const EVERYTHING = {
  causeway: {
    peeringObjects: "full",
    clusterTrustBundle: true,
    trustManager: "trust.example:9977",
    identity: "spire",
    spire: { server: "unix:///run/spire/server/private/api.sock", agent: "csi", cluster: "east", register: true },
    serviceAliases: ["istiod-gloo"],
    servingNames: ["istiod.example"],
  },
  global: { imagePullSecrets: ["pull"], logAsJson: true, priorityClassName: "system-cluster-critical" },
  podLabels: { team: "mesh" },
};

const MATRIX: Readonly<Record<string, Values>> = {
  "as it comes": {},
  "as in guide 002": GUIDE,
  "with everything on": EVERYTHING,
  "as a revision with a tag": { revision: "canary", revisionTags: ["prod"] },
  "with as little as possible": {
    autoscaleEnabled: false,
    causeway: { gatewayController: false, remoteReader: false, preStopSleepSeconds: 0 },
    global: { networkPolicy: { enabled: false }, defaultPodDisruptionBudget: { enabled: false } },
    platforms: { peering: { enabled: false } },
    configMap: false,
  },
  "with SPIRE's socket on the node": { causeway: { identity: "external", spire: { agent: "/run/spire/sockets" } } },
};

interface Deployment extends ChartObject {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Values };
      readonly spec: { readonly containers: readonly { readonly env: readonly EnvVar[] }[] };
    };
  };
}
interface EnvVar {
  readonly name: string;
  readonly value?: string;
}

suite("The charts, as Helm renders them", () => {
  let tools: ChartTools;
  let helm: Helm;
  before(async function () {
    this.timeout(TOOLS_MS + 60_000);
    const found = await chartTools();
    skipWithout(this, "charts", "missing" in found ? found : true);
    tools = found as ChartTools;
    helm = new Helm(tools.helm);
  });
  after(() => helm?.close());

  const deployment = async (values: Values): Promise<Deployment> =>
    (await helm.objects("causeway", values)).find(({ kind }) => kind === "Deployment") as Deployment;
  const envOf = ({ spec }: Deployment) =>
    Object.fromEntries(spec.template.spec.containers[0]!.env.map(({ name, value }) => [name, value]));

  test("each passes helm lint --strict", async () => {
    for (const chart of ["causeway", "crds", "peering"]) await helm.lint(chart);
  });

  test("rights are those of what is turned on, and of nothing else", async () => {
    const files = ["gateways", "peering", "peering-workload-entries", "cluster-trust-bundle", "spire", "trust-relay"];
    const granted = async (values: Values) => {
      const names = (await helm.objects("causeway", values))
        .filter(({ kind }) => kind.endsWith("Binding"))
        .map(({ metadata }) => metadata.name.replace("-istio-system", ""));
      return files.filter((file) => names.includes(`istiod-${file}`));
    };
    assert.deepEqual(await granted({}), ["gateways", "peering"]);
    assert.deepEqual(await granted(EVERYTHING), files);
    assert.deepEqual(await granted(MATRIX["with as little as possible"]!), []);
    // Whoever sets the variable means it.
    assert.deepEqual(
      await granted({ env: { PEERING_KUBERNETES_OBJECTS: "full", ENABLE_CLUSTER_TRUST_BUNDLE_API: true } }),
      [...["gateways", "peering", "peering-workload-entries", "cluster-trust-bundle"]],
    );
    assert.deepEqual(await granted({ env: { ENABLE_PEERING_DISCOVERY: "false" } }), ["gateways"]);
  });

  test("guide 002's values settle what they settle with istiod, and the notes name what has no effect", async () => {
    const env = envOf(await deployment(GUIDE));
    assert.equal(env["CLUSTER_ID"], "cluster1");
    assert.equal(env["NETWORK"], "cluster1");
    assert.equal(env["ENABLE_PEERING_DISCOVERY"], "true");
    assert.equal(env["GATEWAYS_SPIRE_WORKLOADS"], "true");
    assert.equal(env["DISABLE_LEGACY_MULTICLUSTER"], "true");
    assert.equal(env["CA_TRUSTED_NODE_ACCOUNTS"], "istio-system/ztunnel");
    // Two thirds of 4Gi.
    assert.equal(env["NODE_OPTIONS"], "--max-old-space-size=2703");
    const map = (await helm.objects("causeway", GUIDE)).find(({ kind }) => kind === "ConfigMap")!;
    assert.deepEqual(parse((map["data"] as Record<string, string>)["mesh"]!), GUIDE.meshConfig);
    const notes = await helm.notes("causeway", GUIDE);
    for (const key of ["cni", "license"]) assert.match(notes, new RegExp(`  - ${key}: `));
    assert.doesNotMatch(notes, /meshConfig/);
  });

  test("one administrator's objects and another's are all of them, and none twice", async () => {
    const scoped = async (resourceScope: string) =>
      (await helm.objects("causeway", { global: { resourceScope } })).map(shown);
    const [all, cluster, namespaced] = [await scoped("all"), await scoped("cluster"), await scoped("namespace")];
    assert.deepEqual([...cluster, ...namespaced].toSorted(), all.toSorted());
    assert.ok(cluster.length > 5 && cluster.every((object) => object.startsWith("ClusterRole")));
  });

  test("two revisions have nothing in common but the reader's account", async () => {
    const names = async (values: Values) => new Set((await helm.objects("causeway", values)).map(shown));
    const [own, canary] = [await names({}), await names({ revision: "canary", revisionTags: ["prod"] })];
    const shared = [...own].filter((name) => canary.has(name));
    assert.deepEqual(shared, ["ServiceAccount istio-reader-service-account"]);
    assert.ok(canary.has("Service istiod-revision-tag-prod") && canary.has("ConfigMap istio-canary"));
  });

  test("a value that is misspelt is refused, wherever it stands", async () => {
    const misspelt: readonly (readonly [string, string, Values])[] = [
      ["causeway", "replicacount", { replicacount: 3 }],
      ["causeway", "multicluster", { global: { multicluster: { clusterName: "east" } } }],
      ["causeway", "enviroment", { pilot: { enviroment: {} } }],
      ["causeway", "enable", { platforms: { peering: { enable: true } } }],
      ["causeway", "identty", { causeway: { identty: "spire" } }],
      [
        "peering",
        "clustr",
        { remote: { create: true, items: [{ clustr: "west", network: "west", address: "192.0.2.1" }] } },
      ],
      ["peering", "networks", { eastwest: { create: true, cluster: "east", networks: "east" } }],
      ["crds", "excluded", { excluded: [] }],
    ];
    for (const [chart, key, values] of misspelt)
      assert.match((await helm.refusal(chart, values)) ?? "it was taken", new RegExp(`'${key}' not allowed`), key);
  });

  test("a value that somebody relies on, and that is not here, is refused with its name and what to do", async () => {
    const relied: Readonly<Record<string, Values>> = {
      profile: { profile: "demo" },
      "global.caAddress": { global: { caAddress: "ca.example:443" } },
      "global.certSigners": { global: { certSigners: ["clusterissuers.cert-manager.io/istio"] } },
      "global.pilotCertProvider": { global: { pilotCertProvider: "kubernetes" } },
      "global.sds.token.aud": { global: { sds: { token: { aud: "vault" } } } },
      "global.externalIstiod": { global: { externalIstiod: true } },
      "istiodRemote.enabled": { istiodRemote: { enabled: true } },
      "global.meshNetworks": { global: { meshNetworks: { west: {} } } },
      jwksResolverExtraRootCA: { jwksResolverExtraRootCA: "-----BEGIN CERTIFICATE-----" },
      "taint.enabled": { taint: { enabled: true } },
      "experimental.stableValidationPolicy": { experimental: { stableValidationPolicy: true } },
      "sidecarInjectorWebhook.enableNamespacesByDefault": {
        sidecarInjectorWebhook: { enableNamespacesByDefault: true },
      },
      "gateways.securityContext": { gateways: { securityContext: { runAsUser: 0 } } },
      "global.hub": { global: { hub: "us-docker.pkg.dev/soloio-img/istio" } },
      "env.REVISION": { env: { REVISION: "x" } },
      // Under `pilot` it is the same value.
      "experimental.stableValidationPolicy:": { pilot: { experimental: { stableValidationPolicy: true } } },
    };
    for (const [key, values] of Object.entries(relied)) {
      const refusal = (await helm.refusal("causeway", values)) ?? "it was taken";
      assert.ok(
        refusal.includes(key) && /; (leave|set|give)|: install|: the chart|instead/.test(refusal),
        `${key}: ${refusal}`,
      );
    }
  });

  test("kube-score finds nothing critical in what is rendered, whatever is on", async () => {
    const { ["with as little as possible"]: _, ...scored } = MATRIX;
    const ha = await helm.text("causeway", {}, undefined, "--values", join(CHARTS, "causeway", "values-ha.yaml"));
    const texts = [ha, ...(await Promise.all(Object.values(scored).map((values) => helm.text("causeway", values))))];
    for (const [at, text] of texts.entries()) {
      const file = helm.write(`scored-${at}.yaml`, text);
      const { stdout } = await run(tools.kubeScore, ["score", file, "--output-format", "ci"]);
      const lines = stdout.split("\n");
      assert.ok(lines.filter((line) => line.startsWith("[OK]")).length > 15, stdout);
      assert.deepEqual(
        lines.filter((line) => line.startsWith("[CRITICAL]")),
        [],
      );
    }
  });

  test("the chart peering renders what `multicluster expose` and `link` make", async () => {
    const eastwest = {
      ...{
        create: true,
        cluster: "trustusbank-bank",
        network: "trustusbank-bank",
        dataplaneServiceTypes: ["nodeport"],
      },
      service: {
        spec: {
          type: "NodePort",
          ports: [
            { name: "tls-hbone", port: 15008, nodePort: 30015, protocol: "TCP" },
            { name: "tls-xds", port: 15012, nodePort: 30016, protocol: "TCP" },
          ],
        },
      },
    };
    const named = { cluster: "trustusbank-bank", network: "trustusbank-bank" };
    const render = (values: Values) => helm.objects("peering", values, "istio-eastwest");
    assert.deepEqual(await render({ eastwest, remote: { create: false } }), [
      eastWestGateway({ ...named, serviceTypes: ["nodeport"], hboneNodePort: 30015, xdsNodePort: 30016 }),
    ]);
    assert.deepEqual(await render({ eastwest: { create: true, ...named } }), [eastWestGateway(named)]);
    const upstream = {
      className: "istio-east-west",
      service: { metadata: { annotations: { "lb.example/internal": "y" } } },
    };
    assert.deepEqual(await render({ eastwest: { create: true, ...named, ...upstream } }), [
      eastWestGateway({ ...named, className: "istio-east-west", serviceAnnotations: { "lb.example/internal": "y" } }),
    ]);
    const edge = { cluster: "trustusbank-edge", network: "trustusbank-edge", trustDomain: "cluster.local" };
    const vendor = { cluster: "vendor", network: "vendor", region: "eu" };
    const items = [
      {
        ...{ name: "peer-trustusbank-edge", ...edge, address: "172.22.0.3", addressType: "IPAddress" },
        ...{ preferredDataplaneServiceType: "nodeport", nodeport: 30016 },
      },
      { ...vendor, address: "vendor.example", addressType: "Hostname" },
    ];
    assert.deepEqual(await render({ eastwest: { create: false }, remote: { create: true, items } }), [
      remoteGateway({
        ...{ name: "peer-trustusbank-edge", ...edge, addresses: ["172.22.0.3"], preferred: "nodeport", xdsPort: 30016 },
      }),
      remoteGateway({ ...vendor, addresses: ["vendor.example"] }),
    ]);
    assert.deepEqual(await render({ remote: { create: false, items } }), []);
  });

  test("every combination of values renders objects that each have a name, and one namespace", async () => {
    for (const [what, values] of Object.entries(MATRIX)) {
      const objects = await helm.objects("causeway", values);
      assert.ok(objects.length > 5, what);
      for (const object of objects) {
        assert.ok(
          object.metadata.namespace === undefined || object.metadata.namespace === "istio-system",
          shown(object),
        );
        assert.equal(object.metadata.labels?.["helm.sh/chart"], "causeway-0.1.0", `${what}: ${shown(object)}`);
      }
      const names = objects.map(shown);
      assert.equal(new Set(names).size, names.length, what);
    }
  });
});
