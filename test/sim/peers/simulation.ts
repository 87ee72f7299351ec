import assert from "node:assert/strict";
import type { StaleOptions } from "../../../src/peering/staleness.ts";
import type { PeerProof } from "../../../src/xds/peer-gate.ts";
import { seededRandom, type SeededRandom, VirtualClock } from "../world.ts";
import { Client } from "./client.ts";
import { Evidence } from "./evidence.ts";
import { addressesOf, heldBy } from "./held-view.ts";
import { linksOf, type Listener } from "./links.ts";
import { doorsOf, type ModelWorld } from "./model.ts";
import { mend, mutate, worldOf } from "./mutations.ts";
import { Net } from "./net.ts";
import { viewOf } from "./oracle.ts";
import { Disk, Plane } from "./plane.ts";
import { Rogue } from "./rogue.ts";

/** How much happened: a world where nothing does proves nothing. */
export interface PeersTally {
  changes: number;
  cuts: number;
  oneWayCuts: number;
  resets: number;
  freezes: number;
  kills: number;
  stops: number;
  wipes: number;
  premature: number;
  misdirected: number;
  clashes: number;
  refusedClashes: number;
  graces: number;
  responses: number;
  rejections: number;
  losses: number;
}

const NAMES = ["east", "west", "north", "south"];
const STEPS = 40;
/** Longer than any patience: a keepalive, a back-off, a client that does not answer. */
const CALM_MS = 150_000;
const GRACE_MS = 120_000;

/** One site: a disk, the process that runs there if one does, and what its ztunnels hold. */
interface Site {
  readonly name: string;
  readonly disk: Disk;
  plane: Plane | undefined;
  /** What is there instead of a control plane that is down. */
  premature: boolean;
  forgotAtMs: number;
  killedAtMs: number;
}

/**
 * Three or four control planes that peer, with faults 10 to 16 of contract operations.md 3.4 as a seed picks them. While
 * they last nothing of a peer goes without evidence; once they end every ztunnel holds what all objects say.
 */
export class PeersSimulation {
  readonly tally: PeersTally = {
    ...{ changes: 0, cuts: 0, oneWayCuts: 0, resets: 0, freezes: 0, kills: 0, stops: 0, wipes: 0, premature: 0 },
    ...{ misdirected: 0, clashes: 0, refusedClashes: 0, graces: 0, responses: 0, rejections: 0, losses: 0 },
  };
  readonly random: SeededRandom;
  readonly clock = new VirtualClock();
  readonly net: Net;
  readonly world: ModelWorld;
  readonly sites = new Map<string, Site>();
  readonly clients: Client[] = [];
  readonly evidence: Evidence;
  readonly #stale: StaleOptions;
  readonly #dataCuts = new Set<string>();
  /** When data of one site last did not get to another. */
  readonly #dataCutAt = new Map<string, number>();
  readonly #touchAt = new Map<string, number>();
  /** `from>to`: where calls to `to` end instead. */
  readonly #misdirected = new Map<string, string>();
  readonly #addresses = new Map<string, Set<string>>();
  #faulty = true;
  /** What was done to the world, for who has to find out why it went wrong. */
  readonly trace: string[] = [];

  constructor(seed: number) {
    const random = (this.random = seededRandom(seed));
    this.net = new Net(this.clock, random);
    this.world = worldOf(NAMES.slice(0, random.chance(0.3) ? 4 : 3), random);
    this.#stale = { graceMs: GRACE_MS, policy: random.pick(["retain", "retain", "unhealthy", "remove"] as const) };
    this.evidence = new Evidence(this.world, this.clock, {
      ...this.#stale,
      awayMs: (at, peer) => this.clock.elapsedMs() - (this.#touchAt.get(`${at}>${peer}`) ?? -Infinity),
      dataWasCut: (at, peer) => this.clock.elapsedMs() - (this.#dataCutAt.get(`${at}>${peer}`) ?? -Infinity) < 60_000,
      forgotAtMs: (at) => this.sites.get(at)!.forgotAtMs,
      killedAtMs: (at) => this.sites.get(at)!.killedAtMs,
    });
    this.evidence.note();
    for (const name of this.world.keys()) {
      const site: Site = {
        ...{ name, disk: new Disk(), plane: undefined, premature: false },
        ...{ forgotAtMs: -Infinity, killedAtMs: -Infinity },
      };
      this.sites.set(name, site);
      for (let at = random.chance(0.3) ? 2 : 1; at > 0; at--) this.clients.push(this.#clientAt(site));
      this.clock.after(random.below(10_000), () => this.#start(site));
    }
  }

  async run(): Promise<PeersTally> {
    await this.#pass(random0(this.random, 30_000));
    for (let step = 0; step < STEPS; step++) {
      for (let changes = this.random.below(3); changes > 0; changes--) this.#mutate();
      await this.#fault();
      await this.#pass(this.random.chance(0.04) ? GRACE_MS * 1.5 : this.random.below(12_000));
    }
    await this.#calm();
    this.#check();
    this.tally.losses = this.evidence.checks;
    return this.tally;
  }

  #say(what: string): void {
    this.trace.push(`${(this.clock.elapsedMs() / 1000).toFixed(1)} s: ${what}`);
  }

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      await this.clock.pass(Math.min(left, 1_000));
      this.#noteTouch();
    }
  }

  #mutate(): void {
    this.tally.changes += 1;
    this.#say(mutate(this.world, this.random));
    this.#follow();
  }

  #follow(): void {
    this.evidence.note();
    for (const { plane } of this.sites.values()) plane?.process.run(() => plane.follow());
  }

  #noteTouch(): void {
    const now = this.clock.elapsedMs();
    for (const { name, plane } of this.sites.values())
      for (const { cluster, state } of plane?.peers.views() ?? [])
        if (state === "live") this.#touchAt.set(`${name}>${cluster}`, now);
    for (const pair of this.#dataCuts) this.#dataCutAt.set(pair, now);
  }

  // ---- processes

  #start(site: Site): void {
    const { net, world, random } = this;
    const { name, disk } = site;
    const model = world.get(name)!;
    const stale = this.#stale;
    this.#say(`${name} starts`);
    site.premature = false;
    const plane = (site.plane = new Plane(model, {
      ...{ net, world, disk, stale, seed: random.below(1_000_000) },
      transport: (process) => linksOf(net, process, proofOf(model.trustDomain, name, name), (ip) => this.#at(name, ip)),
      reaches: (ip) => !this.#dataCuts.has(`${name}>${this.#ownerOf(ip)}`),
    }));
    void plane.start();
  }

  #ownerOf(ip: string): string {
    return [...this.world.values()].find((cluster) => doorsOf(cluster).includes(ip))!.name;
  }

  #at(from: string, ip: string): { readonly site: string; readonly listener: Listener } {
    const owner = this.#ownerOf(ip);
    const site = this.#misdirected.get(`${from}>${owner}`) ?? owner;
    const { plane, premature } = this.sites.get(site)!;
    return { site, listener: plane ?? (premature ? "premature" : undefined) };
  }

  #clientAt({ name }: Site): Client {
    const client: Client = new Client(name, {
      ...{ clock: this.clock, random: this.random, faulty: () => this.#faulty },
      plane: () => {
        const plane = this.sites.get(name)!.plane;
        return plane?.ready === true && !plane.process.frozen ? plane : undefined;
      },
      took: () => this.#look(client),
    });
    return client;
  }

  #look(client: Client): void {
    this.evidence.look(client);
    for (const [name, addresses] of addressesOf(client)) {
      if (addresses.length === 0 || name.endsWith(".svc.cluster.local")) continue;
      const key = `${client.site}: ${name}`;
      const known = this.#addresses.get(key) ?? new Set();
      this.#addresses.set(key, known.add(addresses.join()));
      assert.equal(known.size, 1, `${key} had the addresses ${[...known].join(" and ")}`);
    }
  }

  // ---- faults

  async #fault(): Promise<void> {
    const { random } = this;
    const names = [...this.world.keys()];
    const [one, other] = [random.pick(names), random.pick(names)];
    const what = random.below(24);
    if (what < 3) this.#cut(one, other);
    else if (what === 3) for (const name of names) this.#cut(one, name);
    else if (what < 6) this.#reset(one, other);
    else if (what === 6) this.#freeze(this.sites.get(one)!);
    else if (what < 10) await this.#restart(this.sites.get(one)!);
    else if (what === 10) this.#misdirect(one, other);
    else if (what === 11) this.#clash(one, other);
    else if (what === 12) this.net.delayMs = random.pick([40, 500, 3_000]);
    else if (what < 16) this.#heal();
    else if (what === 16) this.tally.graces += 1;
  }

  #cut(one: string, other: string): void {
    if (one === other) return;
    const direction = this.random.below(3);
    this.#say(`${one} ${["to", "from", "to and from"][direction]} ${other} is cut`);
    if (direction !== 1) this.net.cut(one, other);
    if (direction !== 0) this.net.cut(other, one);
    this.tally[direction === 2 ? "cuts" : "oneWayCuts"] += 1;
    if (this.random.chance(0.5)) this.#dataCuts.add(`${one}>${other}`).add(`${other}>${one}`);
  }

  #heal(): void {
    this.#say("all is healed");
    this.net.heal();
    this.#dataCuts.clear();
    this.#misdirected.clear();
  }

  #reset(one: string, other: string): void {
    for (const connection of [...this.net.connections])
      if (connection.isBetween(one, other)) {
        connection.reset();
        this.tally.resets += 1;
      }
  }

  #freeze({ plane }: Site): void {
    if (plane === undefined || plane.process.frozen) return;
    this.tally.freezes += 1;
    this.#say(`${plane.process.site} is frozen`);
    plane.process.freeze();
    this.clock.after(1_000 + this.random.below(60_000), () => plane.process.thaw());
  }

  async #restart(site: Site): Promise<void> {
    const { plane } = site;
    if (plane === undefined || plane.process.frozen || !plane.serving) return;
    site.plane = undefined;
    const kind = this.random.below(4);
    this.#say(`${site.name} ${["stops", "is killed, and its disk wiped", "is killed", "is killed"][kind]}`);
    if (kind === 0) {
      this.tally.stops += 1;
      await plane.stop();
    } else {
      this.tally.kills += 1;
      site.killedAtMs = this.clock.elapsedMs();
      plane.kill();
    }
    if (kind === 1) {
      this.tally.wipes += 1;
      site.disk.wipe();
      site.forgotAtMs = this.clock.elapsedMs();
    }
    if (this.random.chance(0.4)) {
      this.tally.premature += 1;
      site.premature = true;
    }
    this.clock.after(500 + this.random.below(30_000), () => this.#start(site));
  }

  /** Somebody else has got the address of `other`. */
  #misdirect(one: string, other: string): void {
    if (one === other) return;
    const instead = this.random.pick([...this.world.keys()].filter((name) => name !== other && name !== one));
    this.tally.misdirected += 1;
    this.#say(`calls of ${one} to ${other} end at ${instead}`);
    this.#misdirected.set(`${one}>${other}`, instead);
    for (const connection of [...this.net.connections]) if (connection.isBetween(one, other)) connection.reset();
  }

  /** Another control plane that our root vouches for says that it is `claimed`. */
  #clash(at: string, claimed: string): void {
    const { plane } = this.sites.get(at)!;
    if (plane === undefined || !plane.serving) return;
    this.tally.clashes += 1;
    this.#say(`a stranger tells ${at} that it is ${claimed}`);
    const proof = proofOf(this.world.get(claimed)!.trustDomain, claimed, "rogue");
    const rogue = new Rogue(plane, proof, claimed, at === claimed);
    this.clock.after(this.random.below(40_000), () => {
      rogue.leave();
      if (rogue.refused) this.tally.refusedClashes += 1;
    });
  }

  // ---- the end

  async #calm(): Promise<void> {
    this.#faulty = false;
    this.#heal();
    this.net.delayMs = 40;
    mend(this.world);
    this.#follow();
    await this.#pass(CALM_MS);
    // What a client rejected it gets when it returns, or once that has changed.
    for (const client of this.clients) client.reconnect();
    await this.#pass(5_000);
    for (const { responses, rejections } of this.clients) {
      this.tally.responses += responses;
      this.tally.rejections += rejections;
    }
  }

  #check(): void {
    for (const client of this.clients) {
      const cluster = this.world.get(client.site)!;
      const [held, expected] = [heldBy(client, this.world), viewOf(cluster, this.world)];
      for (const what of ["services", "endpoints"] as const)
        for (const name of new Set([...Object.keys(held[what]), ...Object.keys(expected[what])].sort()))
          assert.deepEqual(held[what][name], expected[what][name], `${name} in ${client.site}`);
    }
  }
}

const random0 = (random: SeededRandom, below: number): number => random.below(below);

function proofOf(trustDomain: string, cluster: string, key: string): PeerProof {
  return {
    identity: { trustDomain, namespace: "istio-system", serviceAccount: "istiod" },
    authority: { key, subject: `CN=${cluster} by ${key}`, notBefore: 0 },
    expiresAt: 4_000_000_000_000,
    chain: [],
    remoteAddress: cluster,
  };
}

/** Runs one seed. @throws Error naming the seed and what was done to its world, with what went wrong as its cause. */
export async function simulatePeers(seed: number): Promise<PeersTally> {
  const simulation = new PeersSimulation(seed);
  try {
    return await simulation.run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`peers, seed ${seed}: ${why}\n${describe(error)}\n${simulation.trace.join("\n")}`, {
      cause: error,
    });
  }
}

/** What two values that should be equal are. */
function describe(error: unknown): string {
  if (!(error instanceof assert.AssertionError) || error.operator !== "deepStrictEqual") return "";
  return `found ${JSON.stringify(error.actual)}\nright ${JSON.stringify(error.expected)}`;
}
