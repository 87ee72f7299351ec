import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { stringify } from "yaml";
import { multiclusterCommands } from "../../src/commands/multicluster.ts";
import { CONFIG_MAPS, GATEWAYS, NAMESPACES, SERVICES } from "../../src/kube/resource-types.ts";
import { type Ran, run } from "../commands/served-mesh.ts";
import { TestAuthority } from "../kits/tls.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";
import { writeMergedKubeconfig } from "./merged-kubeconfig.ts";

const SYSTEM = "istio-system";
const NAMESPACE = "istio-eastwest";
const REMOTE = "istio-remote-peer-west";

interface ManagedFields {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string;
}

suite("Clusters linked from the command line, on real API servers", () => {
  let lab: KubeLab;
  let kubeconfig: string;
  const clusters = new Map<string, KubeCluster>();

  before(async function () {
    lab = await KubeLab.open(this);
    this.timeout(120_000);
    const root = await TestAuthority.create("CN=root");
    for (const name of ["east", "west", "fresh"]) await open(name, root);
    kubeconfig = join(lab.folder, "contexts.yaml");
    writeMergedKubeconfig(kubeconfig, [...clusters.values()]);
  });
  after(() => lab?.close());

  async function open(name: string, root: TestAuthority): Promise<void> {
    const cluster = await lab.cluster(name);
    clusters.set(name, cluster);
    const labels = { "topology.istio.io/network": `net-${name}`, "topology.istio.io/cluster": name };
    await cluster.client.merge(NAMESPACES, { metadata: { name: SYSTEM } }, { metadata: { labels } });
    const metadata = { name: "istio-ca-root-cert", namespace: SYSTEM };
    await cluster.client.put(CONFIG_MAPS, { metadata, data: { "root-cert.pem": root.root } });
  }

  const causeway = (...words: readonly string[]): Promise<Ran> =>
    run(multiclusterCommands, ...words, "--kubeconfig", kubeconfig);
  const east = (): KubeCluster => clusters.get("east")!;
  const gateway = (cluster: string, name: string) => clusters.get(cluster)!.client.get(GATEWAYS, name, NAMESPACE);

  test("expose applies what kubectl applies of expose --generate", async () => {
    assert.equal((await causeway("expose", "--contexts", "east,west", "--replicas", "2")).code, 0);
    const { out } = await causeway("expose", "--context", "fresh", "--replicas", "2", "--generate");
    const path = join(lab.folder, "generated.yaml");
    // As if a repository had it for east, under another roof.
    writeFileSync(path, out.replaceAll("net-fresh", "net-east").replaceAll(": fresh", ": east"));
    await clusters.get("fresh")!.client.kubectl("apply", "-f", path);
    const [applied, generated] = [await gateway("east", "istio-eastwest"), await gateway("fresh", "istio-eastwest")];
    assert.deepEqual(generated["spec"], applied["spec"]);
    assert.deepEqual(generated.metadata.labels, applied.metadata.labels);
    const data = async (name: string): Promise<unknown> =>
      (await clusters.get(name)!.client.get(CONFIG_MAPS, "istio-eastwest", NAMESPACE))["data"];
    assert.deepEqual(await data("fresh"), await data("east"));
  });

  test("link waits for no address that is given, is what the API server holds, and again changes nothing", async () => {
    const words = ["--contexts", "east,west", "--address", "east=192.0.2.1", "--address", "west=192.0.2.2"];
    const dry = await causeway("link", ...words, "--dry-run");
    assert.equal(dry.code, 0, dry.out + dry.err);
    assert.match(dry.out, /Gateway istio-eastwest\/istio-remote-peer-west would be made/);
    await assert.rejects(gateway("east", REMOTE));
    const made = await causeway("link", ...words);
    assert.equal(made.code, 0, made.err);
    const { metadata, spec } = await gateway("east", REMOTE);
    assert.deepEqual((spec as { addresses: unknown }).addresses, [{ type: "IPAddress", value: "192.0.2.2" }]);
    const managers = metadata["managedFields"] as readonly ManagedFields[];
    assert.deepEqual(
      managers.map(({ manager, operation }) => [manager, operation]),
      [["causeway-link", "Apply"]],
    );
    const again = await causeway("link", ...words);
    assert.match(again.out, /istio-remote-peer-west unchanged/);
    assert.equal((await gateway("east", REMOTE)).metadata["resourceVersion"], metadata["resourceVersion"]);
  });

  test("teams with a kubeconfig each make by offers what one with both has made", async () => {
    const team = (name: string): ((...words: readonly string[]) => Promise<Ran>) => {
      const own = join(lab.folder, `${name}-alone.yaml`);
      writeMergedKubeconfig(own, [clusters.get(name)!]);
      return (...words) => run(multiclusterCommands, "link", ...words, "--kubeconfig", own);
    };
    const [eastern, western] = [team("east"), team("west")];
    const versions = async (): Promise<readonly unknown[]> => {
      const both = [await gateway("east", REMOTE), await gateway("west", "istio-remote-peer-east")];
      return both.map(({ metadata }) => metadata["resourceVersion"]);
    };
    const before = await versions();
    const at = (name: string, address: string) => ["--context", name, "--address", `${name}=${address}`];
    const offer = await eastern("--offer", ...at("east", "192.0.2.1"));
    const accepted = await western("--accept", offer.out, ...at("west", "192.0.2.2"));
    assert.equal(accepted.code, 0, accepted.err);
    assert.match(accepted.out, /istio-remote-peer-east unchanged/);
    const answered = await eastern("--accept", accepted.out.trimEnd().split("\n").at(-1)!);
    assert.match(answered.out, /istio-remote-peer-west unchanged/, answered.err);
    assert.deepEqual(await versions(), before);
  });

  test("a field that Helm applied is a conflict that names it, and is taken over with --adopt", async () => {
    const manifest = join(lab.folder, "helm.yaml");
    const { apiVersion, kind } = await gateway("east", REMOTE);
    const metadata = { name: REMOTE, namespace: NAMESPACE, labels: { "topology.kubernetes.io/region": "eu" } };
    writeFileSync(manifest, stringify({ apiVersion, kind, metadata }));
    await east().client.kubectl("apply", "--server-side", "--field-manager", "helm", "-f", manifest);
    const words = ["--contexts", "east,west", "--address", "east=192.0.2.1", "--address", "west=192.0.2.2"];
    const refused = await causeway("link", ...words, "--locality", "east=us", "--locality", "west=us");
    assert.equal(refused.code, 2);
    assert.match(refused.err, /"helm".*--adopt/s);
    const { metadata: west } = await gateway("west", "istio-remote-peer-east");
    assert.equal(west.labels?.["topology.kubernetes.io/region"], undefined, "west was changed all the same");
    const adopted = await causeway("link", ...words, "--locality", "east=us", "--locality", "west=us", "--adopt");
    assert.equal(adopted.code, 0, adopted.err);
    assert.equal((await gateway("east", REMOTE)).metadata.labels?.["topology.kubernetes.io/region"], "us");
  });

  test("unlink names what would be lost, and then takes back both Gateways and no other", async () => {
    const ports = [{ port: 80, name: "http" }];
    const labels = { "solo.io/service-scope": "global" };
    await clusters.get("west")!.client.put(NAMESPACES, { metadata: { name: "shop" } });
    await clusters
      .get("west")!
      .client.put(SERVICES, { metadata: { name: "books", namespace: "shop", labels }, spec: { ports } });
    const refused = await causeway("unlink", "--from", "west", "--to", "east", "--dry-run");
    assert.match(refused.err, /cluster east.*nobody would answer for service shop\/books any more/);
    assert.equal((await causeway("unlink", "--contexts", "east,west")).code, 1);
    const forced = await causeway("unlink", "--contexts", "east,west", "--force");
    assert.equal(forced.code, 0, forced.err);
    await assert.rejects(gateway("east", REMOTE));
    await assert.rejects(gateway("west", "istio-remote-peer-east"));
    await assert.doesNotReject(gateway("east", "istio-eastwest"));
  });
});
