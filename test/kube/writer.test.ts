import assert from "node:assert/strict";
import { test } from "mocha";
import type { Term } from "../../src/kube/leader-election.ts";
import { AUTHORIZATION_POLICIES, CONFIG_MAPS, SERVICES } from "../../src/kube/resource-types.ts";
import { WRITE_LIMITS } from "../../src/kube/write-queue.ts";
import { Writer } from "../../src/kube/writer.ts";
import { apiError } from "../kits/fake-api-requests.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { WantedMap, wantedCondition, wantedRoots } from "./wanted-kit.ts";

function lab() {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const wanted = new WantedMap();
  const writer = new Writer(host, server.connect(), wanted);
  const begin = (): AbortController => {
    const term = new AbortController();
    writer.begin({ signal: term.signal, lives: () => !term.signal.aborted } satisfies Term);
    return term;
  };
  const service = (name: string) =>
    server.put({ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" } });
  const conditions = (name: string) =>
    (server.get(SERVICES, "shop", name)?.["status"] as { conditions?: readonly object[] } | undefined)?.conditions;
  const writes = () => server.requests.filter(({ verb }) => verb === "PATCH");
  return { host, server, wanted, writer, begin, service, conditions, writes, clock: host.clock };
}

test("what differs when a term begins is written, what is the same is not, and then there is rest", async () => {
  const { host, server, wanted, begin, service, conditions, writes, clock } = lab();
  service("cart");
  service("api");
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  wanted.set("api", wantedCondition("api", "through shop/wp", "same"));
  assert.equal(writes().length, 0);
  begin();
  await clock.pass(100);
  assert.deepEqual(conditions("cart"), [
    {
      type: "istio.io/WaypointBound",
      status: "True",
      reason: "WaypointAccepted",
      message: "through shop/wp",
      lastTransitionTime: "2023-11-14T22:13:20Z",
    },
  ]);
  // The watch shows it.
  wanted.set("cart", wantedCondition("cart", "through shop/wp", "same"));
  await clock.pass(3_600_000);
  assert.deepEqual(
    writes().map(({ path }) => path),
    ["/api/v1/namespaces/shop/services/cart/status?fieldManager=causeway&force=true"],
  );
  assert.equal(host.metric("status_writes_total{kind=Service,result=written}"), 1);
  for (const result of ["denied", "refused"])
    assert.ok(host.series.includes(`status_writes_total{kind=Service,result=${result}}`), "the first one is growth");
  assert.equal(server.requests.length, 1);
});

test("a condition that goes is withdrawn, and what others say stays", async () => {
  const { server, wanted, begin, service, conditions, clock } = lab();
  service("cart");
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  begin();
  await clock.pass(100);
  const held = server.get(SERVICES, "shop", "cart")!;
  const other = { type: "LoadBalancerPortsError", status: "False" };
  server.put({ ...held, status: { conditions: [...conditions("cart")!, other] } });
  wanted.set("cart", { ...wantedCondition("cart", ""), conditions: [] });
  await clock.pass(100);
  assert.deepEqual(conditions("cart"), [other]);
});

test("a condition keeps the time since when it has its status", async () => {
  const { wanted, begin, service, conditions, clock } = lab();
  service("cart");
  const base = wantedCondition("cart", "through shop/wp");
  const since = "2020-01-01T00:00:00Z";
  wanted.set("cart", { ...base, conditions: base.conditions!.map((condition) => ({ ...condition, since })) });
  begin();
  await clock.pass(100);
  assert.equal((conditions("cart")![0] as Record<string, unknown>)["lastTransitionTime"], since);
});

test("what cannot be seen is written again about every ten minutes, spread, so an edit of it is mended", async () => {
  const { host, server, wanted, begin, writes, clock } = lab();
  for (let at = 0; at < 200; at++) wanted.set(`roots-${at}`, wantedRoots(`ns-${at}`, "PEM"));
  begin();
  assert.ok(host.metric("status_writes_pending{writer=status}") > 150);
  assert.ok(host.metric("pilot_worker_queue_depth{queueID=status}") > 150);
  await clock.pass(10_000);
  assert.equal(host.metric("status_writes_pending{writer=status}"), 0);
  for (const name of ["latency", "duration"])
    assert.equal(host.metric(`pilot_worker_queue_${name}_count{queueID=status}`), 200);
  assert.equal(writes().length, 200);
  assert.deepEqual(server.get(CONFIG_MAPS, "ns-7", "istio-ca-root-cert")?.["data"], { "root-cert.pem": "PEM" });
  const metadata = { name: "istio-ca-root-cert", namespace: "ns-7" };
  server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "root-cert.pem": "EVIL", "own.txt": "kept" } });
  await clock.pass(12 * 60_000);
  assert.deepEqual(server.get(CONFIG_MAPS, "ns-7", "istio-ca-root-cert")?.["data"], {
    "root-cert.pem": "PEM",
    "own.txt": "kept",
  });
  assert.equal(writes().length, 400);
  const times = writes()
    .slice(200)
    .map(({ atMs }) => Math.floor(atMs / 10_000));
  assert.ok(new Set(times).size > 15, "they are all at once");
});

test("a change does not wait for the thousand writes that a term begins with", async () => {
  const { server, wanted, begin, service, conditions, writes, clock } = lab();
  service("cart");
  for (let at = 0; at < 1_000; at++) wanted.set(`roots-${at}`, wantedRoots(`ns-${at}`, "PEM"));
  begin();
  await clock.pass(2_000);
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  await clock.pass(200);
  assert.equal(conditions("cart")?.length, 1);
  assert.ok(writes().length < 200, `${writes().length} writes`);
  await clock.pass(28_000);
  assert.equal(writes().length, 1_001);
  assert.equal(server.list(CONFIG_MAPS).length, 1_000);
});

test("what waits when a term ends is dropped, and what is under way is cut off", async () => {
  const { host, server, wanted, writer, begin, service, conditions, writes, clock } = lab();
  server.faults.latencyMs = 1_000;
  for (let at = 0; at < 50; at++) {
    service(`s${at}`);
    wanted.set(`s${at}`, wantedCondition(`s${at}`, "through shop/wp"));
  }
  const term = begin();
  await clock.pass(500);
  assert.equal(writes().length, WRITE_LIMITS.inFlightMax);
  term.abort();
  writer.end();
  await clock.pass(60_000);
  wanted.set("s0", wantedCondition("s0", "through shop/other"));
  await clock.pass(60_000);
  assert.equal(writes().length, WRITE_LIMITS.inFlightMax);
  assert.equal(conditions("s0"), undefined);
  assert.equal(host.metric("status_writes_pending{writer=status}"), 0);
  assert.equal(clock.pending, 0);
});

test("a term that is over by the clock is over, even if nobody has said so yet", async () => {
  const { wanted, writer, service, writes, clock } = lab();
  service("cart");
  let lives = true;
  writer.begin({ signal: new AbortController().signal, lives: () => lives });
  lives = false;
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  await clock.pass(60_000);
  assert.equal(writes().length, 0);
});

test("a target that is gone is forgotten", async () => {
  const { wanted, begin, writes, clock } = lab();
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  begin();
  await clock.pass(3_600_000);
  assert.equal(writes().length, 1);
});

test("a server that has only the older version of a kind is written to in that, without asking each time", async () => {
  const { server, wanted, begin, writes, clock } = lab();
  server.uninstall(AUTHORIZATION_POLICIES);
  server.install({ ...AUTHORIZATION_POLICIES, versions: ["v1beta1"] });
  for (const name of ["a", "b"]) {
    const metadata = { name, namespace: "shop" };
    server.put({ apiVersion: "security.istio.io/v1beta1", kind: "AuthorizationPolicy", metadata });
  }
  begin();
  wanted.set("a", wantedCondition("a", "attached", "different", AUTHORIZATION_POLICIES));
  await clock.pass(100);
  wanted.set("b", wantedCondition("b", "attached", "different", AUTHORIZATION_POLICIES));
  await clock.pass(100);
  assert.deepEqual(
    writes().map(({ path }) => /security.istio.io\/(\w+)\/.*\/([ab])\/status/.exec(path)!.slice(1)),
    [
      ["v1", "a"],
      ["v1beta1", "a"],
      ["v1beta1", "b"],
    ],
  );
  assert.ok(server.get(AUTHORIZATION_POLICIES, "shop", "b")?.["status"]);
});

test("a missing RBAC rule is named once a minute, and asked for ever more seldom", async () => {
  const { host, server, wanted, begin, writes, clock } = lab();
  server.faults.forbidden = ({ resource }) => resource === "services/status";
  for (let at = 0; at < 20; at++) wanted.set(`s${at}`, wantedCondition(`s${at}`, "through shop/wp"));
  begin();
  await clock.pass(30_000);
  assert.equal(writes().length, 20);
  await clock.pass(3_600_000);
  assert.ok(writes().length < 20 * 15, `${writes().length} writes in an hour`);
  const lines = host.lines.filter((line) => line.includes("services/status of the core group may not be written"));
  assert.ok(lines.length > 1 && lines.length <= 60 && lines[0]!.includes("grant patch on it"), lines[0]);
});

test("a server that fails half of the writes gets fewer than five a second, and all is written in the end", async () => {
  const { server, wanted, begin, service, writes, clock } = lab();
  for (let at = 0; at < 500; at++) {
    service(`s${at}`);
    wanted.set(`s${at}`, wantedCondition(`s${at}`, "through shop/wp"));
  }
  server.faults.errorRate = 0.5;
  begin();
  await clock.pass(600_000);
  const before = writes().length;
  assert.ok(before < 5 * 600 && before > 60, `${before} writes in ten minutes`);
  server.faults.errorRate = 0;
  await clock.pass(60_000);
  const held = server.list(SERVICES).filter((object) => object["status"] !== undefined);
  assert.equal(held.length, 500);
});

test("a server that is away is tried every few seconds, and says once a minute why", async () => {
  const { host, server, wanted, begin, service, conditions, writes, clock } = lab();
  service("cart");
  for (let at = 0; at < 100; at++) wanted.set(`s${at}`, wantedCondition(`s${at}`, "through shop/wp"));
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  server.faults.down = true;
  begin();
  await clock.pass(10_000);
  assert.ok(writes().length < 20, `${writes().length} writes in the first ten seconds`);
  await clock.pass(1_800_000);
  assert.ok(writes().length < 500, `${writes().length} writes in half an hour`);
  const lines = host.lines.filter((line) => line.includes("does not take what is written"));
  assert.ok(lines.length > 1 && lines.length <= 31, `${lines.length} lines`);
  server.faults.down = false;
  await clock.pass(60_000);
  assert.equal(conditions("cart")?.length, 1);
});

test("a server that says when to come back is left alone until then", async () => {
  const { server, wanted, begin, service, conditions, writes, clock } = lab();
  service("cart");
  server.faults.errorRate = 1;
  server.faults.retryAfterMs = 20_000;
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  begin();
  // The first answers may be 500.
  while (!writes().length || server.requests.at(-1)!.atMs > clock.elapsedMs() - 10_000) await clock.pass(1_000);
  server.faults.errorRate = 0;
  await clock.pass(30_000);
  assert.equal(conditions("cart")?.length, 1);
});

test("somebody who undoes each write is answered once a minute at most, and named", async () => {
  const { host, wanted, begin, service, writes, clock } = lab();
  service("cart");
  begin();
  for (let second = 0; second < 3_600; second++) {
    wanted.set("cart", wantedCondition("cart", "through shop/wp", second % 2 === 0 ? "different" : "same"));
    await clock.pass(1_000);
  }
  assert.ok(writes().length < 75, `${writes().length} writes in an hour`);
  const lines = host.lines.filter((line) => line.includes("Service shop/cart is changed by somebody else"));
  assert.equal(lines.length, 1);
});

test("an object that changes while it is written is written once more, as it then is", async () => {
  const { server, wanted, begin, service, conditions, writes, clock } = lab();
  service("cart");
  server.faults.latencyMs = 500;
  wanted.set("cart", wantedCondition("cart", "first"));
  begin();
  await clock.pass(100);
  for (const message of ["second", "third"]) wanted.set("cart", wantedCondition("cart", message));
  await clock.pass(2_500);
  assert.equal((conditions("cart")![0] as Record<string, unknown>)["message"], "third");
  assert.equal(writes().length, 2);
});

test("a write that the watch never shows is made again ever more seldom", async () => {
  const { wanted, begin, service, writes, clock } = lab();
  service("cart");
  wanted.set("cart", wantedCondition("cart", "through shop/wp"));
  begin();
  await clock.pass(6 * 3_600_000);
  assert.ok(writes().length > 10 && writes().length < 50, `${writes().length} writes in six hours`);
});

test("what the server refuses is said, and not tried again at once", async () => {
  const { host, server, wanted, begin, service, writes, clock } = lab();
  service("cart");
  server.faults.tamper = () => {
    throw apiError(422, "Invalid", "status.conditions: Invalid value");
  };
  wanted.set("cart", wantedCondition("cart", "x"));
  begin();
  await clock.pass(400_000);
  assert.equal(writes().length, 1);
  assert.ok(host.lines.some((line) => line.includes("refuses") && line.includes("Service shop/cart")));
  wanted.set("cart", wantedCondition("cart", "y"));
  await clock.pass(100);
  assert.equal(writes().length, 2);
});

test("a version that somebody else wrote over is a conflict, and waits for what is there now", async () => {
  const { host, server, wanted, begin, service, conditions, clock } = lab();
  const resourceVersion = service("cart").metadata["resourceVersion"] as string;
  server.put({ apiVersion: "v1", kind: "Service", metadata: { name: "cart", namespace: "shop", labels: { a: "b" } } });
  wanted.set("cart", { ...wantedCondition("cart", "x"), resourceVersion });
  begin();
  await clock.pass(60_000);
  const conflicts = host.metric("status_writes_total{kind=Service,result=conflict}");
  assert.ok(conflicts > 3 && conflicts < 15, `${conflicts}`);
  assert.equal(conditions("cart"), undefined);
  const now = server.get(SERVICES, "shop", "cart")!.metadata["resourceVersion"] as string;
  wanted.set("cart", { ...wantedCondition("cart", "x"), resourceVersion: now });
  await clock.pass(60_000);
  assert.equal(conditions("cart")?.length, 1);
});
