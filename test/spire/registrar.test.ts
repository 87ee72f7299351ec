import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { Registrar, type Registration } from "../../src/spire/registrar.ts";
import type { EntryToBe } from "../../src/spire/registration-plan.ts";
import type { SpireEntry } from "../../src/spire/spire.ts";
import { FakeSpireServer } from "../kits/fake-spire-server.ts";
import { TestHost } from "../kits/test-host.ts";

const AGENT = "spiffe://cluster.local/spire/agent/k8s_psat/east/uid-of-n1";

const entry = (pod: string, more: Partial<EntryToBe> = {}): EntryToBe => ({
  id: `ours.${pod}`,
  spiffeId: `spiffe://cluster.local/ns/shop/sa/${pod.replace(/-.*/, "")}`,
  node: "n1",
  selectors: [`k8s:pod-uid:${pod}`, "k8s:ns:shop"],
  x509SvidTtlSeconds: 0,
  federatesWith: [],
  dnsNames: [],
  hint: "",
  ...more,
});
const stored = ({ node: _, ...wanted }: EntryToBe, more: Partial<SpireEntry> = {}): SpireEntry => ({
  ...{ ...wanted, parentId: AGENT },
  ...{ admin: false, downstream: false, expiresAt: undefined, ...more },
});

/** A registrar that leads, of what `want` says, over a server that has `there`. */
function registering(want: readonly EntryToBe[], there: readonly SpireEntry[] = [], share = 0.3) {
  const host = new TestHost();
  const server = new FakeSpireServer();
  for (const one of there) server.put(one);
  const world = {
    leads: true,
    wanted: want,
    keep: new Set<string>(),
    paused: undefined as string | undefined,
    parents: new Map([["n1", AGENT]]),
  };
  const registration: Registration = {
    wanted: () => new Map(world.wanted.map((one) => [one.id, one])),
    isOwn: (id) => id.startsWith("ours."),
    removable:
      () =>
      ({ id }) =>
        !world.keep.has(id),
    paused: () => world.paused,
    parents: () => (node) => world.parents.get(node),
    stateChanged: () => {},
  };
  const registrar = new Registrar(host, server, registration, share);
  registrar.begin({ lives: () => world.leads });
  const want_ = async (wanted: readonly EntryToBe[], passMs = 1_000): Promise<void> => {
    world.wanted = wanted;
    registrar.noteChange();
    await host.clock.pass(passMs);
  };
  return { host, server, registrar, world, want: want_, pass: (ms: number) => host.clock.pass(ms) };
}
const ids = ({ all }: FakeSpireServer): readonly string[] => all.map(({ id }) => id).sort();
const writes = ({ calls }: FakeSpireServer): readonly string[] =>
  calls.filter((call) => /^(create|update|delete)/.test(call));

test("what is wanted is made, once, and nothing of it is asked again", async () => {
  const { server, registrar, pass } = registering([entry("cart-1"), entry("cart-2")]);
  await pass(600_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.cart-2"]);
  assert.deepEqual(writes(server), ["create 2"]);
  assert.equal(registrar.state.phase, "settled");
  assert.equal(registrar.state.registered, 2);
  assert.ok(server.calls.filter((call) => call === "list").length >= 9, "it looks again from time to time");
});

test("an entry of ours that somebody changed or deleted is as it was within a minute", async () => {
  const { server, pass } = registering([entry("cart-1"), entry("cart-2")]);
  await pass(1_000);
  server.put(stored(entry("cart-1"), { admin: true }));
  server.remove("ours.cart-2");
  await pass(61_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.cart-2"]);
  assert.equal(
    server.all.some(({ admin }) => admin),
    false,
  );
  assert.deepEqual(writes(server).slice(1).sort(), ["create 1", "update 1"]);
});

test("a changed wish is an update, and so is another agent of its node; the order of a list is no change", async () => {
  const { server, world, want, pass } = registering([entry("cart-1")]);
  await want([entry("cart-1", { selectors: ["k8s:ns:shop", "k8s:pod-uid:cart-1"] })]);
  assert.deepEqual(writes(server), ["create 1"]);
  await want([entry("cart-1", { hint: "x" })]);
  assert.deepEqual(writes(server), ["create 1", "update 1"]);
  world.parents.set("n1", `${AGENT}-anew`);
  await pass(31_000);
  assert.deepEqual(writes(server), ["create 1", "update 1", "update 1"]);
  assert.equal(server.all[0]!.parentId, `${AGENT}-anew`);
});

test("an entry of a pod that went goes half a minute later, and entries of others never", async () => {
  const others = [stored(entry("web-9", { id: "controller.1" })), stored(entry("web-8", { id: "5e6f" }))];
  const { server, want, pass } = registering([entry("cart-1"), entry("web-1")], others);
  await pass(1_000);
  await want([entry("cart-1")], 25_000);
  assert.ok(ids(server).includes("ours.web-1"), "a pod that we have not seen yet looks the same");
  await want([entry("cart-1")], 10_000);
  assert.deepEqual(ids(server), ["5e6f", "controller.1", "ours.cart-1"]);
});

test("a pod that is back in time keeps its entry", async () => {
  const { server, want, pass } = registering([entry("cart-1"), entry("web-1")]);
  await pass(1_000);
  await want([entry("cart-1")], 20_000);
  await want([entry("cart-1"), entry("web-1")], 20_000);
  await want([entry("cart-1")], 25_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.web-1"]);
  assert.deepEqual(writes(server), ["create 2"]);
});

test("what is not certainly for nobody stays", async () => {
  const { server, world, want, pass } = registering([entry("cart-1"), entry("web-1")]);
  await pass(1_000);
  world.keep.add("ours.web-1");
  await want([entry("cart-1")], 300_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.web-1"]);
  world.keep.clear();
  await pass(61_000);
  assert.deepEqual(ids(server), ["ours.cart-1"]);
});

test("an entry that somebody else has made already is left to them", async () => {
  const theirs = stored(entry("cart-1", { id: "controller.1" }));
  const { server, registrar, pass } = registering([entry("cart-1")], [theirs]);
  await pass(200_000);
  assert.deepEqual(writes(server), []);
  assert.equal(registrar.state.elsewhere, 1);
});

test("one that somebody else makes between our look and our call is no failure", async () => {
  const { server, registrar, pass } = registering([entry("cart-1"), entry("cart-2")]);
  server.before = (call) => {
    if (call.startsWith("create") && server.all.length === 0)
      server.put(stored(entry("cart-1", { id: "controller.1" })));
    return Promise.resolve();
  };
  await pass(30_000);
  assert.deepEqual(ids(server), ["controller.1", "ours.cart-2"]);
  assert.deepEqual(writes(server), ["create 2"]);
  assert.equal(registrar.state.phase, "settled");
  assert.equal(registrar.state.elsewhere, 1);
  assert.equal(registrar.state.refused.size, 0);
});

test("a pod whose node has no agent waits, its entry from before stays, and agents are asked for again soon", async () => {
  const there = stored(entry("cart-1"));
  const { server, registrar, world, pass } = registering([entry("cart-1"), entry("web-1")], [there]);
  world.parents.delete("n1");
  await pass(60_000);
  assert.deepEqual(ids(server), ["ours.cart-1"]);
  assert.deepEqual(writes(server), []);
  assert.deepEqual(
    registrar.state.waiting.map(({ id }) => id),
    ["ours.web-1"],
  );
  assert.ok(server.calls.filter((call) => call === "agents").length >= 10);
  world.parents.set("n1", AGENT);
  await pass(6_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.web-1"]);
});

test("what the server refuses is told, and tried again with the next full look, not in between", async () => {
  const west = { federatesWith: ["west.example"] };
  const { server, registrar, want, pass } = registering([entry("cart-1", west), entry("web-1")]);
  server.refuses = ({ federatesWith }) => (federatesWith.length > 0 ? "unable to find federated bundle" : undefined);
  await pass(1_000);
  assert.deepEqual([...registrar.state.refused], [["ours.cart-1", "unable to find federated bundle"]]);
  assert.deepEqual(ids(server), ["ours.web-1"]);
  await want([entry("cart-1", west), entry("web-1"), entry("web-2")]);
  assert.deepEqual(writes(server), ["create 2", "create 1"]);
  server.refuses = () => undefined;
  await pass(61_000);
  assert.ok(ids(server).includes("ours.cart-1"));
  assert.equal(registrar.state.refused.size, 0);
});

test("what the server refused is asked for at once when it is wanted otherwise", async () => {
  const { server, registrar, want, pass } = registering([entry("cart-1", { federatesWith: ["west.example"] })]);
  server.refuses = ({ federatesWith }) => (federatesWith.length > 0 ? "unable to find federated bundle" : undefined);
  await pass(1_000);
  assert.equal(registrar.state.refused.size, 1);
  await want([entry("cart-1")]);
  assert.deepEqual(ids(server), ["ours.cart-1"]);
  assert.equal(registrar.state.refused.size, 0);
});

test("a server that is down is asked less and less, takes nothing away, and has all once it is back", async () => {
  const { host, server, registrar, want, pass } = registering([entry("cart-1")]);
  await pass(1_000);
  server.down = new MeshError("unavailable", "the SPIRE server does not answer");
  await pass(61_000);
  server.calls.length = 0;
  await want([entry("cart-1"), entry("web-1")], 600_000);
  assert.equal(registrar.state.phase, "failing");
  assert.equal(registrar.state.reason, "the SPIRE server does not answer");
  assert.equal(registrar.state.registered, 1);
  assert.ok(server.calls.length >= 9 && server.calls.length <= 30, `${server.calls.length} calls in ten minutes`);
  assert.equal(host.lines.filter((line) => line.startsWith("warn spire")).length, 1);
  server.down = undefined;
  await pass(61_000);
  assert.deepEqual(ids(server), ["ours.cart-1", "ours.web-1"]);
  assert.equal(registrar.state.phase, "settled");
});

test("a replica that does not lead writes nothing; one that loses its lease stops between two calls", async () => {
  const many = Array.from({ length: 1_000 }, (_, at) => entry(`cart-${at}`));
  const { server, registrar, world, pass } = registering(many);
  server.before = (call) => {
    if (call.startsWith("create") && server.all.length >= 200) world.leads = false;
    return Promise.resolve();
  };
  await pass(120_000);
  assert.equal(server.all.length, 300);
  registrar.end();
  assert.equal(registrar.state.phase, "idle");
  world.leads = true;
  registrar.noteChange();
  await pass(120_000);
  assert.equal(server.all.length, 300);
  registrar.begin({ lives: () => true });
  await pass(5_000);
  assert.equal(server.all.length, 1_000);
});

test("a term that begins while a call of the last one is under way writes all the same", async () => {
  const { server, registrar, pass } = registering([entry("cart-1")]);
  let answer = (): void => {};
  server.before = (call) => (call === "list" ? new Promise((resolve) => (answer = resolve)) : Promise.resolve());
  await pass(1_000);
  registrar.end();
  registrar.begin({ lives: () => true });
  await pass(1_000);
  server.before = () => Promise.resolve();
  answer();
  await pass(2_000);
  assert.deepEqual(ids(server), ["ours.cart-1"]);
});

test("while it may not write it asks the server nothing, and says why", async () => {
  const { server, registrar, world, pass } = registering([entry("cart-1")]);
  world.paused = "a controller makes them";
  await pass(120_000);
  assert.deepEqual(server.calls, []);
  assert.equal(registrar.state.reason, "a controller makes them");
  world.paused = undefined;
  registrar.noteChange();
  await pass(1_000);
  assert.deepEqual(ids(server), ["ours.cart-1"]);
});

test("more identities that end at once than a share of all are held back, and told; with leave they go", async () => {
  const many = Array.from({ length: 100 }, (_, at) => entry(`svc${at}-1`));
  const { server, registrar, want, pass } = registering(many);
  await pass(1_000);
  await want(many.slice(0, 50), 300_000);
  assert.equal(server.all.length, 100);
  assert.equal(registrar.state.held, 50);
  await want(many.slice(0, 75), 60_000);
  assert.equal(registrar.state.held, 0);
  assert.equal(server.all.length, 75);
  const allowed = registering(
    many.slice(0, 1),
    many.map((one) => stored(one)),
    1,
  );
  await allowed.pass(40_000);
  assert.deepEqual(ids(allowed.server), ["ours.svc0-1"]);
});

test("a rollout replaces all entries however many, a bounded share at a time, since their identities go on", async () => {
  const generation = (which: number) => Array.from({ length: 100 }, (_, at) => entry(`svc${at}-${which}`));
  const { server, registrar, want, pass } = registering(generation(1));
  await pass(1_000);
  await want(generation(2), 31_000);
  const left = server.all.length;
  assert.ok(left > 100 && left < 200, `${left} of 200 are left after the first round`);
  await want(generation(2), 30_000);
  assert.deepEqual(
    ids(server),
    generation(2)
      .map(({ id }) => id)
      .sort(),
  );
  assert.equal(registrar.state.held, 0);
});

test("ten thousand pods are registered in calls of a hundred, and a second look changes nothing", async () => {
  const many = Array.from({ length: 10_000 }, (_, at) => entry(`svc${at % 500}-${at}`));
  const { server, registrar, want, pass } = registering(many);
  await pass(1_000);
  assert.equal(server.all.length, 10_000);
  assert.deepEqual(
    writes(server),
    Array.from({ length: 100 }, () => "create 100"),
  );
  server.calls.length = 0;
  await pass(65_000);
  assert.equal(server.calls.filter((call) => call === "list").length, 20);
  assert.deepEqual(writes(server), []);
  const churned = [...many.slice(0, 9_990), ...Array.from({ length: 10 }, (_, at) => entry(`svc${at}-new${at}`))];
  await want(churned, 40_000);
  assert.deepEqual(writes(server), ["create 10", "delete 10"]);
  assert.equal(registrar.state.registered, 10_000);
});
