import assert from "node:assert/strict";
import { test } from "mocha";
import type { PeerStatus } from "../../../src/registry/model/peer.ts";
import { seededRandom } from "../world.ts";
import { heldBy } from "./held-view.ts";
import { PeersLab } from "./lab.ts";
import type { ModelWorld } from "./model.ts";
import { ANCHOR, worldOf } from "./mutations.ts";

const NAMES = ["east", "west", "north"];
const STALE = { graceMs: 1_800_000, policy: "retain" } as const;

/** Three clusters that all read each other, each with two pods of `bank/till`. */
async function linked(networkOf: (name: string) => string): Promise<PeersLab> {
  const random = seededRandom(1);
  const world: ModelWorld = new Map(
    [...worldOf(NAMES, random)].map(([name, cluster]) => [
      name,
      {
        ...{ ...cluster, network: networkOf(name), trustDomain: "cluster.local", eastWest: "istio-eastwest" },
        gateways: new Map(
          NAMES.filter((peer) => peer !== name).map((peer) => [peer, { doors: 1, region: "", mistaken: undefined }]),
        ),
      },
    ]),
  );
  const lab = new PeersLab(world, random, STALE);
  for (const site of lab.sites.values()) {
    lab.start(site);
    lab.join(site);
  }
  await lab.pass(10_000);
  lab.check();
  return lab;
}

const statusAt = (lab: PeersLab, at: string, peer: string): PeerStatus =>
  [...lab.site(at).plane!.registry.peers.statuses.entries()].find(([cluster]) => cluster === peer)![1];

/** What the ztunnel of a cluster would call for `bank/till`. */
const called = (lab: PeersLab, at: string): readonly string[] =>
  heldBy(
    lab.clients.find(({ site }) => site === at)!,
    lab.world,
  ).services["bank/till.bank.mesh.internal"]!.endpoints;

const ALL_PODS = NAMES.flatMap((name) => [`pod ${name}/bank/p8`, `pod ${name}/bank/p9`]).sort();

for (const state of ["kept", "lost"] as const)
  test(`on a flat network nothing is left of pods that went during an outage, a minute after it (T13, state ${state})`, async () => {
    const lab = await linked(() => "net-all");
    assert.deepEqual(called(lab, "east"), ALL_PODS);
    const west = lab.site("west");
    west.plane!.kill();
    west.plane = undefined;
    if (state === "lost") west.disk.wipe();
    const { pods } = lab.world.get("west")!;
    for (let churn = 0; churn < 63; churn++) {
      pods.delete(`bank/p${(churn + 8) % 10}`);
      pods.set(`bank/p${churn % 10}`, { app: "till", ready: true, account: "till" });
      lab.follow("west");
      await lab.pass(10_000);
    }
    assert.deepEqual(called(lab, "east"), ALL_PODS, "what nobody withdrew is called");
    lab.start(west);
    await lab.pass(60_000);
    lab.check();
    const left = [...pods.keys()].filter((pod) => pod.startsWith("bank/p"));
    assert.deepEqual(left, ["bank/p1", "bank/p2"]);
    assert.deepEqual(
      called(lab, "east").filter((pod) => pod.includes("west")),
      left.map((pod) => `pod west/${pod}`),
    );
  });

test("packets that are lost in one direction end both links within a minute, both sides say so, and it heals by itself (fault 13)", async () => {
  const lab = await linked((name) => `net-${name}`);
  lab.net.cut("east", "west");
  await lab.pass(60_000);
  for (const [at, peer] of [
    ["east", "west"],
    ["west", "east"],
  ] as const) {
    const { state, staleness, message } = statusAt(lab, at, peer);
    assert.deepEqual([state, staleness], ["stale", "within-grace"], `${at} of ${peer}`);
    assert.notEqual(message, "");
    assert.equal(called(lab, at).includes(`all of ${peer}/${ANCHOR}`), true);
  }
  assert.equal(statusAt(lab, "east", "north").state, "live");
  lab.net.heal();
  await lab.pass(45_000);
  assert.deepEqual([statusAt(lab, "east", "west").state, statusAt(lab, "west", "east").state], ["live", "live"]);
  lab.check();
});

test("who gets the address of a peer, and is of another cluster, takes nothing of it away (seeds 24 and 100)", async () => {
  const lab = await linked((name) => `net-${name}`);
  lab.misdirected.set("east>west", "north");
  for (const connection of [...lab.net.connections]) if (connection.isBetween("east", "west")) connection.reset();
  await lab.pass(120_000);
  assert.equal(statusAt(lab, "east", "west").reason, "IdentityMismatch");
  assert.equal(called(lab, "east").includes(`all of west/${ANCHOR}`), true);
  lab.misdirected.clear();
  await lab.pass(45_000);
  assert.equal(statusAt(lab, "east", "west").state, "live");
  lab.check();
});

test("a peer that is killed and takes all back before it knows anything is not believed (fault 12)", async () => {
  const lab = await linked((name) => `net-${name}`);
  const west = lab.site("west");
  west.plane!.kill();
  west.plane = undefined;
  west.premature = true;
  await lab.pass(300_000);
  assert.equal(called(lab, "east").includes(`all of west/${ANCHOR}`), true);
  lab.start(west);
  await lab.pass(45_000);
  lab.check();
});
