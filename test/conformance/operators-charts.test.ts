import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parse } from "yaml";
import { CONFIG_FLAGS } from "../../src/config.ts";
import { exposeCommand } from "../../src/commands/multicluster-expose.ts";
import { linkCommand } from "../../src/commands/multicluster-link.ts";
import { remoteGateway } from "../../src/linking/gateways.ts";
import { type Ran, run } from "../commands/served-mesh.ts";
import { TestAuthority } from "../kits/tls.ts";
import { LinkedLab } from "../linking/linked-lab.ts";
import { neededChartTools } from "./chart-lab.ts";
import type { ChartTools } from "./chart-tools.ts";
import { EVERYTHING, GUIDE, MATRIX } from "./chart-values.ts";
import { CHARTS, type ChartObject, Helm, objectsIn, shown, type Values } from "./rendered-chart.ts";

const start = promisify(execFile);

interface Deployment extends ChartObject {
  readonly spec: {
    readonly strategy: { readonly rollingUpdate: Values };
    readonly template: {
      readonly metadata: { readonly annotations: Values };
      readonly spec: { readonly affinity: Values; readonly containers: readonly Container[] };
    };
  };
}
interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
}

suite("The charts, as Helm renders them", () => {
  let tools: ChartTools;
  let helm: Helm;
  before(async function () {
    tools = await neededChartTools(this);
    helm = new Helm(tools.helm);
  });
  after(() => helm?.close());

  const deployment = async (values: Values, ...more: readonly string[]): Promise<Deployment> =>
    (await helm.objects("causeway", values, undefined, ...more)).find(
      ({ kind }) => kind === "Deployment",
    ) as Deployment;
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
      'image is "pilot"': { image: "pilot" },
      autoscaleMax: { autoscaleMin: 7 },
      rollingMaxSurge: { rollingMaxSurge: 0, rollingMaxUnavailable: "0%" },
      "causeway.preStopSleepSeconds": { causeway: { preStopSleepSeconds: 60 } },
      // Under `pilot` it is the same value.
      "experimental.stableValidationPolicy:": { pilot: { experimental: { stableValidationPolicy: true } } },
    };
    for (const [key, values] of Object.entries(relied)) {
      const refusal = (await helm.refusal("causeway", values)) ?? "it was taken";
      assert.ok(
        refusal.includes(key) && /[;:] (leave|set|give)|: install|: the chart|instead/.test(refusal),
        `${key}: ${refusal}`,
      );
    }
  });

  test("values of a release from before there were others are taken: what is new has its default", async () => {
    const former = { causeway: { bundlePort: null, antiAffinity: null } };
    assert.deepEqual(await helm.objects("causeway", former), await helm.objects("causeway"));
  });

  test("what is given stands in the pod as it was written, and once", async () => {
    const given = {
      tag: 20250101,
      env: { CHECKED_MAX: 1000000, RATE: 0.5, REGION: "eu" },
      podAnnotations: { "prometheus.io/scrape": "no" },
    };
    const { metadata, spec } = (await deployment(given)).spec.template;
    const { env, image } = spec.containers[0]!;
    const own = Object.fromEntries(env.map(({ name, value }) => [name, value]));
    assert.deepEqual(
      [image, own["CHECKED_MAX"], own["RATE"], own["REGION"]],
      ["causeway:20250101", "1000000", "0.5", "eu"],
    );
    assert.equal(metadata.annotations["prometheus.io/scrape"], "no");
    // One line each: whoever reads YAML strictly takes no key twice.
    const text = await helm.text("causeway", { ...given, deploymentAnnotations: { "kube-score/ignore": "none" } });
    for (const key of ["prometheus.io/scrape", "kube-score/ignore"]) assert.equal(text.split(`${key}:`).length, 2, key);
  });

  test("every flag that is rendered is one of the program's", async () => {
    const known = new Set(CONFIG_FLAGS.map(({ flags }) => /--[\w-]+/.exec(flags)![0]));
    for (const [what, values] of Object.entries(MATRIX)) {
      const [word, ...flags] = (await deployment(values)).spec.template.spec.containers[0]!.args;
      assert.equal(word, "discovery");
      assert.deepEqual(
        flags.filter((flag) => !known.has(flag.split("=")[0]!)),
        [],
        what,
      );
    }
  });

  test("the port of our trust bundle is open wherever it has to be", async () => {
    const objects = await helm.objects("causeway", { causeway: { bundlePort: 8443 } });
    for (const kind of ["Deployment", "Service", "NetworkPolicy"])
      assert.match(JSON.stringify(objects.find((object) => object.kind === kind)), /8443/, kind);
    assert.doesNotMatch(await helm.text("causeway"), /bundle-port|https-bundle/);
  });

  test("a node that is drained waits for nobody: not by default, nor with replicas that keep apart, and the notes say where it would", async () => {
    const ha = ["--values", join(CHARTS, "causeway", "values-ha.yaml")];
    for (const objects of [await helm.objects("causeway"), await helm.objects("causeway", {}, undefined, ...ha)]) {
      const { spec } = objects.find(({ kind }) => kind === "PodDisruptionBudget") as unknown as { spec: Values };
      assert.equal(spec["maxUnavailable"], 1);
      assert.ok(!("minAvailable" in spec));
    }
    // With as many nodes as replicas no new one would find a place before an old one has left it.
    const { strategy, template } = (await deployment({}, ...ha)).spec;
    assert.deepEqual(strategy.rollingUpdate, { maxSurge: 0, maxUnavailable: 1 });
    assert.match(JSON.stringify(template.spec.affinity), /"requiredDuringScheduling[^}]*hostname[^}]*"istio":"pilot"/);
    const notes = (pdb: Values, more: Values = {}) => helm.notes("causeway", { pdb, ...more });
    assert.match(await notes({ minAvailable: 1 }), /pdb\.minAvailable is 1, .* can then not be drained\. Give/);
    assert.match(await notes({ minAvailable: "100%" }, { autoscaleMin: 3 }), /pdb\.minAvailable is 100%/);
    assert.doesNotMatch(await notes({ minAvailable: 1 }, { autoscaleMin: 2 }), /minAvailable/);
    assert.doesNotMatch(await notes({}), /minAvailable/);
  });

  test("kube-score finds nothing critical in what is rendered, whatever is on", async () => {
    const { ["with as little as possible"]: _, ...scored } = MATRIX;
    const ha = await helm.text("causeway", {}, undefined, "--values", join(CHARTS, "causeway", "values-ha.yaml"));
    const texts = [ha, ...(await Promise.all(Object.values(scored).map((values) => helm.text("causeway", values))))];
    for (const [at, text] of texts.entries()) {
      const file = helm.write(`scored-${at}.yaml`, text);
      const { stdout } = await start(tools.kubeScore, ["score", file, "--output-format", "ci"]);
      const lines = stdout.split("\n");
      assert.ok(lines.filter((line) => line.startsWith("[OK]")).length > 15, stdout);
      assert.deepEqual(
        lines.filter((line) => line.startsWith("[CRITICAL]")),
        [],
      );
    }
  });

  /** Of the chart `peering`, and of what a command printed but for the namespace, which is the release's. */
  const peering = (values: Values) => helm.objects("peering", values, "istio-eastwest");
  const gatewaysIn = ({ code, out, err }: Ran): readonly ChartObject[] => {
    assert.equal(code, 0, err);
    return objectsIn(out).filter(({ kind }) => kind !== "Namespace");
  };

  test("the chart peering renders what `multicluster expose --generate` prints", async () => {
    const named = { create: true, cluster: "bank", network: "net-bank" };
    const nodePorts = [
      { name: "tls-hbone", port: 15008, nodePort: 30015, protocol: "TCP" },
      { name: "tls-xds", port: 15012, nodePort: 30016, protocol: "TCP" },
    ];
    const alike: readonly (readonly [flags: string, eastwest: Values])[] = [
      ["", {}],
      [
        "--service-type nodeport --hbone-node-port 30015 --xds-node-port 30016",
        { dataplaneServiceTypes: ["nodeport"], service: { spec: { type: "NodePort", ports: nodePorts } } },
      ],
      [
        "--class istio-east-west --annotation lb.example/internal=y --name door",
        {
          ...{ className: "istio-east-west", name: "door" },
          service: { metadata: { annotations: { "lb.example/internal": "y" } } },
        },
      ],
    ];
    for (const [flags, eastwest] of alike) {
      const words = `--generate --cluster bank --network net-bank ${flags}`.trim().split(" ");
      const printed = gatewaysIn(await run(exposeCommand(), ...words));
      assert.equal(printed.length, 1);
      assert.deepEqual(await peering({ eastwest: { ...named, ...eastwest } }), printed, flags);
    }
    // How many there are stands in a ConfigMap, as text.
    const parsed = (objects: readonly ChartObject[]) =>
      objects.map(({ data, ...rest }) => [
        rest,
        Object.entries((data ?? {}) as Record<string, string>).map(([key, text]) => [key, parse(text) as unknown]),
      ]);
    const printed = gatewaysIn(
      await run(exposeCommand(), "--generate", "--cluster", "bank", "--network", "net-bank", "--replicas", "2"),
    );
    const { deployment, podDisruptionBudget } = printed[0]!["data"] as Record<string, string>;
    const laidOver = { deployment: parse(deployment!), podDisruptionBudget: parse(podDisruptionBudget!) };
    assert.deepEqual(parsed(await peering({ eastwest: { ...named, ...laidOver } })), parsed(printed));
  });

  test("the chart peering renders what `multicluster link --generate` prints", async () => {
    const authority = await TestAuthority.create("CN=root");
    const lab = new LinkedLab();
    for (const name of ["bank", "edge"]) lab.cluster(name, authority);
    await lab.run(exposeCommand, "--contexts", "bank,edge");
    lab.program("edge", "192.0.2.3");
    const edge = { cluster: "edge", network: "net-edge" };
    const alike: readonly (readonly [flags: string, item: Values])[] = [
      ["", { ...edge, address: "192.0.2.3", addressType: "IPAddress", hbonePort: 15008 }],
      ["--address edge=gw.example:30016:30015", { ...edge, address: "gw.example", nodeport: 30016, hbonePort: 30015 }],
      [
        "--address edge=[2001:db8::1]:15443 --locality edge=eu/eu-1",
        { ...edge, address: "2001:db8::1", nodeport: 15443, hbonePort: 15008, region: "eu", zone: "eu-1" },
      ],
    ];
    for (const [flags, item] of alike) {
      const words = `--generate --from bank --to edge --one-way ${flags}`.trim().split(" ");
      const printed = gatewaysIn(await lab.run(linkCommand, ...words));
      assert.equal(printed.length, 1);
      assert.deepEqual(await peering({ remote: { create: true, items: [item] } }), printed, flags);
    }
    // What else can be said of a peer follows from its cluster, and has no flag.
    const said = { ...edge, trustDomain: "edge.example", serviceAccount: "door" };
    const item = { ...said, address: "192.0.2.3", nodeport: 30016, preferredDataplaneServiceType: "nodeport" };
    assert.deepEqual(await peering({ remote: { create: true, items: [item] } }), [
      remoteGateway({ ...said, addresses: ["192.0.2.3"], xdsPort: 30016, preferred: "nodeport" }),
    ]);
    assert.deepEqual(await peering({ remote: { create: false, items: [item] } }), []);
  });

  test("the chart peering makes no two Gateways of one name, and says so where it makes none", async () => {
    const item = { network: "net", address: "192.0.2.3" };
    const [east, west] = [
      { ...item, cluster: "east" },
      { ...item, cluster: "west", name: "istio-remote-peer-east" },
    ];
    const twice = await helm.refusal("peering", { remote: { create: true, items: [east, west] } });
    assert.match(twice ?? "it was taken", /items\[1\] \(west\): istio-remote-peer-east is the name of another Gateway/);
    const way = { create: true, name: "door", cluster: "bank", network: "net" };
    const both = { eastwest: way, remote: { create: true, items: [{ ...east, name: "door" }] } };
    assert.match((await helm.refusal("peering", both)) ?? "it was taken", /\(east\): door is the name of another/);
    assert.match(await helm.notes("peering", {}), /Nothing was made/);
    assert.match(
      await helm.notes("peering", { remote: { create: true, items: [east] } }),
      /Peers of this cluster: east\./,
    );
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
