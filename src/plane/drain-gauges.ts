import type { EpochMs, Gauge, Host } from "../host.ts";
import { type Drain, type Drains, isOfGateway } from "../registry/drains.ts";

const KINDS = ["peer", "service"] as const;
const STATES = ["leaving", "drained", "spared", "far", "unreadable"] as const;
type Kind = (typeof KINDS)[number];
type State = (typeof STATES)[number];

const isHeld = (state: Drain["state"]): boolean => state === "leaving" || state === "drained";

/** How many drains there are, by what becomes of them: somebody may have forgotten one, or count on one that does not hold. */
export class DrainGauges {
  readonly #drains: Drains;
  readonly #count: Gauge;
  readonly #end: Gauge;

  constructor({ metrics }: Host, drains: Drains) {
    this.#drains = drains;
    this.#count = metrics.gauge("drains", "Drains of this cluster, by kind and what becomes of them.", [
      "kind",
      "state",
    ]);
    this.#end = metrics.gauge(
      "drain_end_timestamp_seconds",
      "When the last of the drains that hold ends, in Unix seconds.",
      ["kind"],
    );
  }

  /** Shows what is so now. */
  update(): void {
    const counts = new Map<`${Kind} ${State}`, number>();
    const ends = new Map<Kind, EpochMs>();
    for (const [key, { untilMs }] of this.#drains.wanted.entries()) {
      const drain = this.#drains.states.get(key);
      const state = untilMs === undefined ? "unreadable" : drain?.state;
      if (state === undefined) continue;
      const kind = isOfGateway(key) ? "peer" : "service";
      counts.set(`${kind} ${state}`, (counts.get(`${kind} ${state}`) ?? 0) + 1);
      if (drain !== undefined && isHeld(drain.state)) ends.set(kind, Math.max(ends.get(kind) ?? 0, drain.untilMs));
    }
    for (const kind of KINDS) {
      for (const state of STATES) this.#count.set(counts.get(`${kind} ${state}`) ?? 0, { kind, state });
      const end = ends.get(kind);
      if (end === undefined) this.#end.remove({ kind });
      else this.#end.set(end / 1000, { kind });
    }
  }
}
