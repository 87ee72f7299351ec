import assert from "node:assert/strict";
import type { VirtualClock } from "../world.ts";
import type { Client } from "./client.ts";
import { nameFor } from "./held-view.ts";
import { type ModelCluster, type ModelWorld, NAMESPACES, namespaceOf, SERVICES } from "./model.ts";
import { ANCHOR } from "./mutations.ts";
import { isHeard, podsBehind, readyBehind, tellsPods } from "./oracle.ts";

/** Whatever is said may be this much older than when it is heard: a cut holds it up, and a frozen process. */
const UNDER_WAY_MS = 150_000;
/** What a process has not saved yet, it forgets when it is killed. */
const UNSAVED_MS = 40_000;

/** What the staleness contract allows (contract peering.md 2.13), as the simulation knows it. */
export interface Excuses {
  /** For how long `at` has not been in touch with `peer`; Infinity if it never was. */
  readonly awayMs: (at: string, peer: string) => number;
  /** Whether the peer's gateway was out of reach of late. */
  readonly dataWasCut: (at: string, peer: string) => boolean;
  readonly graceMs: number;
  readonly policy: "retain" | "unhealthy" | "remove";
  /** When the last process of `at` began without what the one before knew, and when one was killed. */
  readonly forgotAtMs: (at: string) => number;
  readonly killedAtMs: (at: string) => number;
}

/** Holds clients to it that nothing of a peer goes, and nothing turns unhealthy, without positive evidence. */
export class Evidence {
  readonly #world: ModelWorld;
  readonly #clock: VirtualClock;
  readonly #excuses: Excuses;
  /** When the objects last did not say something. */
  readonly #lastNot = new Map<string, number>();
  /** Whether each cluster was in the segment: its names follow, and its pods' bindings to them come a message later. */
  readonly #inSegment = new Map<string, boolean>();
  readonly #held = new Map<Client, ReadonlyMap<string, Held>>();
  /** How often something that went was looked at. */
  checks = 0;

  constructor(world: ModelWorld, clock: VirtualClock, excuses: Excuses) {
    this.#world = world;
    this.#clock = clock;
    this.#excuses = excuses;
  }

  /** After a change of a cluster's objects; of all clusters', unless it is named. */
  note(name?: string): void {
    const now = this.#clock.elapsedMs();
    const unless = (said: boolean, what: string): void => void (said || this.#lastNot.set(what, now));
    for (const to of this.#world.values())
      for (const from of this.#world.values()) {
        if (from === to || (name !== undefined && from.name !== name && to.name !== name)) continue;
        for (const key of SERVICES) {
          // What is for a segment goes with it, by what was last heard; so may all that ever was.
          const heard = isHeard(from, to, key) && (key === ANCHOR || !(this.#renamed(from) || this.#renamed(to)));
          unless(heard, `${to.name}: all of ${from.name}/${key} there`);
          unless(heard && readyBehind(from, key) > 0, `${to.name}: all of ${from.name}/${key} healthy`);
        }
        for (const pod of PODS) {
          const service = podService(from, to, pod);
          const told = service !== undefined && tellsPods(from, this.#world) && !this.#renamed(from);
          unless(told, `${to.name}: pod ${from.name}/${pod} there`);
          unless(told && from.pods.get(pod)!.ready, `${to.name}: pod ${from.name}/${pod} healthy`);
        }
      }
    for (const { name, inSegment } of this.#world.values()) this.#inSegment.set(name, inSegment);
  }

  #renamed({ name, inSegment }: ModelCluster): boolean {
    return (this.#inSegment.get(name) ?? inSegment) !== inSegment;
  }

  /** After each response that a client took. */
  look(client: Client): void {
    const before = this.#held.get(client) ?? new Map<string, Held>();
    const after = this.#summaryOf(client, before);
    this.#held.set(client, after);
    for (const [name, held] of before) {
      const now = after.get(name);
      if (now === undefined) this.#check(client.site, name, "there", held.since, held.since);
      else if (held.healthySince !== undefined && now.healthySince === undefined)
        this.#check(client.site, name, "healthy", held.healthySince, held.since);
    }
  }

  #summaryOf({ state, site }: Client, before: ReadonlyMap<string, Held>): ReadonlyMap<string, Held> {
    const now = this.#clock.elapsedMs();
    const summary = new Map<string, Held>();
    for (const { value } of state.workloads.values()) {
      const name = nameFor(value, this.#world);
      if (value.said.clusterId === site || !/^(all of|pod) /.test(name)) continue;
      const known = before.get(name);
      const healthy = value.healthy || summary.get(name)?.healthySince !== undefined;
      summary.set(name, {
        since: known?.since ?? now,
        healthySince: healthy ? (known?.healthySince ?? now) : undefined,
      });
    }
    return summary;
  }

  #check(at: string, name: string, what: "there" | "healthy", since: number, heldSince: number): void {
    this.checks += 1;
    const peer = /^(?:all of|pod) ([^/]+)\//.exec(name)![1]!;
    const lastNot = this.#lastNot.get(`${at}: ${name} ${what}`) ?? -Infinity;
    if (lastNot >= since - UNDER_WAY_MS) return;
    const { awayMs, dataWasCut, graceMs, policy, forgotAtMs, killedAtMs } = this.#excuses;
    const away = awayMs(at, peer);
    const killed = killedAtMs(at) >= heldSince;
    // What a process never knew, or had not saved when it was killed, the next has to hear anew.
    if (forgotAtMs(at) >= heldSince || (killed && heldSince >= killedAtMs(at) - UNSAVED_MS)) return;
    const isPod = name.startsWith("pod ");
    const isGone = what === "there" && !isPod;
    // One that was killed had not noted the last time that it heard of a peer.
    const known = away + (killed ? graceMs / 4 : 0) + 10_000;
    if (known > graceMs && (policy === "remove" || (policy === "unhealthy" && !isGone))) return;
    if (!isGone && away > 0 && dataWasCut(at, peer)) return;
    const now = this.#clock.elapsedMs();
    assert.fail(
      `${at}: ${name} is no more ${what}, held for ${(now - since) / 1000} s; the objects have said otherwise for ` +
        `${(now - lastNot) / 1000} s, and the peer has been away for ${away / 1000} s (${policy})`,
    );
  }
}

interface Held {
  readonly since: number;
  readonly healthySince: number | undefined;
}

const PODS = NAMESPACES.flatMap((namespace) => Array.from({ length: 10 }, (_, at) => `${namespace}/p${at}`));

function podService(from: ModelCluster, to: ModelCluster, pod: string): string | undefined {
  return SERVICES.find(
    (key) =>
      namespaceOf(key) === namespaceOf(pod) &&
      isHeard(from, to, key) &&
      podsBehind(from, key).some(([name]) => name === pod),
  );
}
