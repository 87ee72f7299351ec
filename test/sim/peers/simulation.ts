import assert from "node:assert/strict";
import { seededRandom } from "../world.ts";
import { Faults, type FaultTally } from "./faults.ts";
import { PeersLab } from "./lab.ts";
import { mend, mutate, worldOf } from "./mutations.ts";

export interface PeersTally extends FaultTally {
  changes: number;
  graces: number;
  responses: number;
  rejections: number;
  losses: number;
}

const NAMES = ["east", "west", "north", "south"];
const STEPS = 20;
/** Longer than any patience: a keepalive, a back-off, a client that does not answer. */
const CALM_MS = 150_000;
const GRACE_MS = 120_000;

/**
 * Three or four control planes that peer, with faults 10 to 16 of contract operations.md 3.4 as a seed picks them. While
 * they last nothing of a peer goes without evidence; once they end every ztunnel holds what all objects say.
 */
class PeersSimulation {
  readonly lab: PeersLab;
  readonly #faults: Faults;
  #changes = 0;
  #graces = 0;

  constructor(seed: number) {
    const random = seededRandom(seed);
    const world = worldOf(NAMES.slice(0, random.chance(0.3) ? 4 : 3), random);
    const policy = random.pick(["retain", "retain", "unhealthy", "remove"] as const);
    const lab = (this.lab = new PeersLab(world, random, { graceMs: GRACE_MS, policy }));
    this.#faults = new Faults(lab);
    for (const site of lab.sites.values()) {
      for (let ztunnels = random.chance(0.3) ? 2 : 1; ztunnels > 0; ztunnels--) lab.join(site);
      lab.clock.after(random.below(10_000), () => lab.start(site));
    }
  }

  async run(): Promise<PeersTally> {
    const { lab } = this;
    const { random, clients } = lab;
    lab.faulty = true;
    await lab.pass(random.below(30_000));
    for (let step = 0; step < STEPS; step++) {
      for (let changes = random.below(4); changes > 0; changes--) this.#mutate();
      await this.#faults.next();
      const isLong = random.chance(0.05);
      if (isLong) this.#graces += 1;
      await lab.pass(isLong ? GRACE_MS * 1.5 : random.below(12_000));
    }
    await this.#calm();
    lab.check();
    const sum = (of: "responses" | "rejections"): number => clients.reduce((all, client) => all + client[of], 0);
    const seen = { responses: sum("responses"), rejections: sum("rejections"), losses: lab.evidence.checks };
    return { ...this.#faults.tally, ...seen, changes: this.#changes, graces: this.#graces };
  }

  #mutate(): void {
    const { cluster, what } = mutate(this.lab.world, this.lab.random);
    this.#changes += 1;
    this.lab.say(`${cluster}: ${what}`);
    this.lab.follow(cluster);
  }

  async #calm(): Promise<void> {
    const { lab } = this;
    lab.faulty = false;
    this.#faults.heal();
    lab.net.delayMs = 40;
    mend(lab.world);
    lab.follow();
    await lab.pass(CALM_MS);
    // What a client rejected it gets when it returns, or once that has changed.
    for (const client of lab.clients) client.reconnect();
    await lab.pass(5_000);
  }
}

/** Runs one seed. @throws Error naming the seed and what was done to its world, with what went wrong as its cause. */
export async function simulatePeers(seed: number): Promise<PeersTally> {
  const simulation = new PeersSimulation(seed);
  try {
    return await simulation.run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const story = [describe(error), ...simulation.lab.trace].join("\n");
    throw new Error(`peers, seed ${seed}: ${why}\n${story}`, { cause: error });
  }
}

/** What two values that should be equal are. */
function describe(error: unknown): string {
  if (!(error instanceof assert.AssertionError) || error.operator !== "deepStrictEqual") return "";
  return `found ${JSON.stringify(error.actual)}\nright ${JSON.stringify(error.expected)}`;
}
