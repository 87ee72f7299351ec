import assert from "node:assert/strict";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import type { Clock } from "../../src/host.ts";
import { RootRotation, rotationMemoryOf } from "../../src/manager/rotation/rotation.ts";
import { ROTATION_GATES, type RotationGates } from "../../src/manager/rotation/gates.ts";
import { type ClusterId, clusterId } from "../../src/names.ts";
import type { ClusterReport, SignedIntermediate } from "../../src/relay/messages.ts";
import { seededRandom, type SeededRandom, VirtualClock } from "../sim/world.ts";
import { madeUp, testRoot } from "./test-roots.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LATENCY_MS = 20_000;

/** By number; those from `FIRST_STRANGER` on are of clusters that come with their own. */
const ROOTS = await Promise.all(Array.from({ length: 7 }, (_, at) => testRoot(`root ${at}`)));
const FIRST_STRANGER = 5;
const FINGERPRINTS = ROOTS.map(({ der }) => fingerprintOf(der));
const derOf = (root: number): Uint8Array => ROOTS[root]!.der;
const numberOf = (fingerprint: string | undefined): number => FINGERPRINTS.indexOf(fingerprint ?? "");

interface Workload {
  root: number;
  trusts: ReadonlySet<number>;
  until: number;
}

/** A cluster as it really is. */
interface Member {
  readonly name: ClusterId;
  readonly waitMs: number;
  readonly skewMs: number;
  readonly workloads: Workload[];
  signing: number | undefined;
  leaf: Uint8Array | undefined;
  trusts: ReadonlySet<number>;
  /** Since when all that it signed is the mesh's; undefined before. */
  joinsAt: number | undefined;
  /** Changes with every connection: what was under way on another is lost. */
  connection: number;
  up: boolean;
  /** Whether it spoke on this connection. */
  heard: boolean;
  sent: string;
  /** When the last message arrives, of each direction. */
  downAt: number;
  upAt: number;
  gone: boolean;
}

export interface Outcome {
  readonly handshakes: number;
  readonly changes: number;
  readonly aborts: number;
  readonly refused: number;
  readonly restarts: number;
  readonly joined: number;
}

/** Time as the manager's machine has it: it counts from its start, and its wall clock may be set. */
class MachineClock implements Clock {
  readonly #real: VirtualClock;
  readonly #startedAt: number;
  readonly #offMs: number;
  constructor(real: VirtualClock, offMs: number) {
    [this.#real, this.#startedAt, this.#offMs] = [real, real.elapsedMs(), offMs];
  }
  now(): number {
    return this.#real.now() + this.#offMs;
  }
  elapsedMs(): number {
    return this.#real.elapsedMs() - this.#startedAt;
  }
  after(delayMs: number, task: () => void): Disposable {
    return this.#real.after(delayMs, task);
  }
}

/**
 * A manager and its clusters in real time: workloads learn roots with their next certificate, at the latest when the last
 * one ends. Whatever people, links and machines do, no two live workloads of joined clusters refuse each other.
 */
class Simulation {
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #gates: RotationGates;
  readonly #members: Member[] = [];
  #rotation!: RootRotation;
  /** What outlives the manager. */
  #disk: string | undefined;
  #managerUp = true;
  #source = { signing: 0, beside: [] as number[], passive: [] as number[] };
  #calm = false;
  #made = 0;
  #phase = "steady";
  readonly counts = { handshakes: 0, changes: 0, aborts: 0, refused: 0, restarts: 0, joined: 0 };

  constructor(seed: number, gates: RotationGates) {
    [this.#random, this.#gates] = [seededRandom(seed), gates];
    this.#boot();
  }

  run(days: number): Outcome {
    for (let at = 0; at < 3; at++) this.#join("nothing");
    this.#every(
      () => 4 * HOUR_MS * (0.2 + this.#random.next() * 4),
      () => this.#operate(),
    );
    this.#every(
      () => 6 * HOUR_MS * this.#random.next(),
      () => this.#disturb(),
    );
    this.#tick();
    this.#clock.advance(days * DAY_MS);
    this.#settle();
    return this.counts;
  }

  /** Nobody touches anything any more: what was begun ends. */
  #settle(): void {
    this.#calm = true;
    if (!this.#managerUp) this.#boot();
    for (const member of this.#alive) if (!member.up) this.#connect(member);
    const goal = numberOf(this.#rotation.roots.find(({ role }) => role === "signing")?.sha256);
    this.#source = { signing: goal, beside: [], passive: [] };
    this.#clock.advance(15 * DAY_MS);
    assert.deepEqual(this.#rotation.view, { phase: "steady", notes: [] });
    for (const { name, signing, trusts } of this.#alive)
      assert.deepEqual([name, signing, [...trusts]], [name, goal, [goal]]);
    assert.deepEqual(
      this.#rotation.roots.map(({ sha256 }) => numberOf(sha256)),
      [goal],
    );
  }

  get #alive(): readonly Member[] {
    return this.#members.filter(({ gone }) => !gone);
  }

  #every(delayMs: () => number, task: () => void): void {
    this.#clock.after(delayMs(), () => {
      if (!this.#calm) task();
      this.#every(delayMs, task);
    });
  }

  /** The manager looks: it may be later than what is due. */
  #tick(): void {
    if (this.#managerUp) this.#act(() => this.#want());
    this.#clock.after(HOUR_MS * (0.5 + this.#random.next()), () => this.#tick());
  }

  #boot(): void {
    const offMs = this.#random.chance(0.3) ? (this.#random.next() - 0.5) * 4 * DAY_MS : 0;
    const clock = new MachineClock(this.#clock, offMs);
    const memory = this.#disk === undefined ? undefined : rotationMemoryOf(this.#disk);
    this.#rotation = new RootRotation(clock, memory, this.#gates);
    this.#managerUp = true;
    this.#registered();
    for (const member of this.#alive) this.#clock.after(this.#random.next() * HOUR_MS, () => this.#connect(member));
  }

  #registered(): void {
    this.#act(() => this.#rotation.registered(new Set(this.#alive.map(({ name }) => name))));
  }

  #want(): void {
    const { signing, beside, passive } = this.#source;
    this.#rotation.want({ signing: derOf(signing), beside: beside.map(derOf), passive: passive.map(derOf) });
  }

  /** What changed is on disk before anybody is told. */
  #act(task: () => void): void {
    if (!this.#managerUp) return;
    task();
    this.#disk = JSON.stringify(this.#rotation.remembered());
    const { phase } = this.#rotation.view;
    if (phase === "steady" && this.#phase !== "steady" && this.#phase !== "refused") this.counts.changes++;
    if (phase === "refused" && this.#phase !== "refused") this.counts.refused++;
    this.#phase = phase;
    for (const member of this.#alive) this.#order(member);
  }

  #order(member: Member): void {
    if (!member.up || !member.heard) return;
    const stance = this.#rotation.stanceOf(member.name);
    if (stance === undefined) return;
    const roots = stance.roots.map((der) => numberOf(fingerprintOf(der)));
    const signing = stance.signingRoot === undefined ? undefined : numberOf(stance.signingRoot);
    const order = JSON.stringify([roots, signing]);
    if (order === member.sent) return;
    member.sent = order;
    this.#down(member, () => this.#carryOut(member, new Set(roots), signing));
  }

  #carryOut(member: Member, roots: ReadonlySet<number>, signing: number | undefined): void {
    member.trusts = roots;
    this.#report(member);
    if (signing !== undefined && signing !== member.signing) this.#ask(member);
  }

  #ask(member: Member): void {
    this.#up(member, () => this.#act(() => this.#sign(member)));
  }

  #sign(member: Member): void {
    const { signing, beside } = this.#source;
    const wanted = numberOf(this.#rotation.stanceOf(member.name)?.signingRoot);
    // One that made its roots itself has the keys of all of them; another signs under one.
    const root = beside.includes(wanted) ? wanted : signing;
    if (this.#rotation.whyNotUnder(member.name, derOf(root)) !== undefined) {
      const { connection } = member;
      this.#clock.after(HOUR_MS, () => {
        if (member.connection === connection) member.sent = "";
      });
      return;
    }
    const leaf = madeUp(derOf(0), ++this.#made);
    const signed: SignedIntermediate = { chain: [leaf], root: derOf(root) };
    this.#rotation.given(member.name, signed);
    this.#down(member, () => this.#install(member, root, leaf));
  }

  #install(member: Member, root: number, leaf: Uint8Array): void {
    const first = member.signing === undefined;
    const stranger = !first && member.joinsAt === undefined;
    [member.signing, member.leaf] = [root, leaf];
    if (first || stranger) {
      member.joinsAt = this.#clock.elapsedMs() + (first ? 0 : member.waitMs);
      this.counts.joined++;
    }
    if (first) for (const workload of member.workloads) this.#renew(member, workload);
    this.#report(member);
  }

  #report(member: Member): void {
    const report: ClusterReport = {
      generation: "",
      roots: [...member.trusts].map(derOf),
      chain: member.leaf === undefined ? [] : [member.leaf],
      signingRoot: member.signing === undefined ? undefined : FINGERPRINTS[member.signing],
      rootWaitMs: member.waitMs,
      ...{ waits: [], problems: [], restarts: [], clock: this.#clock.now() + member.skewMs, version: "" },
    };
    this.#up(member, () => {
      member.heard = true;
      this.#act(() => this.#rotation.reported(member.name, report));
    });
  }

  #connect(member: Member): void {
    if (member.gone || member.up || !this.#managerUp) return;
    member.up = true;
    member.connection++;
    [member.heard, member.sent, member.upAt, member.downAt] = [false, "", 0, 0];
    this.#up(member, () => this.#act(() => this.#rotation.connected(member.name)));
    this.#report(member);
  }

  #disconnect(member: Member): void {
    member.up = false;
    member.connection++;
  }

  #up(member: Member, task: () => void): void {
    member.upAt = this.#deliver(member, member.upAt, task);
  }

  #down(member: Member, task: () => void): void {
    member.downAt = this.#deliver(member, member.downAt, task);
  }

  /** In order; lost with the connection. */
  #deliver(member: Member, afterAt: number, task: () => void): number {
    const { connection } = member;
    if (!member.up) return afterAt;
    const now = this.#clock.elapsedMs();
    const at = Math.max(afterAt, now + this.#random.next() * LATENCY_MS);
    this.#clock.after(at - now, () => {
      if (member.connection === connection && !member.gone) task();
    });
    return at;
  }

  #join(kind: "nothing" | "stranger"): void {
    const random = this.#random;
    const own = kind === "stranger" ? FIRST_STRANGER + random.below(ROOTS.length - FIRST_STRANGER) : undefined;
    const member: Member = {
      name: clusterId(`c${this.#members.length}`),
      waitMs: HOUR_MS * random.pick([2, 8, 24]),
      skewMs: random.chance(0.2) ? (random.next() - 0.5) * 2 * DAY_MS : 0,
      workloads: Array.from({ length: 3 }, () => ({ root: -1, trusts: new Set<number>(), until: -1 })),
      signing: own,
      leaf: own === undefined ? undefined : madeUp(derOf(0), ++this.#made),
      trusts: new Set(own === undefined ? [] : [own]),
      joinsAt: undefined,
      ...{ connection: 0, up: false, heard: false, sent: "", downAt: 0, upAt: 0, gone: false },
    };
    this.#members.push(member);
    this.#registered();
    if (own !== undefined) for (const workload of member.workloads) this.#renew(member, workload);
    this.#connect(member);
  }

  /** A workload gets a certificate, and with it learns what to trust. */
  #renew(member: Member, workload: Workload): void {
    if (member.gone) return;
    const now = this.#clock.elapsedMs();
    workload.root = member.signing!;
    workload.trusts = member.trusts;
    const lifeMs = member.waitMs * (0.5 + this.#random.next() / 2);
    workload.until = now + lifeMs;
    this.#shakeHands(member, workload);
    this.#clock.after(lifeMs * (0.3 + this.#random.next() * 0.7), () => this.#renew(member, workload));
  }

  #shakeHands(member: Member, workload: Workload): void {
    const now = this.#clock.elapsedMs();
    if (member.joinsAt === undefined || member.joinsAt > now) return;
    for (const other of this.#alive) {
      if (other.joinsAt === undefined || other.joinsAt > now) continue;
      for (const peer of other.workloads.filter(({ until }) => until > now)) {
        this.counts.handshakes++;
        if (!peer.trusts.has(workload.root)) this.#refused(other, workload.root);
        if (!workload.trusts.has(peer.root)) this.#refused(member, peer.root);
      }
    }
  }

  #refused({ name }: Member, root: number): never {
    assert.fail(
      `${this.#rotation.view.phase}, day ${this.#clock.elapsedMs() / DAY_MS}: ${name} refuses what is under ${root}`,
    );
  }

  /** What people do to the policy and its source. */
  #operate(): void {
    const { signing, beside, passive } = this.#source;
    const next = this.#random.below(FIRST_STRANGER);
    const phase = this.#managerUp ? this.#rotation.view.phase : "steady";
    const before = [...new Set([...beside, ...passive])].filter((root) => root !== signing);
    switch (this.#random.below(7)) {
      case 0: // With overlap, as one that keeps what it made.
        this.#source = { signing: next, beside: [signing].filter((root) => root !== next), passive: [] };
        break;
      case 1: // With overlap, as the policy says.
        this.#source = { signing: next, beside: [], passive: [signing].filter((root) => root !== next) };
        break;
      case 2: // Without.
        if (this.#random.chance(0.3)) this.#source = { signing: next, beside: [], passive: [] };
        break;
      case 3: // Back.
        if (before.length === 0) break;
        if (phase === "add" || phase === "switch" || phase === "wait") this.counts.aborts++;
        this.#source = { signing: this.#random.pick(before), beside: [], passive: [signing] };
        break;
      case 4:
        this.#source = { ...this.#source, passive: [...passive, this.#random.below(ROOTS.length)] };
        break;
      default: // The plan's last step, perhaps too early.
        if (phase === "steady" || this.#random.chance(0.2)) this.#source = { signing, beside: [], passive: [] };
    }
    if (phase === "refused" && this.#random.chance(0.5)) this.#heal();
  }

  /** As the refusal says: back to the root under which clusters sign. */
  #heal(): void {
    const goal = numberOf(this.#rotation.roots.find(({ role }) => role === "signing")?.sha256);
    if (goal >= 0) this.#source = { signing: goal, beside: [], passive: [] };
  }

  /** What happens to links and machines. */
  #disturb(): void {
    const member = this.#alive[this.#random.below(this.#alive.length)];
    switch (this.#random.below(8)) {
      case 0:
        if (this.#alive.length < 5) this.#join(this.#random.chance(0.5) ? "stranger" : "nothing");
        break;
      case 1:
        if (member !== undefined && this.#alive.length > 2) {
          member.gone = true;
          this.#registered();
        }
        break;
      case 2:
        this.#stopManager();
        break;
      default:
        if (member !== undefined) this.#goAway(member);
    }
  }

  #goAway(member: Member): void {
    this.#disconnect(member);
    const awayMs = this.#random.chance(0.3) ? this.#random.next() * 2 * DAY_MS : this.#random.next() * 60_000;
    this.#clock.after(awayMs, () => this.#connect(member));
  }

  #stopManager(): void {
    if (!this.#managerUp) return;
    this.counts.restarts++;
    this.#managerUp = false;
    for (const member of this.#alive) this.#disconnect(member);
    this.#clock.after(this.#random.next() * (this.#random.chance(0.5) ? HOUR_MS : DAY_MS), () => {
      if (!this.#managerUp) this.#boot();
    });
  }
}

/** @throws AssertionError with the seed, for two workloads that refuse each other, or a change that does not end. */
export function simulateRotation(seed: number, gates: RotationGates = ROTATION_GATES, days = 20): Outcome {
  try {
    return new Simulation(seed, gates).run(days);
  } catch (thrown) {
    if (thrown instanceof Error) thrown.message = `seed ${seed}: ${thrown.message}`;
    throw thrown;
  }
}
