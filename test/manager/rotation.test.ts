import assert from "node:assert/strict";
import { test } from "mocha";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import { RootRotation, rotationMemoryOf } from "../../src/manager/rotation/rotation.ts";
import { clusterId } from "../../src/names.ts";
import type { ClusterReport } from "../../src/relay/messages.ts";
import { VirtualClock } from "../sim/world.ts";
import { madeUp, testRoot, type TestRoot } from "./test-roots.ts";

const HOUR_MS = 3_600_000;
const WAIT_MS = 24 * HOUR_MS;
const [east, west, south] = [clusterId("east"), clusterId("west"), clusterId("south")];
const [a, b, c] = await Promise.all([testRoot("root a"), testRoot("root b"), testRoot("root c")]);

/** More than are kept of one cluster. */
const many = [c, ...(await Promise.all(Array.from({ length: 80 }, (_, at) => testRoot(`root ${at}`))))];

let made = 0;
const intermediate = (): Uint8Array => madeUp(a.der, ++made);

function said(clock: VirtualClock, roots: readonly TestRoot[], signing?: TestRoot, waitMs = WAIT_MS): ClusterReport {
  return {
    generation: "g",
    roots: roots.map(({ der }) => der),
    chain: signing ? [intermediate()] : [],
    signingRoot: signing && fingerprintOf(signing.der),
    rootWaitMs: waitMs,
    ...{ waits: [], problems: [], restarts: [], clock: clock.now(), version: "1" },
  };
}

/** Two clusters that sign under root a. */
function mesh(clock = new VirtualClock(), { waitMs = WAIT_MS } = {}) {
  const rotation = new RootRotation(clock);
  rotation.registered(new Set([east, west]));
  rotation.want({ signing: a.der, beside: [], passive: [] });
  for (const cluster of [east, west]) rotation.reported(cluster, said(clock, [a], a, waitMs));
  return { clock, rotation };
}

const pass = (clock: VirtualClock, rotation: RootRotation, ms: number): void => {
  clock.advance(ms);
  rotation.advance();
};

/** As `a b`, by the roots that a cluster is told to trust. */
const told = (rotation: RootRotation, cluster = east): string =>
  rotation
    .stanceOf(cluster)!
    .roots.map((der) => [a, b, c].findIndex((root) => Buffer.from(root.der).equals(der)))
    .map((at) => "abc"[at] ?? "?")
    .sort()
    .join(" ");
const signer = (rotation: RootRotation, cluster = east): string | undefined => {
  const wanted = rotation.stanceOf(cluster)?.signingRoot;
  const at = [a, b, c].findIndex(({ der }) => fingerprintOf(der) === wanted);
  return wanted === undefined ? undefined : "abc"[at];
};

test("a change goes ADD, SWITCH, WAIT, REMOVE, and each step waits for each cluster's own word and then for the wait", () => {
  const { clock, rotation } = mesh();
  assert.equal(rotation.view.phase, "steady");
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  assert.equal(rotation.view.phase, "add");
  assert.deepEqual([told(rotation), signer(rotation)], ["a b", "a"]);
  rotation.reported(east, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS * 3);
  assert.equal(rotation.view.phase, "add", "west has said nothing");
  rotation.reported(west, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS - 1);
  assert.equal(rotation.view.phase, "add");
  pass(clock, rotation, 1);
  assert.equal(rotation.view.phase, "switch");
  assert.deepEqual([signer(rotation), signer(rotation, west)], ["b", "b"]);
  rotation.reported(east, said(clock, [a, b], b));
  pass(clock, rotation, WAIT_MS * 3);
  assert.equal(rotation.view.phase, "switch", "west has not switched");
  rotation.reported(west, said(clock, [a, b], b));
  rotation.want({ signing: b.der, beside: [], passive: [] });
  pass(clock, rotation, WAIT_MS - 1);
  assert.deepEqual([rotation.view.phase, told(rotation)], ["wait", "a b"]);
  pass(clock, rotation, 1);
  assert.deepEqual([rotation.view.phase, told(rotation)], ["remove", "b"]);
  rotation.reported(east, said(clock, [b], b));
  assert.equal(rotation.view.phase, "remove", "west trusts it still");
  rotation.reported(west, said(clock, [b], b));
  assert.deepEqual([rotation.view.phase, rotation.view.notes], ["steady", []]);
});

test("a manager that has lost its memory moves no cluster to another root while one that may share the old one is silent", () => {
  const clock = new VirtualClock();
  const rotation = new RootRotation(clock);
  rotation.registered(new Set([east, west]));
  rotation.want({ signing: b.der, beside: [], passive: [] });
  rotation.connected(east);
  assert.equal(rotation.stanceOf(east), undefined, "an order would take out what it has not said yet");
  rotation.reported(east, said(clock, [a], a));
  assert.deepEqual([told(rotation), signer(rotation)], ["a b", undefined]);
  rotation.reported(east, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS * 3);
  assert.equal(signer(rotation), undefined, "what west trusts is not known");
  assert.match(rotation.view.notes.join(), /west is registered and never called.* delete its KubernetesCluster/);
  rotation.reported(west, said(clock, [a], a));
  pass(clock, rotation, WAIT_MS * 3);
  assert.equal(signer(rotation), undefined, "west trusts root a alone");
  rotation.reported(west, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS);
  assert.deepEqual([signer(rotation), signer(rotation, west)], ["b", "b"]);
});

test("a cluster that is registered no more for a moment makes no root go that it uses; one that stays away does", () => {
  const changing = () => {
    const lab = mesh();
    lab.rotation.want({ signing: b.der, beside: [a.der], passive: [] });
    for (const cluster of [east, west]) lab.rotation.reported(cluster, said(lab.clock, [a, b], a));
    pass(lab.clock, lab.rotation, WAIT_MS);
    lab.rotation.reported(east, said(lab.clock, [a, b], b));
    lab.rotation.want({ signing: b.der, beside: [], passive: [] });
    return lab;
  };
  const { clock, rotation } = changing();
  rotation.registered(new Set());
  pass(clock, rotation, 60_000);
  rotation.registered(new Set([east, west]));
  pass(clock, rotation, WAIT_MS * 3);
  assert.deepEqual([rotation.view.phase, told(rotation)], ["switch", "a b"], "west signs under root a");
  rotation.registered(new Set([east]));
  assert.match(rotation.view.notes.join(), /registered no more, and counts for two minutes yet/);
  assert.ok(rotation.nextChangeMs()! <= 120_000);
  pass(clock, rotation, 120_000);
  assert.deepEqual([rotation.view.phase, told(rotation)], ["remove", "b"]);
});

test("what one cluster says does not fill the memory of all, whatever it makes up", () => {
  const { clock, rotation } = mesh();
  const size = (): number => JSON.stringify(rotation.remembered()).length;
  const before = size();
  for (let at = 0; at < 1_500; at++)
    rotation.reported(west, { ...said(clock, [a], a), signingRoot: fingerprintOf(intermediate()) });
  for (let at = 0; at < 1_500; at++) rotation.given(west, { chain: [intermediate()], root: a.der });
  assert.ok(size() - before < 80_000, `${size() - before} characters more`);
  assert.equal(rotation.whyNoStance(west), undefined);
  rotation.reported(west, said(clock, [a, ...many], c));
  assert.match(rotation.whyNoStance(west)!, /west trusts more roots of its own than can be kept/);
  assert.ok(size() - before < 80_000, `${size() - before} characters more`);
  assert.deepEqual([told(rotation), signer(rotation)], ["a", "a"], "east is told what it was told");
  rotation.reported(west, said(clock, [a], a));
  assert.equal(rotation.whyNoStance(west), undefined);
});

test("a manager that begins anew goes on where the last one was", () => {
  const { clock, rotation } = mesh();
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  for (const cluster of [east, west]) rotation.reported(cluster, said(clock, [a, b], a));
  const again = new RootRotation(clock, rotationMemoryOf(JSON.stringify(rotation.remembered())));
  assert.deepEqual(again.view, rotation.view);
  assert.deepEqual([told(again), signer(again)], ["a b", "a"]);
  pass(clock, again, WAIT_MS);
  assert.equal(again.view.phase, "switch");
});

test("a root that is replaced without overlap is refused with the plan that would work, and the old one goes on", () => {
  const { rotation } = mesh();
  rotation.want({ signing: b.der, beside: [], passive: [] });
  assert.equal(rotation.view.phase, "refused");
  const [plan] = rotation.view.notes;
  const title = (name: string, { der }: TestRoot) => `"root ${name}" (${fingerprintOf(der).slice(0, 8)})`;
  assert.match(plan!, new RegExp("1\\. put the certificate of .* into config\\.passiveCertificateAuthorities"));
  assert.ok(plan!.includes(title("a", a)) && plan!.includes(title("b", b)), plan);
  assert.deepEqual([told(rotation), signer(rotation)], ["a", "a"]);
  rotation.want({ signing: b.der, beside: [], passive: [a.der] });
  assert.equal(rotation.view.phase, "add", "the plan works");
});

test("a third root waits until a change is over", () => {
  const { rotation } = mesh();
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  rotation.want({ signing: c.der, beside: [a.der, b.der], passive: [] });
  assert.equal(rotation.view.phase, "add");
  assert.match(rotation.refusal, /third root waits/);
  assert.equal(told(rotation), "a b");
});

test("a cluster that joins with nothing gets the root that signs at once, one with a root of its own has to learn first", () => {
  const { clock, rotation } = mesh();
  assert.equal(signer(rotation, south), undefined, "nothing is known of it");
  rotation.reported(south, said(clock, []));
  assert.deepEqual([told(rotation, south), signer(rotation, south)], ["a", "a"]);
  rotation.reported(west, said(clock, [c], c));
  assert.deepEqual([told(rotation, west), signer(rotation, west), told(rotation)], ["a c", undefined, "a"]);
  rotation.reported(west, said(clock, [a, c], c));
  pass(clock, rotation, WAIT_MS);
  assert.equal(signer(rotation, west), "a");
  rotation.reported(west, said(clock, [a, c], a));
  assert.equal(told(rotation, west), "a c");
  pass(clock, rotation, WAIT_MS);
  assert.equal(told(rotation, west), "a");
});

test("a cluster that joins when a change was turned back before anybody switched signs under the root that stays", () => {
  const { rotation, clock } = mesh();
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  rotation.reported(east, said(clock, [a, b], a));
  rotation.connected(south);
  rotation.want({ signing: a.der, beside: [b.der], passive: [] });
  rotation.reported(south, said(clock, []));
  assert.deepEqual([signer(rotation), signer(rotation, west), signer(rotation, south)], ["a", "a", "a"]);
});

test("a change that is turned back after some switched has them switch back at once, and the new root leaves when it is unused", () => {
  const { rotation, clock } = mesh();
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  for (const cluster of [east, west]) rotation.reported(cluster, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS);
  rotation.reported(east, said(clock, [a, b], b));
  rotation.want({ signing: a.der, beside: [], passive: [] });
  assert.deepEqual([rotation.view.phase, signer(rotation), told(rotation)], ["switch", "a", "a b"]);
  rotation.reported(east, said(clock, [a, b], a));
  pass(clock, rotation, WAIT_MS);
  assert.deepEqual([rotation.view.phase, told(rotation)], ["remove", "a"]);
});

test("a clock that is a day ahead when the manager begins again shortens no wait", () => {
  const { rotation, clock } = mesh();
  rotation.want({ signing: b.der, beside: [a.der], passive: [] });
  for (const cluster of [east, west]) rotation.reported(cluster, said(clock, [a, b], a));
  const memory = rotationMemoryOf(JSON.stringify(rotation.remembered()));
  const fast = { ...{ elapsedMs: () => clock.elapsedMs() }, now: () => clock.now() + WAIT_MS, after: clock.after };
  const again = new RootRotation(fast, memory);
  for (const cluster of [east, west]) again.reported(cluster, said(clock, [a, b], a));
  assert.equal(again.view.phase, "add");
  clock.advance(WAIT_MS);
  again.advance();
  assert.equal(again.view.phase, "switch");
});

test("a root whose certificate was renewed with its key is the same root, and nothing changes its phase", () => {
  const { rotation } = mesh();
  rotation.want({ signing: a.renewed, beside: [], passive: [] });
  assert.deepEqual([rotation.view.phase, rotation.refusal], ["steady", ""]);
  assert.equal(rotation.stanceOf(east)!.signingRoot, fingerprintOf(a.renewed));
});

test("a passive root that is in use stays when it is taken out, until nothing under it lives", () => {
  const { rotation, clock } = mesh();
  rotation.want({ signing: a.der, beside: [], passive: [c.der] });
  rotation.reported(south, said(clock, [a, c], c));
  rotation.want({ signing: a.der, beside: [], passive: [] });
  assert.equal(told(rotation), "a c");
  assert.match(rotation.view.notes.join(), /stays trusted, as cluster south may sign under it/);
  rotation.registered(new Set([east, west]));
  pass(clock, rotation, 120_000);
  assert.equal(told(rotation), "a", "nobody registers it any more");
});
