import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { PODS, SERVICES } from "../../src/kube/resource-types.ts";
import { LOCAL_KINDS } from "../../src/registry/kube/watched-kinds.ts";
import { eventually, type Causeway } from "./causeway-process.ts";
import { FaultyApi } from "./faulty-api.ts";
import { type KubeCluster, KubeLab, writeWhole } from "./kube-lab.ts";
import type { KubeapiOptions } from "./kubeapi.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { oracle, sends } from "./oracle.ts";
import { TcpProxy } from "./tcp-proxy.ts";

/** Streams of a first list are new (1.32); a server that does not have them says so. */
const WITHOUT_STREAMED_LISTS = (line: string) =>
  line.includes("sendInitialEvents") ? { status: 422, reason: "Invalid" } : undefined;
const isList = /^GET (?!.*watch=)[^?]*\?.*limit=/;
const isWatch = /watch=(true|1)/;

suite("Causeway and an API server in trouble", () => {
  let lab: KubeLab;
  before(async function () {
    lab = await KubeLab.open(this);
  });
  after(() => lab?.close());

  /** Examples, a Causeway that reads them through `server`, and a client of that. */
  async function scene<T>(through: (cluster: KubeCluster) => Promise<T>, options: Partial<KubeapiOptions> = {}) {
    const cluster = await lab.cluster("Kubernetes", options);
    await cluster.applyExamples();
    const between = await through(cluster);
    const shape =
      between instanceof FaultyApi
        ? { server: between.server, ca: between.ca }
        : { server: `https://127.0.0.1:${(between as TcpProxy).port}` };
    const plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod", shape) });
    const token = await cluster.ztunnelToken();
    const watcher = lab.with(await MeshWatcher.start(plane, token));
    await sends(plane, await oracle([cluster]));
    return { cluster, between, plane, watcher, token };
  }
  const faulty = async (cluster: KubeCluster) => lab.with(await FaultyApi.start(cluster.api.admin));
  const wire = async (cluster: KubeCluster) => lab.with(await TcpProxy.start(cluster.api.port));

  /** A change of each sort while Causeway cannot see it. @returns the names that clients must lose, and nothing else. */
  async function changeUnseen({ client }: KubeCluster): Promise<readonly string[]> {
    await client.delete(PODS, "ratings-1", "bookshop");
    const spec = { nodeName: "harbour-1", serviceAccountName: "ratings", containers: [{ name: "r", image: "r" }] };
    const status = { phase: "Running", podIP: "10.244.77.1", podIPs: [{ ip: "10.244.77.1" }] };
    await client.put(PODS, { metadata: { name: "ratings-9", namespace: "bookshop" }, spec, status });
    await client.merge(
      SERVICES,
      { metadata: { name: "checkout", namespace: "payments" } },
      {
        spec: { ports: [{ name: "http", port: 8000, protocol: "TCP", targetPort: 8081 }] },
      },
    );
    return ["Kubernetes//Pod/bookshop/ratings-1"];
  }

  /** Clients end with what a fresh start would give them, and lost on the way only what is gone. */
  async function recovers(
    cluster: KubeCluster,
    plane: Causeway,
    watcher: MeshWatcher,
    gone: readonly string[],
    ms: number,
  ) {
    const expected = await oracle([cluster]);
    const tookMs = await sends(plane, expected, ms);
    await eventually(
      "the client holds it",
      5_000,
      () => JSON.stringify(watcher.digests()) === JSON.stringify(expected),
    );
    assert.deepEqual(watcher.removed, gone);
    assert.equal(watcher.lost, 0);
    return tookMs;
  }

  /** The longest that nothing was heard of a kind, in seconds. */
  const lagOf = (plane: Causeway, resource: string): Promise<number> =>
    plane.metric("informer_lag_seconds", `resource="${resource}"`);

  test("a compaction while the watches are away costs a new list, and no change is lost", async () => {
    const flags = ["--watch-cache=false", "--compaction-interval=1s"];
    const { cluster, between: api, plane, watcher } = await scene(faulty, { flags });
    let away = true;
    api.fault = () => (away ? { status: 503 } : undefined);
    api.cut();
    const gone = await changeUnseen(cluster);
    // Two intervals, after which the server has forgotten where the watches were.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    const count = api.requests.length;
    away = false;
    const tookMs = await recovers(cluster, plane, watcher, gone, 30_000);
    const again = api
      .since(count, /\/pods\?/)
      .filter(({ line }) => isList.test(line) || /sendInitialEvents/.test(line));
    assert.ok(again.length > 0, "pods were listed again");
    console.log(`      all right again ${tookMs} ms after the server was back`);
  });

  test("the API server is gone for a while: clients keep the mesh, known tokens are let in, unknown ones are not", async () => {
    const { cluster, plane, watcher, token } = await scene(wire);
    const unknown = await cluster.ztunnelToken();
    const before = await plane.digests();
    const degraded = async () => /does not keep us up to date/.test(JSON.stringify(await plane.debug("problemz")));
    await cluster.api.stop("SIGKILL");
    await eventually("it says that its API server is gone", 15_000, degraded);
    assert.ok(await plane.ready());
    assert.deepEqual(await plane.digests(), before);
    const again = await MeshWatcher.start(plane, token);
    assert.deepEqual(again.digests(), before);
    await again.close();
    await assert.rejects(MeshWatcher.start(plane, unknown), { code: "unavailable" });
    // A restart forgets every watch: all of them meet 410 Gone at once.
    await cluster.api.startAgain();
    const gone = await changeUnseen(cluster);
    const tookMs = await recovers(cluster, plane, watcher, gone, 30_000);
    await eventually("it no longer says so", 60_000, async () => !(await degraded()));
    console.log(`      all right again ${tookMs} ms after the server was back`);
  });

  test("410 on all watches at once: at most two lists at a time, and clients see only what differs", async () => {
    const { cluster, between: api, plane, watcher } = await scene(faulty);
    const expired = new Set<string>();
    api.fault = (line) => {
      const path = line.split("?")[0]!;
      if (!isWatch.test(line) || expired.has(path)) return WITHOUT_STREAMED_LISTS(line);
      expired.add(path);
      return { status: 410, reason: "Expired" };
    };
    api.delayMs = (line) => (isList.test(line) ? 200 : 0);
    const count = api.requests.length;
    const gone = await changeUnseen(cluster);
    api.cut();
    const tookMs = await recovers(cluster, plane, watcher, gone, 60_000);
    // All that a local cluster is read for, its remote secrets, its mesh config and the revocation lists of its namespaces.
    const kinds = LOCAL_KINDS.length + 3;
    await eventually("every kind was listed again", 60_000, () => api.since(count, isList).length >= kinds);
    const lists = api.since(count, isList);
    const most = FaultyApi.mostAtOnce(lists);
    assert.ok(expired.size === kinds && most <= 2, `${most} lists at once; expired: ${[...expired].join(" ")}`);
    console.log(`      ${expired.size} kinds expired; ${lists.length} lists, at most ${most} at once; ${tookMs} ms`);
  });

  test("a connection that swallows everything is noticed within a minute, and what it hid is caught up with", async () => {
    const { cluster, between: proxy, plane, watcher } = await scene(wire);
    const connections = proxy.accepted;
    proxy.swallow();
    const gone = await changeUnseen(cluster);
    const noticedMs = await eventually("it dials again", 60_000, () => proxy.accepted > connections);
    const lagS = await lagOf(plane, "pods");
    proxy.heal();
    const tookMs = await recovers(cluster, plane, watcher, gone, 30_000);
    await eventually("the lag falls", 30_000, async () => (await lagOf(plane, "pods")) < lagS);
    assert.ok(lagS >= 10, `informer_lag_seconds was ${lagS}`);
    console.log(
      `      noticed after ${noticedMs} ms, when the lag was ${lagS.toFixed(0)} s; all right again ${tookMs} ms after the wire was back`,
    );
  });

  test("when page 3 of 9 fails nothing is removed, and the whole list is asked for again", async function () {
    this.timeout(5 * 60_000);
    const { cluster, between: api, plane, watcher } = await scene(faulty);
    const { client } = cluster;
    const spec = { clusterIP: "None", ports: [{ port: 80 }] };
    const names = Array.from({ length: 4_200 }, (_, at) => `s-${String(at).padStart(5, "0")}`);
    await Promise.all(names.map((name) => client.create(SERVICES, { metadata: { name, namespace: "default" }, spec })));
    await sends(plane, await oracle([cluster]), 60_000);
    let [page, failures] = [0, 0];
    const expired = new Set<string>();
    api.fault = (line) => {
      // The services of our gateways are asked for by their labels, in a watch of their own.
      if (!line.startsWith("GET /api/v1/services?") || line.includes("labelSelector=")) return undefined;
      if (isWatch.test(line) && !line.includes("sendInitialEvents") && !expired.has("services"))
        return (expired.add("services"), { status: 410, reason: "Expired" });
      if (!isList.test(line)) return WITHOUT_STREAMED_LISTS(line);
      page = line.includes("continue=") ? page + 1 : 1;
      return page === 3 && failures < 3 ? ((failures += 1), { status: 500 }) : undefined;
    };
    const count = api.requests.length;
    await client.delete(SERVICES, "s-00000", "default");
    const hosts = ["default/s-00000.default.svc.cluster.local"];
    await eventually("clients have lost the deleted one", 10_000, () => watcher.removed.length === 1);
    api.cut();
    await eventually("page 3 has failed three times", 120_000, () => failures === 3);
    await eventually("the last page was read", 60_000, () => page === 9);
    await recovers(cluster, plane, watcher, hosts, 30_000);
    const pages = api.since(count, isList).filter(({ line }) => line.includes("/services?")).length;
    console.log(`      ${names.length} services, ${failures} failures of page 3, ${pages} pages asked for`);
  });

  test("a revoked token changes nothing for clients, and the next one in the file is used", async () => {
    const cluster = await lab.cluster();
    await cluster.applyExamples();
    const proxy = await wire(cluster);
    const first = await cluster.secretToken("istiod");
    const tokenFile = join(lab.folder, "rotated-token");
    writeWhole(tokenFile, first.token);
    const server = `https://127.0.0.1:${proxy.port}`;
    const plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod", { server, tokenFile }) });
    const watcher = lab.with(await MeshWatcher.start(plane, await cluster.ztunnelToken()));
    const before = await plane.digests();
    await cluster.revoke(first);
    proxy.cut();
    proxy.heal();
    const gone = await changeUnseen(cluster);
    await eventually("it is refused", 30_000, () => /401|Unauthorized/.test(plane.log));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.ok(await plane.ready());
    assert.deepEqual(await plane.digests(), before);
    writeWhole(tokenFile, (await cluster.secretToken("istiod")).token);
    const tookMs = await recovers(cluster, plane, watcher, gone, 60_000);
    console.log(`      all right again ${tookMs} ms after the new token was in the file`);
  });
});
