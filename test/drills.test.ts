import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../src/kube/object.ts";
import { Drills } from "../src/plane/drills.ts";
import { PeeredRegistries, type Shares } from "./kits/peered-registries.ts";
import { TestHost } from "./kits/test-host.ts";
import { pod } from "./registry/mesh.ts";
import { CART, LOCAL_CART } from "./registry/peers.ts";
import { cart } from "./registry/two-networks.ts";

const MINUTE_MS = 60_000;
const DRAIN = "peering.causeway.dev/drain-until";

const pods = (count: number): readonly KubeObject[] =>
  Array.from({ length: count }, (_each, at) =>
    pod(`cart-${at}`, `10.0.0.${at + 1}`, { app: "cart" }, { serviceAccountName: "cart" }),
  );

/** Clusters that hear each other and share `cart`, each with its drills and all with one time. */
class DrilledSites {
  readonly host = new TestHost();
  readonly all: PeeredRegistries;
  readonly #counts: Readonly<Record<string, number>>;
  #drills: readonly Drills[] = [];

  constructor(counts: Readonly<Record<string, number>>) {
    const sites = Object.keys(counts).map((name, at) => [
      name,
      { network: `net-${name}`, doors: [`192.0.2.${at + 1}`] },
    ]);
    this.all = new PeeredRegistries(Object.fromEntries(sites));
    this.#counts = counts;
    for (const [name, count] of Object.entries(counts)) this.all.site(name).apply(this.#cart(), ...pods(count));
    this.all.linkAll();
  }

  /** As control planes do once what their peers said is there. */
  start(): this {
    this.#drills = Object.keys(this.#counts).map((name) => new Drills(this.host, this.all.site(name).registry));
    for (const each of this.#drills) each.start();
    this.settle();
    return this;
  }

  drainPeer(at: string, peer: string, until: string | undefined): void {
    this.all.link(at, peer, { annotations: until === undefined ? {} : { [DRAIN]: until } });
    this.settle();
  }

  drainCart(at: string, until: string | undefined): void {
    this.all.site(at).apply(this.#cart(until));
    this.settle();
  }

  in(ms: number): string {
    return new Date(this.host.clock.now() + ms).toISOString();
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 1_000) {
      this.host.clock.advance(Math.min(1_000, ms - passed));
      this.settle();
    }
  }

  settle(): void {
    for (let turn = 0; turn < 4; turn += 1) this.all.settle();
  }

  /** Of the calls from a cluster, by where they end, in percent. */
  calls(from: string, name = CART): Readonly<Record<string, number>> {
    return byCluster(this.all.calls(from, name, 80));
  }

  problems(at: string): readonly string[] {
    return Array.from(
      this.all.site(at).registry.problems.entries(),
      ([, { severity, message }]) => `${severity}: ${message}`,
    ).filter((line) => line.includes("drain"));
  }

  #cart(until?: string): KubeObject {
    const annotations = {
      "networking.istio.io/traffic-distribution": "Any",
      ...(until !== undefined && { [DRAIN]: until }),
    };
    return cart("10.1.0.1", {}, { labels: { "solo.io/service-scope": "global" }, annotations });
  }
}

function byCluster(shares: Shares): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [end, share] of Object.entries(shares)) {
    const cluster = end.split("/")[0]!;
    found[cluster] = (found[cluster] ?? 0) + share * 100;
  }
  for (const cluster of Object.keys(found)) found[cluster] = Math.round(found[cluster]!);
  return found;
}

test("a peer that is drained gets no new calls from here until its time is over, and others call it as before", () => {
  const sites = new DrilledSites({ east: 1, west: 2, north: 1 }).start();
  assert.deepEqual(sites.calls("east"), { east: 25, west: 50, north: 25 });
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("east"), { east: 50, north: 50 });
  assert.deepEqual(sites.calls("north"), { east: 25, west: 50, north: 25 });
  assert.match(sites.problems("east").join(), /info: Gateway \S+ is drained until 2023-11-14T22:23:20Z/);
  sites.pass(10 * MINUTE_MS - 1_000);
  assert.deepEqual(sites.calls("east"), { east: 50, north: 50 });
  sites.pass(1_000);
  assert.deepEqual(sites.calls("east"), { east: 25, west: 50, north: 25 });
  assert.deepEqual(sites.problems("east"), []);
});

test("a drain that is taken back ends at once", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("east"), { east: 100 });
  sites.drainPeer("east", "west", undefined);
  assert.deepEqual(sites.calls("east"), { east: 50, west: 50 });
});

test("what only a drained peer has is called there still, and no more once somebody else has it, too", () => {
  const sites = new DrilledSites({ east: 0, west: 2, north: 0 }).start();
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("east"), { west: 100 });
  sites.all.site("north").apply(...pods(1));
  sites.settle();
  assert.deepEqual(sites.calls("east"), { north: 100 });
  sites.all.site("north").remove(...pods(1));
  sites.settle();
  assert.deepEqual(sites.calls("east"), { west: 100 });
});

test("two peers that are drained at once leave no name out of reach", () => {
  const sites = new DrilledSites({ east: 0, west: 1, north: 1 }).start();
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  sites.drainPeer("east", "north", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("east"), { west: 50, north: 50 });
});

test("a service that is drained is called elsewhere by all, and under its cluster-local name as ever", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("west"), { west: 100 }, "peers hear of it first");
  assert.deepEqual(sites.calls("east"), { east: 50, west: 50 }, "what they had begun can still end here");
  sites.pass(5_000);
  assert.deepEqual(sites.calls("east"), { west: 100 });
  assert.deepEqual(sites.calls("east", LOCAL_CART), { east: 100 });
  assert.match(sites.problems("east").join(), /info: Service shop\/cart is drained until/);
  sites.pass(10 * MINUTE_MS - 5_000);
  for (const from of ["east", "west"]) assert.deepEqual(sites.calls(from), { east: 50, west: 50 });
});

test("a service that nobody else has ready keeps its calls, and says so", () => {
  const sites = new DrilledSites({ east: 2, west: 0 }).start();
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  sites.pass(MINUTE_MS);
  for (const from of ["east", "west"]) assert.deepEqual(sites.calls(from), { east: 100 });
  assert.match(sites.problems("east").join(), /info: Service shop\/cart is to be drained until .* and keeps its calls/);
});

test("two clusters that drain the same service do not take turns for ever, and one of them is called at all times", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  const until = sites.in(20 * MINUTE_MS);
  let changes = 0;
  sites.all.site("east").registry.exports.services.observe(() => (changes += 1));
  sites.drainCart("east", until);
  sites.drainCart("west", until);
  for (let second = 0; second < 10 * 60; second += 1) {
    sites.pass(1_000);
    for (const from of ["east", "west"]) assert.notDeepEqual(sites.calls(from), {}, `after ${second} seconds`);
  }
  assert.ok(changes <= 12, `${changes} changes of what east tells in ten minutes`);
});

test("a restart in the middle of a drain changes nothing, and the drain ends when it was to", () => {
  const before = new DrilledSites({ east: 1, west: 1 });
  const until = before.in(10 * MINUTE_MS);
  const after = new DrilledSites({ east: 1, west: 1 });
  after.host.clock.advance(9 * MINUTE_MS);
  after.drainCart("east", until);
  after.start();
  for (const from of ["east", "west"]) assert.deepEqual(after.calls(from), { west: 100 });
  after.pass(MINUTE_MS);
  for (const from of ["east", "west"]) assert.deepEqual(after.calls(from), { east: 50, west: 50 });
});

test("a time that is none, one that is over and one of more than a day drain nothing, and what is wrong is said", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  const cases: readonly (readonly [string, RegExp])[] = [
    ["in ten minutes", /^warning: Service shop\/cart has \S+ "in ten minutes", which is no time/],
    ["2023-11-14", /^warning: .*"2023-11-14", which is no time/],
    [sites.in(25 * 60 * MINUTE_MS), /^warning: .*more than 24 hours ahead/],
    [sites.in(-MINUTE_MS), /^$/],
  ];
  for (const [until, said] of cases) {
    sites.drainCart("east", until);
    sites.pass(10_000);
    assert.deepEqual(sites.calls("west"), { east: 50, west: 50 }, until);
    assert.match(sites.problems("east").join(), said);
  }
  sites.drainPeer("east", "west", "soon");
  assert.deepEqual(sites.calls("east"), { east: 50, west: 50 });
  assert.match(sites.problems("east").join(), /warning: Gateway \S+ has \S+ "soon", which is no time/);
});
