import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import type { ResourceType } from "../../src/kube/api.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { readKubeconfig } from "../../src/kube/kubeconfig.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import { StatusWriting } from "../../src/kube/status-writing.ts";
import { realHost } from "../kits/real-host.ts";
import { wantedMesh } from "../registry/wanted-mesh.ts";
import { eventually } from "./causeway-process.ts";
import { KubeLab, type KubeCluster } from "./kube-lab.ts";

const { AUTHORIZATION_POLICIES, CONFIG_MAPS, HTTP_ROUTES, LEASES, NAMESPACES, SERVICE_ENTRIES, SERVICES } = types;
const READ = [NAMESPACES, SERVICES, types.GATEWAYS, SERVICE_ENTRIES, AUTHORIZATION_POLICIES, HTTP_ROUTES];

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly lastTransitionTime: string;
}

/** One replica: a registry that is told what an administrator sees, and the writing of what it wants. */
async function replica(cluster: KubeCluster, podName: string) {
  const host = realHost();
  const text = readFileSync(await cluster.kubeconfigFor("istiod"), "utf8");
  const api = new HttpKubeApi(host, readKubeconfig(text, { trusted: true, baseDir: "/" }));
  const mesh = wantedMesh();
  const { wanted } = mesh;
  const writing = new StatusWriting(host, api, {
    wanted,
    systemNamespace: "istio-system",
    revision: "default",
    podName,
  });
  const sync = async (): Promise<void> => {
    for (const type of READ)
      for (const object of await cluster.client.list(type)) {
        const apiVersion = type.group === "" ? "v1" : `${type.group}/${type.versions[0]}`;
        mesh.apply({ ...object, apiVersion, kind: type.kind });
      }
  };
  const close = async (): Promise<void> => {
    await writing.close();
    await api.close();
  };
  return { host, mesh, writing, sync, close };
}

const until = (what: string, check: () => Promise<boolean>): Promise<number> => eventually(what, 15_000, check);

suite("what is written to a real API server", () => {
  let lab: KubeLab;
  let cluster: KubeCluster;
  let one: Awaited<ReturnType<typeof replica>>;
  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await lab.cluster();
    for (const name of ["shop", "going"]) await cluster.client.put(NAMESPACES, { metadata: { name } });
    one = lab.with(await replica(cluster, "istiod-1"));
    // Its storage takes a moment to begin.
    await until("it can be read", () =>
      one.sync().then(
        () => true,
        () => false,
      ),
    );
    one.writing.start();
    await until("it leads", async () => one.writing.leading);
  });
  after(() => lab?.close());

  const conditions = async (type: ResourceType, name: string): Promise<readonly Condition[]> => {
    const { status } = await cluster.client.get(type, name, "shop");
    return (status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
  };
  const written = (): number =>
    ["AuthorizationPolicy", "Service", "ServiceEntry", "ConfigMap"].reduce(
      (sum, kind) => sum + one.host.metric(`status_writes_total{kind=${kind},result=written}`),
      0,
    );
  const policy = (spec: object): KubeObject => ({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "guard", namespace: "shop" },
    spec,
  });

  test("the lease is in the system namespace, and kubectl shows who holds it", async () => {
    const { spec } = await cluster.client.get(LEASES, "causeway-status-default", "istio-system");
    assert.equal((spec as Record<string, unknown>)["holderIdentity"], one.writing.identity);
  });

  test("a policy gets its verdict, which is written once, and again only when the policy changes", async () => {
    await cluster.apply(policy({ action: "DENY", rules: [{}] }));
    await one.sync();
    await until("it is accepted", async () => (await conditions(AUTHORIZATION_POLICIES, "guard")).length === 1);
    const [first] = await conditions(AUTHORIZATION_POLICIES, "guard");
    assert.deepEqual([first?.type, first?.status, first?.reason], ["ZtunnelAccepted", "True", "Accepted"]);
    await one.sync();
    assert.equal(one.mesh.wanted.get("AuthorizationPolicy shop/guard")?.found, "same");
    const before = written();
    await cluster.apply(policy({ action: "DENY", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] }));
    await one.sync();
    await until("it is said what is not enforced", async () =>
      (await conditions(AUTHORIZATION_POLICIES, "guard")).some(({ reason }) => reason === "UnsupportedValue"),
    );
    await one.sync();
    assert.equal(written(), before + 1);
    const [second] = await conditions(AUTHORIZATION_POLICIES, "guard");
    assert.equal(second?.lastTransitionTime, first?.lastTransitionTime);
  });

  test("the status of a route says what becomes of it beside what others say, and no more once it has no service", async () => {
    const route = (...parentRefs: readonly object[]) => ({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "split", namespace: "shop" },
      spec: { parentRefs, rules: [{ backendRefs: [{ name: "ghost", port: 80 }] }] },
    });
    const service = { group: "", kind: "Service", name: "ghost" };
    const said = { status: "True", reason: "Said", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const parentRef = { name: "edge" };
    const edge = { parentRef, controllerName: "example.com/edge", conditions: [{ type: "Accepted", ...said }] };
    await cluster.apply(route(parentRef, service));
    await cluster.client.merge(HTTP_ROUTES, route(), { status: { parents: [edge] } }, "/status");
    const parents = async () => {
      await one.sync();
      const { status } = await cluster.client.get(HTTP_ROUTES, "split", "shop");
      return (status as { parents: readonly { conditions: readonly Condition[] }[] }).parents;
    };
    await until("we say something", async () => (await parents()).length === 2);
    const [theirs, ours] = await parents();
    assert.deepEqual(theirs, edge);
    assert.deepEqual(
      ours?.conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`),
      ["Accepted=False NoMatchingParent", "ResolvedRefs=False BackendNotFound"],
    );
    await until("it is as it should be", async () => {
      await one.sync();
      return one.mesh.wanted.get("HTTPRoute shop/split")?.found === "same";
    });
    await cluster.apply(route(parentRef));
    await until("we say nothing", async () => (await parents()).length === 1);
    assert.deepEqual(await parents(), [edge]);
  });

  test("conditions of others stay when ours are written and when they go", async () => {
    const service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "cart", namespace: "shop", labels: { "istio.io/use-waypoint": "wp" } },
      spec: { ports: [{ port: 80 }] },
    };
    const other = {
      type: "Other",
      status: "True",
      reason: "Said",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    await cluster.apply(service, policy({ rules: [{}] }));
    await cluster.client.merge(SERVICES, service, { status: { conditions: [other] } }, "/status");
    const found = await conditions(AUTHORIZATION_POLICIES, "guard");
    await cluster.client.merge(
      AUTHORIZATION_POLICIES,
      policy({}),
      { status: { conditions: [other, ...found] } },
      "/status",
    );
    await one.sync();
    const typesOf = async (type: ResourceType, name: string) =>
      (await conditions(type, name)).map(({ type }) => type).sort();
    await until("the service is told", async () => (await typesOf(SERVICES, "cart")).length === 2);
    await until("the policy is judged anew", async () =>
      (await conditions(AUTHORIZATION_POLICIES, "guard")).some(({ reason }) => reason === "Accepted"),
    );
    assert.deepEqual(await typesOf(SERVICES, "cart"), ["Other", "istio.io/WaypointBound"]);
    assert.deepEqual(await typesOf(AUTHORIZATION_POLICIES, "guard"), ["Other", "ZtunnelAccepted"]);
    await cluster.client.merge(SERVICES, service, { metadata: { labels: { "istio.io/use-waypoint": null } } });
    await one.sync();
    await until("ours goes", async () => (await typesOf(SERVICES, "cart")).join() === "Other");
    await one.sync();
    assert.equal(one.mesh.wanted.get("Service shop/cart"), undefined);
  });

  test("a host gets its addresses, and loses them when the user gives it one", async () => {
    const entry = {
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: { name: "api", namespace: "shop" },
      spec: { hosts: ["api.example"], resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }] },
    };
    const addresses = async () => {
      const { status } = await cluster.client.get(SERVICE_ENTRIES, "api", "shop");
      return (status as { addresses?: readonly { value: string; host: string }[] } | undefined)?.addresses ?? [];
    };
    await cluster.apply(entry);
    await one.sync();
    await until("it has two", async () => (await addresses()).length === 2);
    assert.match((await addresses())[0]!.value, /^240\.240\./);
    await one.sync();
    assert.equal(one.mesh.wanted.get("ServiceEntry shop/api")?.found, "same");
    await cluster.client.merge(SERVICE_ENTRIES, entry, { spec: { addresses: ["10.7.7.7"] } });
    await one.sync();
    await until("it has none", async () => (await addresses()).length === 0);
  });

  test("the roots are in every namespace, beside what others keep there", async () => {
    const metadata = { name: "istio-ca-root-cert", namespace: "shop" };
    await cluster.client.put(CONFIG_MAPS, { metadata, data: { "own.txt": "kept", "root-cert.pem": "OLD" } });
    one.mesh.roots.set("roots", "PEM");
    one.mesh.graph.flush();
    const data = async (namespace: string) =>
      (await cluster.client.get(CONFIG_MAPS, metadata.name, namespace))["data"] as Record<string, string>;
    await until("they are there", async () => (await data("shop"))["root-cert.pem"] === "PEM");
    assert.deepEqual(await data("shop"), { "own.txt": "kept", "root-cert.pem": "PEM" });
    await until("and elsewhere", async () =>
      (await cluster.client.list(CONFIG_MAPS, "going")).some(
        (object) => object.metadata.name === metadata.name && object.metadata.labels?.["istio.io/config"] === "true",
      ),
    );
  });

  test("conditions of others that changed since we saw them are not written over", async () => {
    const key = "AuthorizationPolicy shop/guard";
    const seen = await cluster.client.get(AUTHORIZATION_POLICIES, "guard", "shop");
    const { conditions: held } = seen["status"] as { readonly conditions: readonly Condition[] };
    const news = held.map((condition) => (condition.type === "Other" ? { ...condition, reason: "News" } : condition));
    await cluster.client.merge(AUTHORIZATION_POLICIES, policy({}), { status: { conditions: news } }, "/status");
    // It changes its mind by what it saw before.
    const resourceVersion = seen.metadata["resourceVersion"];
    one.mesh.apply({
      ...policy({ action: "AUDIT" }),
      metadata: { ...seen.metadata, resourceVersion },
      status: seen["status"],
    });
    assert.equal(one.mesh.wanted.get(key)?.found, "different");
    const conflicts = () => one.host.metric("status_writes_total{kind=AuthorizationPolicy,result=conflict}");
    await until("it is refused", async () => conflicts() > 0);
    await one.sync();
    assert.equal(one.mesh.wanted.get(key)?.found, "same");
    assert.deepEqual(await conditions(AUTHORIZATION_POLICIES, "guard"), news);
  });

  test("a second replica writes nothing, until the first one closes", async () => {
    const two = lab.with(await replica(cluster, "istiod-2"));
    await two.sync();
    two.mesh.roots.set("roots", "PEM-2");
    two.mesh.graph.flush();
    two.writing.start();
    const root = async () =>
      ((await cluster.client.get(CONFIG_MAPS, "istio-ca-root-cert", "shop"))["data"] as Record<string, string>)[
        "root-cert.pem"
      ];
    await new Promise((done) => setTimeout(done, 3_000));
    assert.deepEqual([two.writing.leading, await root()], [false, "PEM"]);
    await one.writing.close();
    await until("the other one writes", async () => (await root()) === "PEM-2");
  });

  test("no request was denied", async () => {
    const { denied } = await cluster.rbacUsage();
    assert.deepEqual(denied, []);
  });
});
