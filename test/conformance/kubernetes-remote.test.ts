import assert from "node:assert/strict";
import { createServer } from "node:net";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, PODS, SECRETS, SERVICES } from "../../src/kube/resource-types.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { type KubeCluster, KubeLab, type LabCausewayOptions } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { oracle, type OracleCluster, sends } from "./oracle.ts";
import { TcpProxy } from "./tcp-proxy.ts";

/** As many as contract operations.md 3.4 no. 8 asks for, as fast as the API server takes them. */
const ROTATIONS = 10_000;
/** Of a mesh this small, whatever is done to it. */
const RSS_MIB_MAX = 300;
const SECRET = { name: "istio-remote-secret-west", namespace: "istio-system" };
const SHARED = "serviceScopeConfigs: [{ servicesSelector: { matchLabels: { tier: shared } }, scope: GLOBAL }]";
/** What of the other cluster is seen here. */
const WEST = ["west//Pod/shop/cart-1", "west//Pod/shop/cart-2"];

suite("Causeway and a remote cluster", () => {
  let lab: KubeLab;
  let east: KubeCluster;
  let west: KubeCluster;
  let wire: TcpProxy;
  /** Of a process that knows of no other cluster. */
  let normalMs = 0;

  before(async function () {
    lab = await KubeLab.open(this);
    east = await lab.cluster("east");
    west = await lab.cluster("west");
    wire = lab.with(await TcpProxy.start(west.api.port));
    await east.applyExamples();
    await configure(east, SHARED);
    await addCart(east, []);
    await addCart(west, ["10.245.0.1", "10.245.0.2"]);
    // The first one also waits for the disk.
    for (let tries = 0; tries < 2; tries += 1) {
      const alone = await causeway();
      normalMs = alone.readyMs;
      await alone.stop();
    }
  });
  after(() => lab?.close());

  const causeway = async (options: LabCausewayOptions = {}): Promise<Causeway> =>
    lab.causeway({ kubeconfig: await east.kubeconfigFor("istiod"), cluster: "east", ...options });
  const both = (): readonly OracleCluster[] => [east, west];
  const name = (secret: Record<string, string>) => ({
    metadata: { ...SECRET, labels: { "istio/multiCluster": "true" } },
    stringData: secret,
  });
  const kubeconfigOfWest = async (server = `https://127.0.0.1:${wire.port}`): Promise<string> =>
    west.kubeconfig({ server, token: (await west.secretToken("istio-reader-service-account")).token });
  const onlyWest = (names: readonly string[]): readonly string[] =>
    names.filter((uid) => uid.startsWith("west/")).sort();

  test("a remote cluster that cannot be reached at boot keeps nobody waiting, and is said to be missing", async () => {
    const closed = await closedPort();
    await east.client.put(SECRETS, name({ west: await kubeconfigOfWest(`https://127.0.0.1:${closed}`) }));
    const plane = await causeway({ environment: { PILOT_REMOTE_CLUSTER_TIMEOUT: "500ms" } });
    assert.ok(plane.readyMs <= normalMs + 1_000, `ready after ${plane.readyMs} ms; ${normalMs} ms without a secret`);
    await sends(plane, await oracle([east]));
    assert.equal(await plane.metric("istiod_remote_cluster_sync_status", 'cluster="west"'), 1);
    assert.equal(await plane.metric("istiod_remote_cluster_sync_status", 'status="synced"'), 0);
    console.log(`      ready after ${plane.readyMs} ms; ${normalMs} ms without a remote secret`);
    await plane.stop();
  });

  test("a remote cluster joins with its secret, and after a restart without it is served as it was, and as stale", async () => {
    const plane = await causeway({ folder: `${lab.folder}/stays` });
    await east.client.put(SECRETS, name({ west: await kubeconfigOfWest() }));
    const expected = await oracle(both());
    const tookMs = await sends(plane, expected);
    assert.match(plane.log, /Add cluster/);
    assert.match(plane.log, /Number of remote clusters: 1\b/);
    // What was last known is written behind.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await plane.stop();
    wire.cut();
    const again = await causeway({ folder: `${lab.folder}/stays` });
    assert.ok(again.readyMs <= normalMs + 1_000, `ready after ${again.readyMs} ms; ${normalMs} ms without a secret`);
    await sends(again, expected);
    assert.equal(await again.metric("istiod_remote_cluster_sync_status", 'status="synced"'), 0);
    wire.heal();
    await eventually("it is synced", 60_000, async () => {
      return (await again.metric("istiod_remote_cluster_sync_status", 'status="synced"')) === 1;
    });
    assert.deepEqual(await again.digests(), expected);
    console.log(`      joined in ${tookMs} ms; stale but there ${again.readyMs} ms after a restart`);
    await again.stop();
  });

  test("an edit of the mesh config ends the sharing of a service, and another one begins it again, without a restart", async () => {
    await east.client.put(SECRETS, name({ west: await kubeconfigOfWest() }));
    const plane = await causeway();
    const shared = await oracle(both());
    await sends(plane, shared);
    await configure(east, "serviceScopeConfigs: []");
    const apart = await oracle(both());
    assert.notDeepEqual(apart, shared);
    await sends(plane, apart);
    await configure(east, SHARED);
    await sends(plane, shared);
    await plane.stop();
  });

  test(`${ROTATIONS} rotations of a remote secret lose nothing and leak nothing, whatever some of them say`, async function () {
    this.timeout(6 * 60_000);
    const config = await kubeconfigOfWest();
    await east.client.put(SECRETS, name({ west: config }));
    // With room enough nobody collects what is dropped, and it looks as if it were kept.
    const plane = await causeway({ environment: { NODE_OPTIONS: "--max-old-space-size=128" } });
    const watcher = lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
    await sends(plane, await oracle(both()));
    await eventually("the client has the other cluster", 5_000, () => onlyWest(watcher.names).length >= WEST.length);
    const handlesBefore = plane.handles;
    const samples: Sample[] = [];
    const startedAt = performance.now();
    for (let at = 1; at <= ROTATIONS; at += 1) {
      // Every hundredth cannot be read, every thousandth leads nowhere.
      const good = `# ${at}\n${config}`;
      const text =
        at % 1_000 === 500 ? good.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:1") : at % 100 === 50 ? `${at}: {` : good;
      await east.client.merge(SECRETS, { metadata: SECRET }, { stringData: { west: text } });
      if (at % 50 === 0) samples.push({ at, rssMiB: plane.rssMiB, heapMiB: await plane.heapMiB() });
    }
    const tookS = (performance.now() - startedAt) / 1000;
    // The newest credentials are in use within 5 s of their secret.
    const fresh = await kubeconfigOfWest(`https://127.0.0.1:${west.api.port}`);
    await east.client.merge(SECRETS, { metadata: SECRET }, { stringData: { west: fresh } });
    const dialled = wire.open;
    const switchedMs = await eventually("the newest secret is in use, and no other", 5_000, () => wire.open === 0);
    await west.client.merge(
      PODS,
      { metadata: { name: "cart-2", namespace: "shop" } },
      { metadata: { labels: { v: "2" } } },
    );
    await sends(plane, await oracle(both()));
    const handlesAfter = plane.handles;
    // What is live shows in the lowest heap of many: the rest is what nobody has collected yet.
    const early = lowestHeap(samples.slice(samples.length / 4, samples.length / 2));
    const late = lowestHeap(samples.slice((3 * samples.length) / 4));
    const slope = slopeOf(samples.slice(samples.length / 4)) * 1_000;
    console.log(
      `      ${Math.round(ROTATIONS / tookS)} rotations a second; RSS ${samples[0]!.rssMiB.toFixed(0)} to ` +
        `${samples.at(-1)!.rssMiB.toFixed(0)} MiB, slope ${slope.toFixed(2)} MiB per 1,000; live heap ${early.toFixed(1)}, ` +
        `then ${late.toFixed(1)} MiB; handles ${handlesBefore}, then ${handlesAfter}; ${dialled} connections at the end; ` +
        `the newest in use after ${switchedMs} ms`,
    );
    assert.ok((await plane.metric("remote_cluster_secret_events_total", 'event="update"')) >= ROTATIONS);
    assert.deepEqual(watcher.removed, [], "nothing ever went");
    assert.ok(Math.abs(handlesAfter - handlesBefore) <= 3, `${handlesBefore} handles, then ${handlesAfter}`);
    assert.ok(
      late - early < 4,
      `a rotation leaves ${Math.round(((late - early) * 2 ** 20) / (ROTATIONS / 2))} bytes behind`,
    );
    assert.ok(dialled <= 2 && samples.at(-1)!.rssMiB < RSS_MIB_MAX);
  });

  test("a remote secret that is deleted takes its cluster with it once, within two seconds, and nothing else", async () => {
    await east.client.put(SECRETS, name({ west: await kubeconfigOfWest() }));
    const plane = await causeway();
    await sends(plane, await oracle(both()));
    const watcher = lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
    const theirs = onlyWest(watcher.names);
    assert.deepEqual(theirs.slice(0, 2), WEST);
    await east.client.delete(SECRETS, SECRET.name, SECRET.namespace);
    const tookMs = await eventually("they are gone", 2_000, () => onlyWest(watcher.names).length === 0);
    await sends(plane, await oracle([east]));
    assert.deepEqual([...watcher.removed].sort(), theirs);
    assert.match(plane.log, /Deleting cluster_id=west/);
    assert.match(plane.log, /Number of remote clusters: 0\b/);
    console.log(`      ${theirs.length} names gone after ${tookMs} ms`);
    await plane.stop();
  });
});

const configure = ({ client }: KubeCluster, mesh: string): Promise<unknown> =>
  client.put(CONFIG_MAPS, { metadata: { name: "istio", namespace: "istio-system" }, data: { mesh } });

/** A service `cart`, with a pod for each address. */
async function addCart({ client }: KubeCluster, addresses: readonly string[]): Promise<void> {
  await client.put(NAMESPACES, { metadata: { name: "shop", labels: { "istio.io/dataplane-mode": "ambient" } } });
  const port = { name: "http", port: 80, protocol: "TCP" };
  await client.put(SERVICES, {
    metadata: { name: "cart", namespace: "shop", labels: { tier: "shared" } },
    spec: { clusterIP: addresses.length === 0 ? "10.96.80.1" : "10.96.80.2", selector: { app: "cart" }, ports: [port] },
  });
  const pods = addresses.map((ip, at) => ({ ip, name: `cart-${at + 1}` }));
  for (const { name, ip } of pods)
    await client.put(PODS, {
      metadata: { name, namespace: "shop", labels: { app: "cart" } },
      spec: { nodeName: "n-1", containers: [{ name: "cart", image: "cart" }] },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
    });
  if (pods.length === 0) return;
  await client.put(ENDPOINT_SLICES, {
    metadata: { name: "cart-1", namespace: "shop", labels: { "kubernetes.io/service-name": "cart" } },
    addressType: "IPv4",
    ports: [port],
    endpoints: pods.map(({ ip, name }) => ({
      addresses: [ip],
      conditions: { ready: true },
      targetRef: { kind: "Pod", name, namespace: "shop" },
    })),
  });
}

interface Sample {
  /** After how many rotations. */
  readonly at: number;
  readonly rssMiB: number;
  readonly heapMiB: number;
}

const lowestHeap = (samples: readonly Sample[]): number => Math.min(...samples.map(({ heapMiB }) => heapMiB));

/** MiB of resident memory per rotation: of the line that fits best, by least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map(({ at }) => at)), mean(samples.map(({ rssMiB }) => rssMiB))];
  const over = samples.reduce((sum, { at, rssMiB }) => sum + (at - x) * (rssMiB - y), 0);
  return over / samples.reduce((sum, { at }) => sum + (at - x) ** 2, 0);
}

/** A port where nobody answers. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
