import assert from "node:assert/strict";
import { envoy } from "../../../proto/gen/mesh.js";
import { seededRandom } from "../../sim/world.ts";
import type { FakeChannel } from "../fake-channel.ts";
import { BAD, ModelEnvoy } from "./model-envoy.ts";
import { callerOf, ProxyLab, type TypeWord } from "./proxy-lab.ts";

type Response = envoy.service.discovery.v3.IDeltaDiscoveryResponse;
const WORDS = ["CDS", "EDS", "LDS", "RDS"] as const;
const STEPS = 400;

export interface Story {
  readonly seed: number;
  /** Resources that Envoy cannot read come and go. */
  readonly faulty: boolean;
}

/** What a seed saw: a world in which nothing happens proves nothing. */
export interface Seen {
  changes: number;
  losses: number;
  rejections: number;
  removals: number;
}

/** A service's listener: of HTTP with routes to clusters, or to one cluster itself. */
interface Served {
  readonly kind: "http" | "tcp";
  readonly to: readonly string[];
  readonly revision: number;
}

/** One Envoy and its control plane, in a world that changes while messages are on their way and streams are lost. */
export class ProxySimulation {
  readonly seen: Seen = { changes: 0, losses: 0, rejections: 0, removals: 0 };
  readonly #random;
  readonly #faulty: boolean;
  readonly #lab = new ProxyLab();
  readonly #envoy: ModelEnvoy;
  #channel: FakeChannel | undefined;
  #arriving: Response[] = [];
  /** What is meant: the revision of each cluster, and of its endpoints. */
  readonly #clusters = new Map<string, { readonly cluster: number; readonly endpoints: number }>();
  readonly #services = new Map<string, Served>();
  /** As `CDS a`; until it changes. */
  readonly #bad = new Set<string>();
  readonly #written = new Map<string, string>();

  constructor({ seed, faulty }: Story) {
    this.#random = seededRandom(seed);
    this.#faulty = faulty;
    this.#envoy = new ModelEnvoy(seed % 3 === 0);
  }

  async run(): Promise<Seen> {
    for (let change = 0; change < 6; change++) this.#change();
    this.#write();
    for (let step = 0; step < STEPS; step++) await this.#step();
    this.#bad.clear();
    this.#write();
    for (let round = 0; round < 4; round++) {
      while (await this.#deliver());
      this.#lab.host.clock.advance(6_000);
    }
    this.#checkHeld();
    this.seen.rejections = this.#envoy.rejections;
    return this.seen;
  }

  async #step(): Promise<void> {
    const random = this.#random;
    this.#lab.host.clock.advance(1);
    if (random.chance(0.08)) {
      for (let more = random.below(3); more >= 0; more--) this.#change();
      this.#write();
    }
    if (random.chance(0.01)) this.#lose();
    else await this.#deliver();
  }

  /** Moves one message. @returns false if there is none. */
  async #deliver(): Promise<boolean> {
    const channel = this.#channel ?? (await this.#connect());
    this.#lab.host.clock.advance(0);
    this.#arriving.push(...channel.read());
    const receives = this.#arriving.length > 0 && (this.#envoy.silent || this.#random.chance(0.5));
    if (receives) this.#receive(this.#arriving.shift()!);
    else {
      const message = this.#envoy.next();
      if (message === undefined) return false;
      channel.write(message);
      assert.equal(channel.ended, undefined, "the stream ended");
    }
    return true;
  }

  #receive(response: Response): void {
    this.seen.removals += response.removedResources?.length ?? 0;
    this.#envoy.receive(response);
    // One that keeps what it had may lead to what is gone.
    if (!this.#faulty) assert.deepEqual(this.#envoy.dangling(), []);
  }

  async #connect(): Promise<FakeChannel> {
    this.#channel = await this.#lab.connect(callerOf("shop", "waypoint"));
    const order = [...WORDS].sort(() => this.#random.below(3) - 1);
    this.#envoy.connect(order);
    return this.#channel;
  }

  #lose(): void {
    if (this.#channel === undefined) return;
    this.seen.losses += 1;
    this.#channel.receiver!.closed();
    this.#channel = undefined;
    this.#arriving = [];
  }

  /** One change of what is meant; nothing that is meant leads to a cluster that is not there. */
  #change(): void {
    this.seen.changes += 1;
    const random = this.#random;
    const service = `s${random.below(4)}`;
    const cluster = random.pick(["a", "b", "c", "d", "e"]);
    const before = this.#services.get(service);
    const known = this.#clusters.get(cluster);
    const what = random.below(7);
    if (what === 0) this.#services.delete(service);
    else if (what <= 2 || before === undefined) {
      const kind = random.chance(0.3) ? "tcp" : "http";
      const to = kind === "tcp" || random.chance(0.5) ? [cluster] : [cluster, random.pick(["a", "b", "c", "d", "e"])];
      this.#services.set(service, { kind, to, revision: random.below(3) });
    } else if (what === 3) this.#services.set(service, { ...before, revision: before.revision + 1 });
    else if (known !== undefined && what === 4) this.#clusters.set(cluster, { ...known, cluster: known.cluster + 1 });
    else if (known !== undefined) this.#clusters.set(cluster, { ...known, endpoints: known.endpoints + 1 });
    if (this.#faulty && random.chance(0.2)) this.#bad.add(`${random.pick(WORDS)} ${random.pick([cluster, service])}`);
    if (random.chance(0.2)) this.#bad.clear();
    const needed = new Set([...this.#services.values()].flatMap(({ to }) => to));
    for (const name of needed)
      if (!this.#clusters.has(name)) this.#clusters.set(name, { cluster: random.below(3), endpoints: 0 });
    for (const name of this.#clusters.keys()) if (!needed.has(name)) this.#clusters.delete(name);
  }

  #write(): void {
    const meant = this.#meant();
    for (const key of this.#written.keys()) if (!meant.has(key)) this.#put(key, undefined);
    for (const [key, content] of meant) if (this.#written.get(key) !== content) this.#put(key, content);
    this.#written.clear();
    for (const [key, content] of meant) this.#written.set(key, content);
    this.#lab.settle();
  }

  #put(key: string, content: string | undefined): void {
    const [word, name] = key.split(" ");
    this.#lab.write(word as TypeWord, name!, content);
  }

  #meant(): ReadonlyMap<string, string> {
    const spoilt = (word: string, name: string): string => (this.#bad.has(`${word} ${name}`) ? BAD : "");
    const meant = new Map<string, string>();
    for (const [name, { cluster, endpoints }] of this.#clusters) {
      meant.set(`CDS ${name}`, `#${cluster}${spoilt("CDS", name)}`);
      meant.set(`EDS ${name}`, `#${endpoints}${spoilt("EDS", name)}`);
    }
    for (const [name, { kind, to, revision }] of this.#services) {
      const way = `to ${to.join(" ")} #${revision}${spoilt("RDS", name)}`;
      const listener = kind === "tcp" ? way : `http|${name} #${revision % 2}${spoilt("LDS", name)}`;
      meant.set(`LDS inbound|${name}`, listener);
      if (kind === "http") meant.set(`RDS http|${name}`, way);
    }
    return meant;
  }

  #checkHeld(): void {
    assert.deepEqual(this.#envoy.dangling(), []);
    assert.equal(this.#envoy.warming, 0);
    const held = WORDS.flatMap((word) =>
      Array.from(this.#envoy.held[word], ([name, { content }]) => [`${word} ${name}`, content] as const),
    );
    const byKey = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1);
    assert.deepEqual(held.sort(byKey), [...this.#written].sort(byKey));
    assert.deepEqual(this.#lab.admission.problems(), []);
  }
}
