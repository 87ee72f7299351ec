import assert from "node:assert/strict";
import { test } from "mocha";
import { PODS } from "../../../src/kube/resource-types.ts";
import { REMOTE_KINDS } from "../../../src/registry/kube/watched-kinds.ts";
import { seededRandom } from "../../sim/world.ts";
import { pod } from "../mesh.ts";
import { fromScratch, kubeconfig, MeshLab } from "./mesh-lab.ts";
import { secret } from "./remote-lab.ts";

/** Faults 6 to 9 of contract operations.md 3.4, over API servers on the virtual clock. */

test("fault 6: clusters that are away at the start keep nobody waiting for more than a second, and join when they return", async () => {
  const lab = new MeshLab("west", "north", "south", "coast").fill("west", "north", "south", "coast");
  lab.server("north").faults.silent = lab.server("coast").faults.silent = true;
  lab.server("south").faults.down = true;
  lab.name("one", { coast: "t", north: "t", south: "t", west: "t" });
  lab.start();
  await lab.pass(1500);
  assert.ok(lab.settledMs! <= 1500, `${lab.settledMs} ms`);
  assert.deepEqual(lab.states(), { coast: "syncing", north: "syncing", south: "syncing", west: "synced" });
  assert.deepEqual(lab.workloads(), ["west/cart"]);
  assert.ok(lab.feeds.clusters().every(({ state, reason }) => state === "synced" || /:6443/.test(reason)));
  await lab.pass(40_000);
  assert.equal(lab.states()["north"], "timeout");
  assert.equal(lab.host.metric("remote_cluster_sync_timeouts_total{cluster=south}"), 1);
  lab.server("north").faults.silent = lab.server("coast").faults.silent = lab.server("south").faults.down = false;
  await lab.pass(60_000);
  assert.deepEqual(lab.workloads(), ["coast/cart", "north/cart", "south/cart", "west/cart"]);
  assert.deepEqual(lab.removed, []);
  await lab[Symbol.asyncDispose]();
});

test("fault 6: after a restart a cluster that is away is served as it was last, with its age, until it answers", async () => {
  const lab = new MeshLab("west", "north").fill("west", "north");
  lab.name("one", { west: "t", north: "t" });
  lab.start();
  await lab.pass(5000);
  lab.server("west").put(pod("new", "10.0.0.2"));
  await lab.pass(3000);
  await lab.stop();
  lab.server("west").faults.silent = true;
  await lab.pass(60_000);
  lab.start();
  await lab.pass(1500);
  assert.ok(lab.settledMs! <= 1500, `${lab.settledMs} ms`);
  assert.deepEqual(lab.workloads(), ["north/cart", "west/cart", "west/new"]);
  const west = lab.feeds.clusters().find(({ cluster }) => cluster === "west")!;
  assert.ok(west.staleMs! >= 60_000 && west.staleMs! < 70_000, `${west.staleMs}`);
  // It comes back, with one pod less.
  lab.removed = [];
  lab.server("west").remove(pod("new", ""));
  lab.server("west").faults.silent = false;
  await lab.pass(60_000);
  assert.deepEqual(lab.removed, ["west/new"]);
  assert.equal(lab.feeds.clusters().find(({ cluster }) => cluster === "west")!.staleMs, undefined);
  await lab[Symbol.asyncDispose]();
});

const good = kubeconfig("west", "t");
const user = (fields: string): string => good.replace('{ token: "t" }', fields);
const server = (url: string): string => good.replace("https://west:6443", url);
const laughs = Array.from(
  { length: 9 },
  (_, at) =>
    `l${at}: &l${at} [${
      at === 0
        ? "x"
        : Array(9)
            .fill(`*l${at - 1}`)
            .join()
    }]\n`,
).join("");
/** Numbers 21 and 22 of contract operations.md 4.4, and fault 7. */
const REFUSED: readonly (readonly [what: string, kubeconfig: string, says: RegExp])[] = [
  ["broken YAML", "clusters: [", /line 1|YAML/],
  ["an exec plugin", user('{ exec: { apiVersion: "client.authentication.k8s.io/v1", command: rm } }'), /exec/],
  ["a token file", user("{ tokenFile: /etc/shadow }"), /tokenFile/],
  ["a client key file", user("{ client-certificate: /a, client-key: /b }"), /client-(certificate|key)/],
  ["a CA file", good.replace('6443" }', '6443", certificate-authority: /etc/passwd }'), /certificate-authority/],
  ["a foreign auth provider", user("{ auth-provider: { name: gcp } }"), /auth-provider/],
  ["a file as server", server("file:///etc/passwd"), /server/],
  ["plain HTTP", server("http://169.254.169.254"), /server/],
  ["our own machine", server("https://127.0.0.1:2379"), /127\.0\.0\.1|loopback/],
  ["no current context among two", good.replace("current-context: c\n", ""), /current-context/],
  ["billion laughs", `${laughs}${good}`, /alias|anchor/i],
  ["two documents", `${good}---\n${good}`, /document/],
  ["nothing", "\n", /kubeconfig/],
];

for (const [what, text, says] of REFUSED)
  test(`fault 7: a kubeconfig with ${what} is refused with its reason, and the cluster stays as it is`, async () => {
    const lab = new MeshLab("west").fill("west");
    lab.name("one", { west: "t" });
    lab.start();
    await lab.pass(3000);
    const [problems, asked] = [lab.feeds.problems().length, lab.server("west").requests.length];
    lab.home.put(secret("one", { west: text }));
    await lab.pass(10_000);
    const [problem] = lab.feeds.problems();
    assert.equal(problems, 0);
    assert.equal(problem?.object, "Secret istio-system/one");
    assert.match(problem.field, /^data\[west\]/);
    assert.match(problem.message, says);
    assert.match(problem.message, /the kubeconfig before stays in use\.$/);
    assert.equal(lab.server("west").requests.length, asked);
    assert.deepEqual(lab.states(), { west: "synced" });
    assert.deepEqual([lab.workloads(), lab.removed], [["west/cart"], []]);
    await lab[Symbol.asyncDispose]();
  });

test("fault 7: our own cluster and one that another secret has are passed over, and say so", async () => {
  const lab = new MeshLab("west").fill("west");
  lab.name("a", { west: "t" });
  lab.name("b", { west: "other", home: "t" });
  lab.start();
  await lab.pass(3000);
  assert.deepEqual(
    lab.feeds.problems().map(({ object, field, severity }) => [object, field, severity]),
    [
      ["Secret istio-system/b", "data[home]", "info"],
      ["Secret istio-system/b", "data[west]", "warning"],
    ],
  );
  assert.equal([...lab.server("west").watches].length, REMOTE_KINDS.length);
  await lab[Symbol.asyncDispose]();
});

test("fault 8: credentials that change every second, some of them broken, flap nothing and leave nothing open", async function () {
  this.timeout(60_000);
  const random = seededRandom(8);
  const lab = new MeshLab("west").fill("west");
  const { clock } = lab.host;
  // Tokens that begin with `bad` are not known there.
  lab.server("west").faults.forbidden = ({ user }) => user.startsWith("bad");
  lab.name("one", { west: "t0" });
  lab.start();
  await lab.pass(5000);
  const idle = { timers: clock.pending, watches: lab.server("west").watches.size };
  let good = 0;
  for (let number = 1; number <= 100; number++) {
    const kind = random.below(10);
    if (kind === 0) lab.home.put(secret("one", { west: `exec ${number}` }));
    else lab.name("one", { west: kind < 3 ? `bad${number}` : `t${(good = number)}` });
    lab.server("west").put(pod(`p${number % 7}`, `10.9.0.${1 + (number % 200)}`));
    await lab.pass(1000);
    assert.ok(lab.server("west").watches.size <= 2 * idle.watches);
  }
  lab.name("one", { west: `t${++good}` });
  await lab.pass(5000);
  // A disk that syncs slowly holds up the virtual clock's feeds: it is real.
  for (let waited = 0; lab.users.at(-1) !== `t${good}` && waited < 100; waited++) await lab.pass(1000);
  assert.equal(lab.users.at(-1), `t${good}`);
  await lab.pass(5000);
  assert.deepEqual(lab.removed, []);
  assert.equal(lab.workloads().length, 8);
  assert.equal(lab.server("west").watches.size, idle.watches);
  await lab.pass(120_000);
  assert.ok(clock.pending <= idle.timers + 2, `${clock.pending} timers, ${idle.timers} before`);
  await lab[Symbol.asyncDispose]();
  assert.equal(lab.server("west").watches.size, 0);
});

test("fault 9: a secret that is deleted takes its cluster in one step within two seconds, and nothing else", async () => {
  const lab = new MeshLab("west", "north").fill("west", "north");
  for (let at = 0; at < 50; at++) lab.server("west").put(pod(`p${at}`, `10.9.0.${at + 1}`));
  lab.name("one", { west: "t" });
  lab.name("two", { north: "t" });
  lab.start();
  await lab.pass(5000);
  assert.equal(lab.workloads().length, 52);
  lab.flushes = [];
  lab.home.remove(secret("one", {}));
  await lab.pass(2000);
  assert.equal(lab.flushes.length, 1);
  assert.equal(lab.flushes[0]!.length, 51);
  assert.deepEqual(lab.workloads(), ["north/cart"]);
  assert.equal(lab.server("west").watches.size, 0);
  assert.deepEqual(
    lab.feeds.clusters().map(({ cluster }) => cluster),
    ["north"],
  );
  // It is really gone: not even a restart knows of it.
  await lab.stop();
  lab.server("west").faults.silent = true;
  lab.name("one", { west: "t" });
  lab.start();
  await lab.pass(5000);
  assert.deepEqual(lab.workloads(), ["north/cart"]);
  await lab[Symbol.asyncDispose]();
});

for (let seed = 1; seed <= 12; seed++)
  test(`whatever becomes of secrets and API servers, in the end the mesh is what a fresh start would make of it (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const names = ["west", "north"] as const;
    const lab = new MeshLab(...names).fill(...names);
    const named = new Set<string>();
    let token = 0;
    lab.start();
    for (let step = 0; step < 40; step++) {
      const cluster = random.pick(names);
      const server = lab.server(cluster);
      const act = random.below(10);
      if (act < 3) {
        lab.name(cluster, { [cluster]: `t${++token}` });
        named.add(cluster);
      } else if (act === 3) {
        lab.home.remove(secret(cluster, {}));
        named.delete(cluster);
      } else if (act === 4) lab.home.put(secret(cluster, { [cluster]: "broken" })) && named.add(cluster);
      else if (act === 5) server.put(pod(`p${random.below(5)}`, `10.7.0.${1 + random.below(200)}`));
      else if (act === 6) server.remove(pod(`p${random.below(5)}`, ""));
      else if (act === 7) server.faults.down = !server.faults.down;
      else if (act === 8) random.chance(0.5) ? server.expireAll() : server.cutWatches();
      else if (random.chance(0.3)) {
        await lab.stop();
        lab.start();
      }
      await lab.pass(random.below(3000));
    }
    for (const cluster of names) lab.server(cluster).faults.down = false;
    for (const cluster of named) lab.name(cluster, { [cluster]: `t${++token}` });
    await lab.pass(120_000);
    const expected = names.flatMap((cluster) => {
      const { store } = lab.server(cluster);
      const objects = REMOTE_KINDS.flatMap(({ type }) => [...store.list(type)]);
      return named.has(cluster) ? fromScratch(objects, cluster) : [];
    });
    assert.deepEqual(lab.workloads(), [...expected].sort());
    assert.ok(lab.server("west").list(PODS).length > 0);
    await lab[Symbol.asyncDispose]();
    assert.equal(lab.server("west").watches.size + lab.server("north").watches.size, 0);
  });
