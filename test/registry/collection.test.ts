import assert from "node:assert/strict";
import { test } from "mocha";
import type { Collection } from "../../src/registry/collection/collection.ts";
import { derive } from "../../src/registry/collection/derive.ts";
import { filter } from "../../src/registry/collection/filter.ts";
import { CollectionNode, Graph, rankAbove } from "../../src/registry/collection/graph.ts";
import { Index } from "../../src/registry/collection/index-by.ts";
import { merge } from "../../src/registry/collection/merge.ts";
import { Source } from "../../src/registry/collection/source.ts";

interface Pod {
  readonly app: string;
  readonly node: string;
}
interface Service {
  readonly app: string;
  readonly cluster: string;
}

/** Each batch as `+added ~changed -removed`. */
function recording<K extends string, V>(collection: Collection<K, V>): string[] {
  const seen: string[] = [];
  const mark = (before: unknown, after: unknown) => (before === undefined ? "+" : after === undefined ? "-" : "~");
  collection.observe((batch) => seen.push(batch.map((c) => mark(c.before, c.after) + c.key).join(" ")));
  return seen;
}

function mesh() {
  const graph = new Graph();
  const pods = new Source<string, Pod>(graph, "pods");
  const nodes = new Source<string, { zone: string }>(graph, "nodes");
  const services = new Source<string, Service>(graph, "services");
  const podsByApp = new Index(graph, pods, "app", (pod) => [pod.app, "all"]);
  const runs: string[] = [];
  const zones = derive(graph, {
    name: "zones",
    from: pods,
    reads: { nodes },
    to: (pod, reads, key) => {
      runs.push(key);
      return [[key, reads.nodes.get(pod.node)?.zone ?? "unknown"]];
    },
  });
  const globals = merge(graph, {
    name: "globals",
    from: services,
    by: (service) => service.app,
    combine: (app, members) => ({ app, clusters: members.map(({ cluster }) => cluster) }),
  });
  return { graph, pods, nodes, services, podsByApp, zones, globals, runs };
}

test("a node's zone reaches only the pods that asked for that node", () => {
  const { graph, pods, nodes, zones, runs } = mesh();
  pods.set("a", { app: "shop", node: "n1" });
  pods.set("b", { app: "shop", node: "n2" });
  graph.flush();
  const seen = recording(zones);
  runs.length = 0;
  nodes.set("n1", { zone: "west" });
  graph.flush();
  assert.deepEqual(runs, ["a"]);
  assert.deepEqual(seen, ["~a"]);
  assert.equal(zones.get("a"), "west");
});

test("a pod that no longer asks for a node is not rerun for it", () => {
  const { graph, pods, nodes, runs } = mesh();
  pods.set("a", { app: "shop", node: "n1" });
  pods.set("b", { app: "shop", node: "n1" });
  pods.set("c", { app: "shop", node: "n1" });
  graph.flush();
  pods.set("a", { app: "shop", node: "n2" });
  graph.flush();
  runs.length = 0;
  nodes.set("n1", { zone: "west" });
  graph.flush();
  assert.deepEqual(runs.sort(), ["b", "c"]);
  runs.length = 0;
  pods.delete("a");
  graph.flush();
  nodes.set("n2", { zone: "east" });
  graph.flush();
  assert.deepEqual(runs, []);
});

test("many writes between two flushes arrive as one batch, and a write undone is no change", () => {
  const { graph, pods, zones } = mesh();
  const seen = recording(zones);
  pods.set("a", { app: "shop", node: "n1" });
  pods.set("b", { app: "shop", node: "n1" });
  pods.delete("b");
  graph.flush();
  pods.delete("a");
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  assert.deepEqual(seen, ["+a"]);
});

test("a value that leaves and comes back within one flush keeps its place, and nobody is told", () => {
  class Flicker extends CollectionNode<string, { n: number }> {
    constructor(readonly ticks: Collection<string, number>) {
      super("flicker", rankAbove([ticks]), (a, b) => a.n === b.n);
    }
    override settle(): void {
      if (this.ticks.batch.length === 0) return;
      this.write("x", undefined);
      this.write("x", { n: 1 });
    }
  }
  const graph = new Graph();
  const ticks = new Source<string, number>(graph, "ticks");
  const flicker = new Flicker(ticks);
  graph.add(flicker);
  const seen = recording(flicker);
  ticks.set("t", 1);
  graph.flush();
  const first = flicker.get("x");
  ticks.set("t", 2);
  graph.flush();
  assert.deepEqual(seen, ["+x"]);
  assert.equal(flicker.get("x"), first);
});

test("a cluster that leaves takes exactly its own services out of the merge", () => {
  const { graph, services, globals } = mesh();
  services.set("east/shop", { app: "shop", cluster: "east" });
  services.set("west/shop", { app: "shop", cluster: "west" });
  services.set("west/cart", { app: "cart", cluster: "west" });
  graph.flush();
  services.set("west/late", { app: "late", cluster: "west" });
  services.replace("west/", [["west/cart", { app: "cart", cluster: "west" }]]);
  graph.flush();
  assert.deepEqual(globals.get("shop")?.clusters, ["east"]);
  assert.deepEqual(globals.get("cart")?.clusters, ["west"]);
  assert.equal(globals.get("late"), undefined);
});

test("a replacement that reaches outside of its prefix is refused", () => {
  const { services } = mesh();
  assert.throws(
    () => services.replace("west/", [["east/shop", { app: "shop", cluster: "east" }]]),
    /services: east\/shop is not under west\//,
  );
});

test("members and bucket values come in key order, whatever the order of arrival", () => {
  const { graph, pods, services, podsByApp, globals } = mesh();
  for (const cluster of ["c", "a", "b"]) services.set(`${cluster}/shop`, { app: "shop", cluster });
  for (const key of ["p3", "p1", "p2"]) pods.set(key, { app: "shop", node: key });
  graph.flush();
  assert.deepEqual(globals.get("shop")?.clusters, ["a", "b", "c"]);
  assert.deepEqual(
    podsByApp.get("shop").map(({ node }) => node),
    ["p1", "p2", "p3"],
  );
  pods.delete("p2");
  pods.delete("p3");
  graph.flush();
  assert.deepEqual(
    podsByApp.get("shop").map(({ node }) => node),
    ["p1"],
  );
});

/** Each input writes the one output key it names. */
function contested() {
  const graph = new Graph();
  const inputs = new Source<string, { out: string; value: number }>(graph, "inputs");
  const outputs = derive(graph, {
    name: "outputs",
    from: inputs,
    reads: {},
    to: ({ out, value }) => [[out, value]],
  });
  return { graph, inputs, outputs };
}

test("two inputs that write one key: the smallest input key wins, and its removal restores the other", () => {
  for (const order of [
    ["a", "b", "c"],
    ["c", "b", "a"],
    ["b", "c", "a"],
  ]) {
    const { graph, inputs, outputs } = contested();
    for (const key of order) {
      inputs.set(key, { out: "x", value: key.charCodeAt(0) });
      graph.flush();
    }
    assert.equal(outputs.get("x"), 97);
    const seen = recording(outputs);
    inputs.set("b", { out: "x", value: 1 });
    graph.flush();
    assert.equal(seen.length, 0, "a loser's change is nobody's business");
    inputs.delete("a");
    graph.flush();
    assert.equal(outputs.get("x"), 1);
    inputs.set("b", { out: "y", value: 2 });
    graph.flush();
    assert.equal(outputs.get("x"), 99);
    assert.equal(outputs.get("y"), 2);
    inputs.replace("", []);
    graph.flush();
    assert.equal(outputs.size, 0);
    assert.deepEqual(
      seen.map((batch) => batch.split(" ").sort().join(" ")),
      ["~x", "+y ~x", "-x -y"],
    );
  }
});

test("a derivation that throws names its collection and key, and keeps the cause", () => {
  const graph = new Graph();
  const inputs = new Source<string, string>(graph, "inputs");
  const cause = new Error("no such port");
  derive(graph, {
    name: "ports",
    from: inputs,
    reads: {},
    to: () => {
      throw cause;
    },
  });
  inputs.set("shop/cart", "x");
  assert.throws(
    () => graph.flush(),
    (error: Error) =>
      error.name === "AssertionError" && /ports.*shop\/cart.*no such port/.test(error.message) && error.cause === cause,
  );
});

test("a lookup outside of its derivation is a broken invariant, not a value that never changes", () => {
  const graph = new Graph();
  const inputs = new Source<string, string>(graph, "inputs");
  const other = new Source<string, string>(graph, "other");
  let kept: { get(query: string): string | undefined } | undefined;
  derive(graph, {
    name: "leaky",
    from: inputs,
    reads: { other },
    to: (value, reads) => {
      kept = reads.other;
      return [["k", value]];
    },
  });
  inputs.set("a", "x");
  graph.flush();
  assert.throws(() => kept!.get("q"), /leaky: a lookup of other outside of the derivation/);
});

test("observers of all collections come first, then those of the settled graph, once per flush", () => {
  const { graph, pods, zones } = mesh();
  const calls: string[] = [];
  graph.onSettled(() => calls.push(`settled with ${zones.batch.length}`));
  pods.observe(() => calls.push("pods"));
  zones.observe(() => calls.push("zones"));
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  graph.flush();
  assert.deepEqual(calls, ["pods", "zones", "settled with 1"]);
  assert.deepEqual(zones.batch, []);
  assert.equal(zones.changed.size, 0);
});

test("what an observer writes waits for the next flush, which onDirty asks for", () => {
  const { graph, pods, nodes, zones } = mesh();
  let dirty = 0;
  graph.onDirty = () => (dirty += 1);
  pods.observe(() => nodes.set("n1", { zone: "west" }));
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  assert.equal(zones.get("a"), "unknown");
  assert.equal(dirty, 2);
  graph.flush();
  assert.equal(zones.get("a"), "west");
});

test("an observer that flushes, and a collection that joins late, are refused", () => {
  const { graph, pods } = mesh();
  const observed = pods.observe(() => graph.flush());
  pods.set("a", { app: "shop", node: "n1" });
  assert.throws(() => graph.flush(), /an observer called flush/);
  observed[Symbol.dispose]();
  assert.throws(
    () => derive(graph, { name: "late", from: pods, reads: {}, to: () => [] }),
    /late was added after the graph's first flush/,
  );
});

test("an observer that was disposed hears nothing", () => {
  const { graph, pods } = mesh();
  let heard = 0;
  pods.observe(() => (heard += 1))[Symbol.dispose]();
  graph.onSettled(() => (heard += 1))[Symbol.dispose]();
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  assert.equal(heard, 0);
});

test("the graph describes itself in the order in which it settles", () => {
  const { graph, pods } = mesh();
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  const described = graph.describe();
  assert.deepEqual(
    described.map(({ rank }) => rank),
    [...described.map(({ rank }) => rank)].sort((a, b) => a - b),
  );
  assert.deepEqual(
    described.find(({ name }) => name === "pods.app"),
    { name: "pods.app", rank: 1, size: 2 },
  );
});

test("a derived value that is equal to the old one keeps its identity and tells nobody", () => {
  const { graph, pods, zones } = mesh();
  pods.set("a", { app: "shop", node: "n1" });
  graph.flush();
  const seen = recording(zones);
  pods.set("a", { app: "other", node: "n1" });
  graph.flush();
  assert.deepEqual(seen, []);
});

test("a filter holds what is wanted, while it is", () => {
  const graph = new Graph();
  const pods = new Source<string, Pod>(graph, "pods");
  const shop = filter(graph, "shop", pods, ({ app }) => app === "shop");
  const seen = recording(shop);
  pods.set("a", { app: "shop", node: "n1" });
  pods.set("b", { app: "bank", node: "n1" });
  graph.flush();
  pods.set("a", { app: "shop", node: "n2" });
  pods.set("b", { app: "bank", node: "n2" });
  graph.flush();
  assert.deepEqual([...shop.entries()], [["a", { app: "shop", node: "n2" }]]);
  pods.set("a", { app: "bank", node: "n2" });
  pods.set("b", { app: "shop", node: "n2" });
  graph.flush();
  pods.delete("b");
  graph.flush();
  assert.deepEqual(seen, ["+a", "~a", "-a +b", "-b"]);
});
