import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { GATEWAYS, NAMESPACES, PODS, SECRETS } from "../../src/kube/resource-types.ts";
import type { ClusterView } from "../../src/commands/cluster-view.ts";
import type { ServiceView, WorkloadView } from "../../src/commands/mesh-view.ts";
import { eventually } from "./causeway-process.ts";
import { KubeLab } from "./kube-lab.ts";
import { oracle, sends } from "./oracle.ts";
import { Site } from "./three-sites.ts";

const NAMES = ["east", "west", "north"];
/** How long a cluster is off: watches, back-off and pings have all noticed by then. */
const OFF_MS = 8_000;
/** What `cart-1` to `-2` and `books-1` of a cluster are called. */
const podsOf = (cluster: string): readonly string[] =>
  ["books-1", "cart-1", "cart-2"].map((name) => `${cluster}//Pod/shop/${name}`);
const host = (service: string): string => `${service}.shop.svc.cluster.local`;

suite("Three clusters whose control planes read each other", () => {
  let lab: KubeLab;
  let sites: readonly Site[] = [];
  let east: Site;
  let west: Site;
  let north: Site;

  before(async function () {
    lab = await KubeLab.open(this);
    sites = await inTurn(NAMES, (name, at) => Site.open(lab, name, at + 1));
    [east, west, north] = sites as [Site, Site, Site];
    await inTurn(sites, (site) => inTurn(othersOf(site), (other) => site.join(other)));
    await inTurn(sites, (site) => site.serve());
  });
  after(() => lab?.close());

  const othersOf = (site: Site): readonly Site[] => sites.filter((other) => other !== site);
  /** What this one's clients must hold, from scratch. */
  const expected = (site: Site) => oracle([site, ...othersOf(site)].map(({ cluster }) => cluster));
  const settled = async (site: Site, ms?: number) => sends(site.plane, await expected(site), ms);
  /** By cluster, the endpoints of a service here. */
  const shards = async (site: Site, service: string): Promise<Readonly<Record<string, readonly string[]>>> => {
    const hosts = await site.plane.debug<Record<string, { shop: Shards }>>("endpointShardz");
    const found = Object.entries(hosts[host(service)]?.shop.Shards ?? {});
    return Object.fromEntries(
      found.map(([shard, endpoints]) => [
        shard.replace("Kubernetes/", ""),
        endpoints.map((endpoint) => endpoint.workloadUid).sort(),
      ]),
    );
  };
  const clustersAt = async (site: Site): Promise<readonly ClusterView[]> =>
    JSON.parse((await site.remoteClusters("-o", "json")).out) as readonly ClusterView[];
  const viewOf = async (site: Site, other: Site): Promise<ClusterView> =>
    (await clustersAt(site)).find(({ id }) => id === other.name)!;

  test("each has the services of all three, and of the others' local services nothing", async () => {
    for (const site of sites) {
      await settled(site, 20_000);
      assert.match(site.plane.log, /Number of remote clusters: 2\b/);
      for (const { name } of othersOf(site)) assert.match(site.plane.log, new RegExp(`Add cluster.*${name}`));
      const carts = NAMES.map((name) => [name, [`${name}//Pod/shop/cart-1`, `${name}//Pod/shop/cart-2`]]);
      assert.deepEqual(await shards(site, "cart"), Object.fromEntries(carts));
      for (const name of NAMES)
        assert.deepEqual(await shards(site, `books-${name}`), { [name]: [`${name}//Pod/shop/books-1`] });
      assert.deepEqual(await shards(site, "ledger"), { [site.name]: [`${site.name}//Pod/shop/ledger-1`] });
      const { workloads } = await site.plane.debug<{ workloads: readonly WorkloadView[] }>("ambientz");
      const ledgers = workloads.filter(({ services }) => (services as string[]).some((key) => key.includes("ledger")));
      assert.deepEqual(
        ledgers.map(({ uid }) => uid),
        [`${site.name}//Pod/shop/ledger-1`],
      );
    }
  });

  test("remote-clusters lists our own and both others, as synced", async () => {
    for (const site of sites) {
      const { out, code } = await site.remoteClusters();
      const rows = out.trim().split("\n").slice(1);
      const columns = rows.map((row) => row.split(/\s{2,}/).map((cell) => cell.trim()));
      assert.equal(code, 0, out);
      assert.equal(columns[0]![0], site.name);
      assert.deepEqual(columns.map(([name]) => name).sort(), [...NAMES].sort());
      for (const other of othersOf(site)) {
        const row = columns.find(([name]) => name === other.name)!;
        assert.deepEqual(row.slice(1, 3), [`istio-system/${other.secret}`, "synced"], out);
      }
    }
  });

  test("the others read each by the reader role, which lacks nothing that they ask for", async () => {
    for (const site of sites) {
      const { denied, rules } = await site.cluster.rbacUsage();
      const reader = "system:serviceaccount:istio-system:istio-reader-service-account";
      assert.deepEqual(
        denied.filter(({ user }) => user === reader),
        [],
      );
      const used = rules.filter(({ role, allowed }) => role.includes("istio-reader-clusterrole") && allowed > 0);
      assert.ok(used.some(({ verb, resource }) => verb === "watch" && resource === "pods"));
    }
  });

  test("one is switched off and on again without a flap in the others, and a restart meanwhile keeps it", async () => {
    const watchers = { east: await east.watch(), west: await west.watch(), north: await north.watch() };
    const held = await east.plane.digests();
    await north.switchOff();
    await new Promise((resolve) => setTimeout(resolve, OFF_MS));
    assert.deepEqual(await east.plane.digests(), held);
    const away = await viewOf(east, north);
    assert.ok(away.staleMs !== undefined && away.staleMs >= OFF_MS / 2 && away.reason !== "", JSON.stringify(away));
    // The others go on as ever.
    await east.pod("cart", "cart-3", 5);
    await eventually("west has a new pod of east", 5_000, () =>
      watchers.west.changed.includes("east//Pod/shop/cart-3"),
    );
    const beforeRestart = await east.plane.digests();
    await watchers.east.close();
    await east.serve();
    const restarted = await east.watch();
    await sends(east.plane, beforeRestart);
    const stale = await viewOf(east, north);
    assert.ok(stale.staleMs !== undefined && stale.staleMs >= 1_000, JSON.stringify(stale));
    assert.deepEqual((await shards(east, "cart"))["north"], podsOf("north").slice(1));
    // What happens there unseen arrives when it is back, and nothing else changes.
    await north.switchOn();
    await north.cluster.client.delete(PODS, "cart-2", "shop");
    await north.pod("cart", "cart-3", 5);
    await sends(east.plane, beforeRestart);
    for (const { changed } of [watchers.west, restarted])
      assert.deepEqual(
        changed.filter((name) => name.startsWith("north/")),
        [],
      );
    north.wire.heal();
    const backAt = performance.now();
    await settled(east, 60_000);
    await settled(west, 60_000);
    const tookMs = Math.round(performance.now() - backAt);
    await settled(north, 60_000);
    const all = [watchers.east, watchers.west, watchers.north, restarted];
    const gone = ["north//Pod/shop/cart-2"];
    await eventually("clients hear of it", 5_000, () => all.slice(1).every(({ removed }) => removed.length > 0));
    assert.deepEqual(
      all.map(({ removed }) => removed),
      [[], gone, gone, gone],
    );
    assert.deepEqual(
      all.map(({ lost }) => lost),
      [0, 0, 0, 0],
    );
    await eventually("north is synced everywhere", 30_000, async () => {
      const codes = await inTurn(sites, async (site) => (await site.remoteClusters()).code);
      return codes.every((code) => code === 0);
    });
    assert.equal((await viewOf(east, north)).staleMs, undefined);
    console.log(`      stale for ${stale.staleMs} ms after the restart; caught up ${tookMs} ms after it was back`);
  });

  test("a cluster whose secret is deleted leaves in one step within two seconds, and comes back in one", async () => {
    const watcher = await west.watch();
    // What is global has a global name, too.
    const hosts = [host("books-north"), "books-north.shop.mesh.internal"].map((name) => `shop/${name}`);
    const theirs = watcher.names.filter((name) => name.startsWith("north/") || hosts.includes(name));
    assert.equal(theirs.length, 7, theirs.join());
    const other = await east.plane.digests();
    await west.cluster.client.delete(SECRETS, north.secret, "istio-system");
    const leftMs = await eventually("it has left", 2_000, () => watcher.removed.length > 0);
    assert.deepEqual([...watcher.removed].sort(), [...theirs].sort());
    assert.deepEqual([...watcher.steps[0]!.removed].sort(), [...theirs].sort());
    await sends(west.plane, await oracle([west.cluster, east.cluster]));
    assert.match(west.plane.log, /Deleting cluster_id=north/);
    assert.match(west.plane.log, /Number of remote clusters: 1\b/);
    assert.deepEqual(await east.plane.digests(), other);
    const steps = watcher.steps.length;
    await west.join(north);
    await settled(west, 20_000);
    await eventually("the client has it back", 5_000, () => watcher.steps.length > steps);
    const back = theirs.filter((name) => watcher.steps[steps]!.changed.includes(name));
    assert.deepEqual(back, theirs, "it came back in one step");
    assert.equal(watcher.removed.length, theirs.length);
    console.log(`      ${theirs.length} names left after ${leftMs} ms`);
  });

  test("a cluster that moves to a network of its own is reached through its gateway, by all its pods' names", async () => {
    const { client } = north.cluster;
    const labels = { "topology.istio.io/network": "net-north" };
    const listeners = [{ name: "mesh", port: 15_008, protocol: "HBONE", tls: { mode: "Terminate" } }];
    await client.put(GATEWAYS, {
      metadata: { name: "eastwest", namespace: "istio-system", labels },
      spec: { gatewayClassName: "istio-east-west", listeners },
      status: { addresses: [{ type: "IPAddress", value: "192.0.2.7" }] },
    });
    await client.merge(NAMESPACES, { metadata: { name: "istio-system" } }, { metadata: { labels } });
    for (const site of sites) await settled(site, 20_000);
    for (const site of [east, west]) {
      const { workloads, services } = await site.plane.debug<Ambient>("ambientz");
      const ofNorth = workloads.filter(({ clusterId }) => clusterId === "north");
      const gateway = "NetworkGateway/net-north/192.0.2.7/0";
      const way = "net-north/SplitHorizonWorkload/istio-system/eastwest/192.0.2.7/shop";
      const behind = (service: string) => `${way}/${host(service)}`;
      const byGlobalName = (service: string) => `${way}/${service}.shop.mesh.internal`;
      assert.deepEqual(
        ofNorth.map(({ uid }) => uid).sort(),
        [gateway, ...["cart", "books-north"].flatMap((each) => [behind(each), byGlobalName(each)])].sort(),
        "no pod of north is seen any more",
      );
      const { networkGateway, capacity, workloadIps, protocol } = ofNorth.find(({ uid }) => uid === behind("cart"))!;
      assert.deepEqual(networkGateway, { destination: "net-north/192.0.2.7", hboneMtlsPort: 15_008 });
      assert.deepEqual([capacity, workloadIps, protocol], [2, [], "HBONE"]);
      const cart = services.find(({ hostname }) => hostname === host("cart"))!;
      assert.deepEqual(cart["subjectAltNames"], ["spiffe://cluster.local/ns/shop/sa/cart"]);
      assert.ok(cart.vips.includes("net-north/10.96.3.1") && cart.vips.length === 3, cart.vips.join());
    }
    // Nobody says how the others' network is entered, so they are not seen from there.
    assert.deepEqual(Object.keys(await shards(north, "cart")), ["north"]);
    await north.pod("cart", "cart-4", 6);
    await eventually("one more pod is one more of capacity", 5_000, async () => {
      const { workloads } = await east.plane.debug<Ambient>("ambientz");
      return workloads.some(({ uid, capacity }) => uid.endsWith(`/${host("cart")}`) && capacity === 3);
    });
    await settled(west);
  });
});

interface Shards {
  readonly Shards: Readonly<Record<string, readonly { readonly workloadUid: string }[]>>;
}

interface Ambient {
  readonly workloads: readonly WorkloadView[];
  readonly services: readonly ServiceView[];
}

async function inTurn<T, R>(items: readonly T[], step: (item: T, at: number) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (const [at, item] of items.entries()) results.push(await step(item, at));
  return results;
}
