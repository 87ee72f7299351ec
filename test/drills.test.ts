import assert from "node:assert/strict";
import { test } from "mocha";
import { loneServices } from "../src/commands/drill-request.ts";
import { drillView } from "../src/commands/drill-view.ts";
import { DrilledSites, pods } from "./kits/drilled-sites.ts";
import { clusterId, serviceName } from "../src/names.ts";
import { TestHost } from "./kits/test-host.ts";
import { LOCAL_CART } from "./registry/peers.ts";
import { cart, eastWest, system } from "./registry/two-networks.ts";

const MINUTE_MS = 60_000;

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

test("on a flat network, where each pod is known, drains take calls away all the same", () => {
  const sites = new DrilledSites({ east: 1, west: 3 }, undefined, true).start();
  assert.deepEqual(sites.calls("east"), { east: 25, west: 75 });
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("east"), { east: 100 });
  sites.drainPeer("east", "west", undefined);
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  assert.deepEqual(sites.calls("west"), { west: 100 });
  sites.pass(10 * MINUTE_MS);
  assert.deepEqual(sites.calls("west"), { east: 25, west: 75 });
});

test("whoever asks why a cluster gets no calls is told that it is drained, and until when", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  const why = (): readonly string[] =>
    sites.all
      .site("east")
      .registry.globalCandidates.of("cart.shop.mesh.internal")
      .map(({ cluster, excluded }) => `${cluster} ${excluded?.reason ?? "is called"} ${excluded?.message ?? ""}`);
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  assert.match(why()[1]!, /^west drained Cluster west is drained here until 2023-11-14T22:23:20Z/);
  sites.drainPeer("east", "west", undefined);
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  sites.pass(5_000);
  assert.match(why()[0]!, /^east drained Service shop\/cart of cluster east is drained until 2023-11-14T22:23:20Z/);
  assert.equal(why()[1], "west is called ");
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

test("a cluster behind a remote secret takes no calls of peers: for it alone a service is not drained", () => {
  const sites = new DrilledSites({ east: 1, west: 0 }).start();
  const { registry } = sites.all.site("east");
  const far = registry.intake(clusterId("far"));
  const shared = cart("10.9.0.1", {}, { labels: { "solo.io/service-scope": "global" } });
  for (const object of [system("net-far"), eastWest("net-far", ["192.0.2.9"]), shared, ...pods(1, 9)])
    far.set(object, "");
  sites.settle();
  const ends = registry.workloadsByService.get(serviceName("shop", "cart.shop.mesh.internal"));
  assert.ok(ends.some(({ cluster, healthy }) => cluster === "far" && healthy));
  const view = drillView(registry, new URLSearchParams("service=shop/cart"));
  assert.deepEqual(loneServices(view, new Set(["east"]), "service"), ["shop/cart"]);
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  sites.pass(30_000);
  assert.deepEqual(sites.calls("west"), { east: 100 });
});

test("a drain ends at its time, also if the timer was early, or something else happens in that very millisecond", () => {
  for (const happens of ["early", "pods"]) {
    const host = new TestHost();
    const sites = new DrilledSites({ east: 1, west: 1 }, host).start();
    const now = host.clock.now.bind(host.clock);
    let earlyMs = 0;
    host.clock.now = () => {
      const seen = now() - earlyMs;
      earlyMs = 0;
      return seen;
    };
    // Before the timer of the drain, as it was there first.
    host.clock.after(MINUTE_MS, () => {
      if (happens === "early") earlyMs = 1;
      else {
        sites.all.site("west").apply(...pods(2));
        sites.settle();
      }
    });
    sites.drainCart("east", sites.in(MINUTE_MS));
    sites.pass(30_000);
    assert.deepEqual(sites.calls("west"), { west: 100 });
    sites.pass(31_000);
    assert.ok((sites.calls("west")["east"] ?? 0) > 0, happens);
    assert.deepEqual(sites.problems("east"), [], happens);
  }
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

test("the page of drains is about what is drained, and about anything else only when it is asked", () => {
  const sites = new DrilledSites({ east: 1, west: 1 }).start();
  const page = (query = "") => drillView(sites.all.site("east").registry, new URLSearchParams(query));
  assert.deepEqual(page().services, []);
  for (const query of ["service=shop/cart", "peer=west"])
    assert.deepEqual(
      page(query).services.map(({ service }) => service),
      ["shop/cart"],
    );
  assert.deepEqual([page("service=shop/other").services, page("peer=north").services], [[], []]);
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  const [cart] = page().services;
  assert.deepEqual(cart?.clusters, [
    { cluster: "east", via: "local", ready: 1, called: true, reason: "" },
    { cluster: "west", via: "peer", ready: 1, called: false, reason: "drained" },
  ]);
  sites.drainPeer("east", "west", undefined);
  sites.drainCart("east", sites.in(10 * MINUTE_MS));
  assert.deepEqual(
    page().services.map(({ service }) => service),
    ["shop/cart"],
  );
});

test("how many drains there are, what becomes of them and when the last one ends is counted", () => {
  const sites = new DrilledSites({ east: 1, west: 0 });
  const shown = (): readonly string[] =>
    sites.host.series.filter((series) => /^drain/.test(series) && sites.host.metric(series) > 0).sort();
  // One host counts for both clusters; the last that changed is seen.
  sites.start();
  assert.deepEqual(shown(), []);
  assert.equal(sites.host.series.filter((series) => series.startsWith("drains{")).length, 10);
  sites.drainPeer("east", "west", sites.in(10 * MINUTE_MS));
  const end = (kind: string): string => `drain_end_timestamp_seconds{kind=${kind}}`;
  assert.deepEqual(shown(), [end("peer"), "drains{kind=peer,state=drained}"]);
  assert.equal(sites.host.metric(end("peer")), sites.host.clock.now() / 1000 + 600);
  sites.drainCart("east", sites.in(5 * MINUTE_MS));
  assert.deepEqual(shown().slice(1), ["drains{kind=peer,state=drained}", "drains{kind=service,state=spared}"]);
  sites.drainCart("east", "soon");
  assert.deepEqual(shown().slice(2), ["drains{kind=service,state=unreadable}"]);
  sites.pass(10 * MINUTE_MS);
  assert.deepEqual(shown(), ["drains{kind=service,state=unreadable}"]);
  sites.drainPeer("east", "west", undefined);
  sites.drainCart("east", undefined);
  assert.deepEqual(shown(), []);
});
