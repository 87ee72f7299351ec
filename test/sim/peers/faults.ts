import { type PeersLab, proofOf, type Site } from "./lab.ts";
import { Rogue } from "./rogue.ts";

/** How much happened: a world where nothing does proves nothing. */
export interface FaultTally {
  cuts: number;
  oneWayCuts: number;
  resets: number;
  freezes: number;
  stops: number;
  kills: number;
  wipes: number;
  premature: number;
  misdirected: number;
  clashes: number;
  refusedClashes: number;
}

/** Faults 10 to 16 of contract operations.md 3.4, as they are done to a lab. */
export class Faults {
  readonly #lab: PeersLab;
  readonly tally: FaultTally = {
    ...{ cuts: 0, oneWayCuts: 0, resets: 0, freezes: 0, stops: 0, kills: 0, wipes: 0, premature: 0 },
    ...{ misdirected: 0, clashes: 0, refusedClashes: 0 },
  };

  constructor(lab: PeersLab) {
    this.#lab = lab;
  }

  /** One of them, or that all are over; most often nothing. */
  async next(): Promise<void> {
    const { random, sites, net } = this.#lab;
    const [one, other] = [random.pick([...sites.values()]), random.pick([...sites.values()])];
    const what = random.below(24);
    if (what < 3) this.cut(one, other);
    else if (what === 3) for (const each of sites.values()) this.cut(one, each);
    else if (what < 6) this.reset(one, other);
    else if (what === 6) this.freeze(one);
    else if (what < 10) await this.restart(one);
    else if (what === 10) this.misdirect(one, other);
    else if (what === 11) this.clash(one, other);
    else if (what === 12) net.delayMs = random.pick([40, 500, 3_000]);
    else if (what < 16) this.heal();
  }

  /** Packets are lost in one direction, or in both; perhaps data's, too. */
  cut({ name: one }: Site, { name: other }: Site): void {
    if (one === other) return;
    const { net, random, dataCuts } = this.#lab;
    const direction = random.below(3);
    this.#lab.say(`${one} ${["to", "from", "to and from"][direction]} ${other} is cut`);
    if (direction !== 1) net.cut(one, other);
    if (direction !== 0) net.cut(other, one);
    this.tally[direction === 2 ? "cuts" : "oneWayCuts"] += 1;
    if (random.chance(0.5)) dataCuts.add(`${one}>${other}`).add(`${other}>${one}`);
  }

  heal(): void {
    const { net, dataCuts, misdirected } = this.#lab;
    this.#lab.say("all is healed");
    net.heal();
    dataCuts.clear();
    misdirected.clear();
  }

  /** Connections break, and what is under way by them is lost: acknowledgements, too. */
  reset({ name: one }: Site, { name: other }: Site): void {
    for (const connection of [...this.#lab.net.connections])
      if (connection.isBetween(one, other)) {
        connection.reset();
        this.tally.resets += 1;
      }
  }

  /** As by SIGSTOP, and SIGCONT within a minute. */
  freeze({ plane, name }: Site): void {
    if (plane === undefined || plane.process.frozen) return;
    this.tally.freezes += 1;
    this.#lab.say(`${name} is frozen`);
    plane.process.freeze();
    this.#lab.clock.after(1_000 + this.#lab.random.below(60_000), () => plane.process.thaw());
  }

  /** With or without a farewell, and with or without what is on its disk; others may speak in its place meanwhile. */
  async restart(site: Site): Promise<void> {
    const { plane } = site;
    const { clock, random } = this.#lab;
    if (plane === undefined || plane.process.frozen || !plane.serving) return;
    const kind = random.pick(["stop", "kill", "kill", "wipe"] as const);
    this.#lab.say(`${site.name}: ${kind}`);
    site.plane = undefined;
    if (kind === "stop") await plane.stop();
    else plane.kill();
    if (kind === "stop") this.tally.stops += 1;
    else {
      this.tally.kills += 1;
      site.killedAtMs = clock.elapsedMs();
    }
    if (kind === "wipe") {
      this.tally.wipes += 1;
      site.disk.wipe();
      site.forgotAtMs = clock.elapsedMs();
    }
    site.premature = random.chance(0.4);
    if (site.premature) this.tally.premature += 1;
    clock.after((site.premature ? 20_000 : 500) + random.below(30_000), () => this.#lab.start(site));
  }

  /** Another cluster has got the address of `other`. */
  misdirect({ name: one }: Site, { name: other }: Site): void {
    if (one === other) return;
    const { net, random, sites, misdirected } = this.#lab;
    const instead = random.pick([...sites.keys()].filter((name) => name !== other && name !== one));
    this.tally.misdirected += 1;
    this.#lab.say(`calls of ${one} to ${other} end at ${instead}`);
    misdirected.set(`${one}>${other}`, instead);
    for (const connection of [...net.connections]) if (connection.isBetween(one, other)) connection.reset();
  }

  /** Another control plane that our root vouches for says that it is of a cluster which is not its own. */
  clash({ plane, name: at }: Site, { name: claimed }: Site): void {
    const { clock, random, world } = this.#lab;
    if (plane === undefined || !plane.serving) return;
    this.tally.clashes += 1;
    this.#lab.say(`a stranger tells ${at} that it is ${claimed}`);
    const proof = proofOf(world.get(claimed)!.trustDomain, claimed, "rogue");
    const rogue = new Rogue(plane, proof, claimed, at === claimed);
    clock.after(random.below(40_000), () => {
      rogue.leave();
      if (rogue.refused) this.tally.refusedClashes += 1;
    });
  }
}
