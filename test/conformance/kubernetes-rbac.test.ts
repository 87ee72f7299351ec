import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import * as types from "../../src/kube/resource-types.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { FaultyApi } from "./faulty-api.ts";
import { DeployedGateways } from "./deployed-gateways.ts";
import {
  CRDS,
  GATEWAYS_RBAC,
  SPIRE_RBAC,
  TRUST_BUNDLE_RBAC,
  type KubeCluster,
  KubeLab,
  type RbacUsage,
} from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";

const { CLUSTER_TRUST_BUNDLES, CONFIG_MAPS, GATEWAYS, NAMESPACES, SECRETS, SERVICE_ENTRIES, SERVICES } = types;

type Texts = Readonly<Record<string, string>>;

/** Its status says which waypoint it is bound to. */
const WORKLOAD_ENTRY = {
  apiVersion: "networking.istio.io/v1",
  kind: "WorkloadEntry",
  metadata: { name: "vm", namespace: "bookshop", labels: { "istio.io/use-waypoint": "gate" } },
  spec: { address: "192.0.2.7" },
};

const REQUEST_AUTHENTICATION = {
  apiVersion: "security.istio.io/v1",
  kind: "RequestAuthentication",
  metadata: { name: "readers", namespace: "bookshop" },
  spec: { jwtRules: [{ issuer: "https://id.example", jwksUri: "https://id.example/keys" }] },
};

/** Their statuses say what becomes of them. */
const ROUTES = ["HTTPRoute", "GRPCRoute"].map((kind) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind,
  metadata: { name: "split", namespace: "bookshop" },
  spec: { parentRefs: [{ group: "", kind: "Service", name: "reviews" }], rules: [] },
}));

/** Of SPIRE's controller: a kind that is read where identities are SPIRE's. */
const SPIFFE_IDS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "clusterspiffeids.spire.spiffe.io" },
  spec: {
    group: "spire.spiffe.io",
    scope: "Cluster",
    names: { kind: "ClusterSPIFFEID", plural: "clusterspiffeids", singular: "clusterspiffeid" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};

suite("What Causeway is allowed to do on Kubernetes", () => {
  let lab: KubeLab;
  before(async function () {
    lab = await KubeLab.open(this);
  });
  after(() => lab?.close());

  /** As `list pods by ClusterRoleBinding/x`, for those that allowed nothing yet. */
  const unused = ({ rules }: RbacUsage): readonly string[] =>
    rules
      // Whoever writes a ClusterTrustBundle is asked for `attest` by an admission plugin that this API server has not.
      .filter(({ allowed, verb }) => allowed === 0 && verb !== "attest")
      .map(({ verb, apiGroup, resource, binding }) => `${verb} ${resource}${apiGroup && `.${apiGroup}`} by ${binding}`);

  async function usageOf(cluster: KubeCluster, binding: RegExp): Promise<RbacUsage> {
    const { rules, denied } = await cluster.rbacUsage();
    return { rules: rules.filter((rule) => binding.test(rule.binding)), denied };
  }

  test("it uses every rule of deploy/rbac, here and as a reader elsewhere, and asks for nothing that they do not allow", async function () {
    this.timeout(5 * 60_000);
    const clusters = [await lab.cluster("east"), await lab.cluster("west")] as const;
    const [east, west] = clusters;
    await east.client.kubectl("apply", "-f", TRUST_BUNDLE_RBAC, "-f", GATEWAYS_RBAC, "-f", SPIRE_RBAC);
    await east.apply(SPIFFE_IDS);
    await east.applyExamples();
    await west.applyExamples();
    await east.apply(WORKLOAD_ENTRY);
    await east.apply(REQUEST_AUTHENTICATION, ...ROUTES);
    // A kind that is missing is looked for by its CRD.
    await east.client.kubectl("delete", "crd", "segments.admin.solo.io");
    await west.client.kubectl("delete", "crd", "gatewayclasses.gateway.networking.k8s.io");
    // A server without streamed lists is asked for plain ones: both are allowed because both are needed.
    const [oldEast, oldWest] = [await old(east), await old(west)];
    const reader = (await west.secretToken("istio-reader-service-account")).token;
    const remote = { metadata: { name: "west", namespace: "istio-system", labels: { "istio/multiCluster": "true" } } };
    const kubeconfigOf = (api?: FaultyApi) =>
      west.kubeconfig({ token: reader, ...(api && { server: api.server, ca: api.ca }) });
    const shape = { server: oldEast.server, ca: oldEast.ca };
    // A root that ended is renewed at the start, and one that is deleted is put back.
    const ended = await TestAuthority.create({ name: "O=cluster.local", notAfterMs: Date.now() - 3_600_000 });
    const own = { name: "istio-ca-secret", namespace: "istio-system" };
    const stringData = { "ca-cert.pem": ended.root, "ca-key.pem": ended.key };
    await east.client.put(SECRETS, { metadata: own, type: "istio.io/ca-root", stringData });
    const planes = [];
    for (const [kubeconfig, west] of [
      [await east.kubeconfigFor("istiod"), kubeconfigOf()],
      [await east.kubeconfigFor("istiod", shape), kubeconfigOf(oldWest)],
    ] as const) {
      await east.client.put(SECRETS, { ...remote, stringData: { west } });
      const spire = { SPIRE_SERVER_ADDRESS: `unix:${join(lab.folder, "nobody.sock")}`, SPIRE_REGISTER: "on" };
      const environment = { ENABLE_CLUSTER_TRUST_BUNDLE_API: "true", ...spire };
      planes.push(await lab.causeway({ kubeconfig, cluster: "east", environment }));
      for (const { client } of clusters) await client.kubectl("apply", "-f", CRDS);
    }
    await east.client.delete(SECRETS, own.name, own.namespace);
    // Callers of both clusters show their tokens.
    for (const [cluster, name] of [
      [east, "east"],
      [west, "west"],
    ] as const)
      await lab.with(await MeshWatcher.start(planes[0]!, await cluster.ztunnelToken(), name)).close();
    await east.client.put(NAMESPACES, { metadata: { name: "later" } });
    const root = await eventually("the root of trust is in a new namespace", 30_000, async () => {
      const { data } = await east.client.get(CONFIG_MAPS, "istio-ca-root-cert", "later");
      return (data as Record<string, string>)["root-cert.pem"]!.includes("BEGIN CERTIFICATE");
    });
    await revokeAndForget(east);
    await shareAndForget(east);
    await deployAndShrink(east);
    await eventually("every rule was used", 60_000, async () => {
      const idle = [...unused(await usageOf(east, /istiod/)), ...unused(await usageOf(west, /reader/))];
      if (idle.length > 0) throw new Error(`unused: ${idle.join("; ")}`);
      return true;
    });
    for (const cluster of [east, west]) assert.deepEqual((await cluster.rbacUsage()).denied, []);
    const count = (await usageOf(east, /istiod/)).rules.length + (await usageOf(west, /reader/)).rules.length;
    assert.ok(count > 40);
    console.log(`      ${count} parts of rules, all used; no request denied; root of trust after ${root} ms`);
  });

  /** Has a waypoint deployed with all that it may have, and then with less. */
  async function deployAndShrink(east: KubeCluster): Promise<void> {
    await east.client.put(NAMESPACES, { metadata: { name: "shop" } });
    const gateways = new DeployedGateways(east);
    const map = (data: Texts) => east.client.put(CONFIG_MAPS, { metadata: { name: "sizes", namespace: "shop" }, data });
    const more = {
      horizontalPodAutoscaler: "spec: { maxReplicas: 2 }",
      podDisruptionBudget: "spec: { minAvailable: 1 }",
    };
    await map(more);
    await gateways.put("wp", { infrastructure: { parametersRef: { group: "", kind: "ConfigMap", name: "sizes" } } });
    for (const type of [types.DEPLOYMENTS, types.AUTOSCALERS, types.DISRUPTION_BUDGETS])
      await gateways.made(type, "wp");
    await east.client.merge(CONFIG_MAPS, { metadata: { name: "sizes", namespace: "shop" } }, { data: null });
    await eventually("nothing is left that nobody asks for", 30_000, async () => {
      const left = await Promise.all(
        [types.AUTOSCALERS, types.DISRUPTION_BUDGETS].map((type) => gateways.part(type, "wp")),
      );
      return left.every((part) => part === undefined);
    });
  }

  /** Names a peer, shares a service, sees both shown, and takes the service back. */
  async function shareAndForget(east: KubeCluster): Promise<void> {
    const labels = { "topology.istio.io/network": "north", "topology.istio.io/cluster": "north" };
    const metadata = { name: "north", namespace: "istio-system", labels };
    const listeners = [{ name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } }];
    const addresses = [{ type: "IPAddress", value: "127.0.0.1" }];
    await east.client.put(GATEWAYS, { metadata, spec: { gatewayClassName: "istio-remote", addresses, listeners } });
    await eventually("the peer has conditions", 30_000, async () => {
      const { status } = await east.client.get(GATEWAYS, "north", "istio-system");
      return (status as { conditions?: readonly unknown[] } | undefined)?.conditions?.length === 5;
    });
    const reviews = { metadata: { name: "reviews", namespace: "bookshop" } };
    const scope = (value: string | null) =>
      east.client.merge(SERVICES, reviews, { metadata: { labels: { "solo.io/service-scope": value } } });
    const isShown = async () => (await east.client.list(SERVICE_ENTRIES, "istio-system")).length > 0;
    await scope("global");
    await eventually("the service has an entry", 30_000, isShown);
    await scope(null);
    await eventually("the entry is gone", 30_000, async () => !(await isShown()));
  }

  /** Revokes something, sees it handed on beside the roots, and takes the list away again. */
  async function revokeAndForget(east: KubeCluster): Promise<void> {
    const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
    const own = await TestAuthority.create("CN=own", root);
    const textOf = async (name: string, key: string) =>
      Buffer.from(((await east.client.get(SECRETS, name, "istio-system"))["data"] as Texts)[key]!, "base64").toString();
    const metadata = { name: "cacerts", namespace: "istio-system" };
    const stringData = {
      "ca-cert.pem": own.root,
      "ca-key.pem": own.key,
      "cert-chain.pem": own.root,
      "root-cert.pem": `${await textOf("istio-ca-secret", "root-cert.pem")}\n${root.root}`,
    };
    const list = await root.list({ revoked: ["0a"] });
    await east.client.put(SECRETS, { metadata, stringData: { ...stringData, "ca-crl.pem": list } });
    await eventually("the list is in a namespace", 30_000, async () => {
      const { data } = await east.client.get(CONFIG_MAPS, "istio-ca-crl", "later");
      return (data as Texts)["ca-crl.pem"]!.includes("BEGIN X509 CRL");
    });
    await eventually("both roots are in the ClusterTrustBundle", 30_000, async () => {
      const { spec } = await east.client.get(CLUSTER_TRUST_BUNDLES, "istio.io:istiod-ca:root-cert");
      return (spec as Texts)["trustBundle"]!.split("BEGIN CERTIFICATE").length === 3;
    });
    await east.client.delete(SECRETS, "cacerts", "istio-system");
    await east.client.put(SECRETS, { metadata, stringData });
    await eventually("no list is left in any namespace", 30_000, async () => {
      const maps = await east.client.kubectl("get", "configmaps", "-A", "-o", "name");
      return !maps.includes("istio-ca-crl");
    });
  }

  /** The same API server as one that has no streamed lists. */
  async function old(cluster: KubeCluster): Promise<FaultyApi> {
    const api = lab.with(await FaultyApi.start(cluster.api.admin));
    api.fault = (line) => (line.includes("sendInitialEvents") ? { status: 422, reason: "Invalid" } : undefined);
    return api;
  }
});
