import assert from "node:assert/strict";
import { test } from "mocha";
import { NO_TERMINAL } from "../../src/command.ts";
import { HalfDoneError } from "../../src/errors.ts";
import { writeConnection } from "../../src/commands/connection.ts";
import { drillView } from "../../src/commands/drill-view.ts";
import { drillCommand } from "../../src/commands/multicluster-drill.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { GATEWAYS, PODS, SERVICES } from "../../src/kube/resource-types.ts";
import { type Ran, run, serve, viewedMesh } from "../commands/served-mesh.ts";
import { DRAIN, DrilledSites } from "../kits/drilled-sites.ts";
import { folderOf } from "../kits/folder.ts";
import { peerGateway } from "../registry/peers.ts";
import { LinkedLab, NAMESPACE, SYSTEM } from "./linked-lab.ts";

const GATEWAY = "istio-remote-peer-west";

/** East, which reads west: an API server, and beside it the control plane that follows it. */
class DrillLab {
  readonly lab = new LinkedLab();
  readonly sites: DrilledSites;

  constructor(counts: Readonly<Record<string, number>>) {
    this.sites = new DrilledSites(counts, this.lab.host).start();
    const server = this.lab.cluster("east", undefined);
    server.put({ ...server.get(PODS, SYSTEM, "istiod-1")!, status: { phase: "Running" } });
    server.put(peerGateway("west", { network: "net-west", addresses: ["192.0.2.2"] }));
    this.lab.service("east", "cart");
    this.lab.page = (cluster, path) => {
      this.follow();
      return drillView(this.sites.all.site(cluster).registry, new URL(path, "http://admin").searchParams);
    };
  }

  /** The control plane hears what is in its API server by now. */
  follow(): void {
    this.sites.drainPeer("east", "west", this.annotation(this.gateway()));
    this.sites.drainCart("east", this.annotation(this.service()));
  }

  run(...words: readonly string[]): Promise<Ran> {
    return this.lab.run(drillCommand, ...words);
  }

  readonly gateway = (): KubeObject => this.lab.servers.get("east")!.get(GATEWAYS, NAMESPACE, GATEWAY)!;
  readonly service = (): KubeObject => this.lab.servers.get("east")!.get(SERVICES, "shop", "cart")!;
  readonly annotation = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[DRAIN];
}

test("start writes until when a peer is drained to the Gateway that leads there, and stop takes it away", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  const { code, out, err } = await east.run(
    "start",
    "--context",
    "east",
    "--peer",
    "west",
    "--for",
    "10m",
    "-o",
    "json",
  );
  assert.equal(code, 0, err);
  const until = east.annotation(east.gateway())!;
  const inMs = Date.parse(until) - east.lab.host.clock.now();
  assert.ok(inMs > 595_000 && inMs <= 601_000, until);
  const drains = [
    { cluster: "east", context: "east", object: `Gateway ${NAMESPACE}/${GATEWAY}`, until, state: "started" },
  ];
  assert.deepEqual(JSON.parse(out), { schema: "causeway.dev/drill/v1", drains });
  assert.deepEqual(east.lab.writes("east").length, 1);

  const status = await east.run("status", "--context", "east", "-o", "json");
  assert.deepEqual(JSON.parse(status.out).drains, [{ ...drains[0], state: "drained" }]);
  const stopped = await east.run("stop", "--context", "east", "--peer", "west");
  assert.match(stopped.out, /stopped/);
  assert.equal(east.annotation(east.gateway()), undefined);
  assert.equal((await east.run("status", "--context", "east")).out, "nothing is drained\n");
});

test("start names the services that would have nobody else, and starts nothing; with --force it does", async () => {
  const east = new DrillLab({ east: 0, west: 1 });
  const words = ["start", "--context", "east", "--peer", "west", "--for", "10m"];
  const refused = await east.run(...words);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /cluster east: no other cluster has a ready endpoint of shop\/cart; --force/);
  assert.equal(east.annotation(east.gateway()), undefined);
  assert.equal((await east.run(...words, "--force")).code, 0);
  assert.notEqual(east.annotation(east.gateway()), undefined);
});

test("a service is drained only while a peer has it ready, and only if it is shared", async () => {
  const alone = new DrillLab({ east: 1, west: 0 });
  const words = ["start", "--context", "east", "--service", "shop/cart", "--for", "1h"];
  assert.match((await alone.run(...words)).err, /no other peer has a ready endpoint of shop\/cart/);
  const both = new DrillLab({ east: 1, west: 1 });
  assert.equal((await both.run(...words)).code, 0);
  assert.notEqual(both.annotation(both.service()), undefined);
  both.lab.service("east", "stray");
  const stray = await both.run("start", "--context", "east", "--service", "shop/stray", "--for", "1h");
  assert.deepEqual([stray.code, /knows no global service shop\/stray/.test(stray.err)], [1, true]);
});

test("a control plane that cannot be asked is no reason to guess: nothing is started without --force", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  east.lab.page = undefined;
  const words = ["start", "--context", "east", "--peer", "west", "--for", "10m"];
  const { code, err } = await east.run(...words);
  assert.equal(code, 2);
  assert.match(err, /cluster east cannot be asked: .*--force/);
  assert.equal(east.annotation(east.gateway()), undefined);
  assert.equal((await east.run(...words, "--force")).code, 0);
});

test("--watch shows shares each second until the end, and leaves nothing behind", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  const { code, out } = await east.run("start", "--context", "east", "--peer", "west", "--for", "20s", "--watch");
  assert.equal(code, 0);
  const lines = out.split("\n").filter((line) => line.includes("left"));
  assert.ok(lines.length >= 18 && lines.length <= 22, out);
  assert.match(lines[3]!, /^0m\d\ds left {2}cluster east: east 100 %, west 0 %$/);
  assert.match(out, /over: calls go where they went before\n$/);
  assert.equal(east.annotation(east.gateway()), undefined);
});

test("Ctrl-C during --watch takes the drill back", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  const stopping = new AbortController();
  const { page } = east.lab;
  let asked = 0;
  east.lab.page = (cluster, path) => {
    if ((asked += 1) === 5) stopping.abort();
    return page!(cluster, path);
  };
  let out = "";
  const call = {
    args: ["start"],
    options: { context: "east", peer: "west", for: "1h", watch: true, output: "table" },
    environment: {},
    printer: { out: (text: string) => void (out += text), err: () => {} },
    terminal: NO_TERMINAL,
    progress: () => {},
    signal: stopping.signal,
  };
  assert.equal(await east.lab.runCall(drillCommand, call), 0);
  assert.match(out, /stopped, and taken back/);
  assert.equal(east.annotation(east.gateway()), undefined);
});

test("Ctrl-C between two clusters takes back what was begun in the first, and says so", async () => {
  const { lab, annotation } = new DrillLab({ east: 1, west: 1 });
  const west = lab.cluster("west", undefined);
  lab.service("west", "cart");
  const [server, stopping] = [lab.servers.get("east")!, new AbortController()];
  let begun: string | undefined;
  server.faults.tamper = (answer, { method }) => {
    if (method === "PATCH") begun ??= annotation(server.get(SERVICES, "shop", "cart")!);
    if (method === "PATCH") stopping.abort();
    return answer;
  };
  const call = {
    args: ["start"],
    options: { contexts: "east,west", service: "shop/cart", for: "1h", force: true, output: "table" },
    environment: {},
    printer: { out: () => {}, err: () => {} },
    terminal: NO_TERMINAL,
    progress: () => {},
    signal: stopping.signal,
  };
  await assert.rejects(lab.runCall(drillCommand, call), (error: Error) => {
    assert.ok(error instanceof HalfDoneError, error.message);
    assert.match(error.message, /^Service shop\/cart of .*west.*; what was begun in .*east.* is taken back$/);
    return true;
  });
  assert.ok(begun !== undefined);
  for (const each of [server, west]) assert.equal(annotation(each.get(SERVICES, "shop", "cart")!), undefined);
});

test("what is called wrongly is said with what would be right, and nothing is written", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ["start --peer west", 64, /--for is missing/],
    ["start --peer west --for soon", 64, /--for is "soon": give a time as 10m/],
    ["start --peer west --for 25h", 64, /at most 24h/],
    ["start --peer west --for 1s", 64, /at least 10s/],
    ["start --for 10m", 64, /either --peer .* or --service/],
    ["start --peer west --service shop/cart --for 10m", 64, /either --peer/],
    ["start --service cart --for 10m", 64, /give its namespace and name/],
    ["pause --peer west", 64, /give start, stop or status/],
    ["start --peer north --for 10m", 2, /leads to a peer north: its peers are west/],
    ["start --service shop/nothing --for 10m", 2, /has no Service shop\/nothing/],
    ["status --state ./east", 64, /--state says where to ask, and so does --context: give one of them/],
    [
      "start --peer west --for 10m --state ./east",
      2,
      /put the annotation peering\.causeway\.dev\/drain-until: \S+ on the Gateway/,
    ],
  ];
  for (const [words, code, said] of cases) {
    const ran = await east.run(...words.split(" "), "--context", "east");
    assert.equal(ran.code, code, `${words}: ${ran.err}`);
    assert.match(ran.err, said);
  }
  assert.deepEqual(east.lab.writes("east"), []);
});

test("status says what a control plane on folders of manifests drains, by the folder of its state", async () => {
  const east = new DrillLab({ east: 1, west: 1 });
  const { registry } = east.sites.all.site("east");
  const server = await serve({ ...viewedMesh([]), registry });
  const admin = `http://127.0.0.1:${server.adminPort}`;
  await using state = await folderOf({});
  const none = { health: "", rootCertificate: "", token: "", pid: 0 };
  await writeConnection(state.path, { cluster: "east", xds: "127.0.0.1:1", admin, ...none });
  const status = () => run(drillCommand(), "status", "--state", state.path);
  assert.equal((await status()).out, "nothing is drained\n");
  east.sites.drainPeer("east", "west", east.sites.in(600_000));
  const { code, out } = await status();
  assert.equal(code, 0);
  assert.match(out, /\neast +Gateway istio-eastwest\/istio-remote-peer-west +2023-11-14T22:23:20Z +drained\n$/);
  await server.close();
  const gone = await status();
  assert.deepEqual([gone.code, gone.out], [2, ""]);
  assert.match(gone.err, /no control plane listens at http:/);
});
