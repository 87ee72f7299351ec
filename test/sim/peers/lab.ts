import assert from "node:assert/strict";
import type { StaleOptions } from "../../../src/peering/staleness.ts";
import type { PeerProof } from "../../../src/xds/peer-gate.ts";
import { type SeededRandom, VirtualClock } from "../world.ts";
import { Client } from "./client.ts";
import { Evidence } from "./evidence.ts";
import { addressesOf, heldBy } from "./held-view.ts";
import { linksOf, type Listener } from "./links.ts";
import { doorsOf, type ModelWorld } from "./model.ts";
import { Net } from "./net.ts";
import { viewOf } from "./oracle.ts";
import { Disk, Plane } from "./plane.ts";

const UNSAVED_MS = 10_000;

/** One site: a disk, and the process that runs there if one does. */
export interface Site {
  readonly name: string;
  readonly disk: Disk;
  plane: Plane | undefined;
  /** What is there instead of a control plane that is down. */
  premature: boolean;
  forgotAtMs: number;
  killedAtMs: number;
}

/** Every cluster of a world with its control plane and its ztunnels, over a network that can be cut. */
export class PeersLab {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly net: Net;
  readonly world: ModelWorld;
  readonly sites: ReadonlyMap<string, Site>;
  readonly clients: Client[] = [];
  readonly evidence: Evidence;
  /** `from>to`: data does not get there. */
  readonly dataCuts = new Set<string>();
  /** `from>to`: where calls to `to` end instead. */
  readonly misdirected = new Map<string, string>();
  /** True while clients answer late, or never, or that they take nothing. */
  faulty = false;
  /** What was done to the world, for who has to find out why it went wrong. */
  readonly trace: string[] = [];
  readonly #defects: string[] = [];
  readonly #stale: StaleOptions;
  readonly #dataCutAt = new Map<string, number>();
  readonly #touchAt = new Map<string, number>();
  readonly #addresses = new Map<string, string>();

  constructor(world: ModelWorld, random: SeededRandom, stale: StaleOptions) {
    this.random = random;
    this.net = new Net(this.clock, random);
    this.world = world;
    this.#stale = stale;
    const since = (times: ReadonlyMap<string, number>, at: string, peer: string): number =>
      this.clock.elapsedMs() - (times.get(`${at}>${peer}`) ?? -Infinity);
    this.evidence = new Evidence(world, this.clock, {
      ...stale,
      awayMs: (at, peer) => since(this.#touchAt, at, peer),
      dataWasCut: (at, peer) => since(this.#dataCutAt, at, peer) < 60_000,
      forgotAtMs: (at) => this.site(at).forgotAtMs,
      killedAtMs: (at) => this.site(at).killedAtMs,
    });
    this.evidence.note();
    const never = { forgotAtMs: -Infinity, killedAtMs: -Infinity };
    this.sites = new Map(
      [...world.keys()].map((name) => [
        name,
        { name, disk: new Disk(), plane: undefined, premature: false, ...never } satisfies Site,
      ]),
    );
  }

  site(name: string): Site {
    return this.sites.get(name)!;
  }

  say(what: string): void {
    this.trace.push(`${(this.clock.elapsedMs() / 1000).toFixed(1)} s: ${what}`);
  }

  start(site: Site): void {
    const { net, world, random } = this;
    const { name, disk } = site;
    const { trustDomain } = world.get(name)!;
    this.say(`${name} starts`);
    site.premature = false;
    const plane = (site.plane = new Plane(world.get(name)!, {
      ...{ net, world, disk, stale: this.#stale, seed: random.below(1_000_000) },
      transport: (process) => linksOf(net, process, proofOf(trustDomain, name, name), (ip) => this.#at(name, ip)),
      onDefect: (message) => void this.#defects.push(message),
      reaches: (ip) => !this.dataCuts.has(`${name}>${this.#ownerOf(ip)}`),
    }));
    void plane.start();
  }

  /** A ztunnel of a cluster. */
  join({ name }: Site): void {
    const client: Client = new Client(name, {
      ...{ clock: this.clock, random: this.random, faulty: () => this.faulty },
      plane: () => {
        const { plane } = this.site(name);
        return plane?.ready === true && !plane.process.frozen ? plane : undefined;
      },
      took: () => this.#look(client),
    });
    this.clients.push(client);
  }

  /** After a change of a cluster's objects; of all clusters', unless it is named. */
  follow(name?: string): void {
    this.evidence.note(name);
    for (const site of name === undefined ? this.sites.values() : [this.site(name)]) {
      const { plane } = site;
      plane?.process.run(() => plane.follow());
    }
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2_000) {
      await this.clock.pass(Math.min(left, 2_000));
      this.#noteTouch();
    }
  }

  /** @throws AssertionError if a client holds anything else than what the objects of all clusters say. */
  check(): void {
    assert.deepEqual(this.#defects, []);
    for (const client of this.clients) {
      const [held, right] = [heldBy(client, this.world), viewOf(this.world.get(client.site)!, this.world)];
      for (const what of ["services", "endpoints"] as const)
        for (const name of new Set([...Object.keys(held[what]), ...Object.keys(right[what])].sort()))
          assert.deepEqual(held[what][name], right[what][name], `${name} in ${client.site}`);
    }
  }

  /** Which links are live; of a process that has only just begun it does not count, as nothing has been saved by then. */
  #noteTouch(): void {
    const now = this.clock.elapsedMs();
    for (const { name, plane } of this.sites.values())
      for (const [cluster, { state }] of plane?.registry.peers.statuses.entries() ?? [])
        if (state === "live" && now - plane!.startedMs > UNSAVED_MS) this.#touchAt.set(`${name}>${cluster}`, now);
    for (const pair of this.dataCuts) this.#dataCutAt.set(pair, now);
  }

  #ownerOf(ip: string): string {
    return [...this.world.values()].find((cluster) => doorsOf(cluster).includes(ip))!.name;
  }

  #at(from: string, ip: string): { readonly site: string; readonly listener: Listener } {
    const owner = this.#ownerOf(ip);
    const site = this.misdirected.get(`${from}>${owner}`) ?? owner;
    const { plane, premature } = this.site(site);
    return { site, listener: plane ?? (premature ? "premature" : undefined) };
  }

  #look(client: Client): void {
    this.evidence.look(client);
    for (const [name, addresses] of addressesOf(client)) {
      if (addresses.length === 0 || name.endsWith(".svc.cluster.local")) continue;
      const key = `${client.site}: ${name}`;
      const [known, found] = [this.#addresses.get(key), addresses.join()];
      this.#addresses.set(key, found);
      assert.equal(found, known ?? found, `${key} has another address than before`);
    }
  }
}

/** What a control plane of a cluster proves to be, whose authority has this key. */
export function proofOf(trustDomain: string, cluster: string, key: string): PeerProof {
  return {
    identity: { trustDomain, namespace: "istio-system", serviceAccount: "istiod" },
    authority: { key, subject: `CN=${cluster} by ${key}`, notBefore: 0 },
    expiresAt: 4_000_000_000_000,
    chain: [],
    remoteAddress: cluster,
  };
}
