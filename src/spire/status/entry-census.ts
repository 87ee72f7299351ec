import { messageOf } from "../../errors.ts";
import type { Gauge, Host } from "../../host.ts";
import { agentsByNode } from "../entries.ts";
import type { SpireServer } from "../spire.ts";
import { type Census, CensusCount, type Claimed, EntryTally, NO_CENSUS, whyUncovered } from "./census.ts";

/** A list of ten thousand entries is some twenty calls. */
const EVERY_MS = 60_000;
/** While something is missing: whoever mends it looks again. A server that needs long is asked more rarely. */
const SOON = { atLeastMs: 10_000, timesTheLast: 20 };
/** At most; replicas that start together do not ask together. */
const FIRST_MS = 2_000;
/** Of each pause, as chance has it. */
const JITTER = 0.2;
/** Judged before others have their turn. */
const AT_ONCE = 200;

export interface EntryCensusOptions {
  readonly server: Pick<SpireServer, "entries" | "agents">;
  readonly trustDomain: string;
  /** What SPIRE calls our cluster. */
  readonly cluster: string;
  /** All who need a certificate now. */
  readonly claimed: () => readonly Claimed[];
  /** The result is another. */
  readonly onChange: () => void;
}

/**
 * Counts, about once a minute, for whom SPIRE has entries, and for whom not: a certificate lives on after its entry has gone, and
 * its next one is refused hours later.
 */
export class EntryCensus {
  readonly #host: Host;
  readonly #options: EntryCensusOptions;
  readonly #uncovered: Gauge;
  readonly #entries: Gauge;
  #census = NO_CENSUS;
  #timer: Disposable | undefined;
  #closed = false;

  constructor(host: Host, options: EntryCensusOptions) {
    this.#host = host;
    this.#options = options;
    const { metrics } = host;
    this.#entries = metrics.gauge("spire_entries", "Registration entries of SPIRE's server, as counted last.");
    const help = "Identities of the mesh, on each of their nodes, that no registration entry of SPIRE's holds for.";
    this.#uncovered = metrics.gauge("spire_identities_without_entry", help);
  }

  get census(): Census {
    return this.#census;
  }

  start(): void {
    this.#again(FIRST_MS);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #again(delayMs: number): void {
    if (this.#closed) return;
    const pauseMs = Math.round(delayMs * (1 - JITTER * this.#host.random.next()));
    this.#timer = this.#host.clock.after(pauseMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const { clock } = this.#host;
    const begunMs = clock.elapsedMs();
    try {
      this.#say(await this.#count());
      this.#again(this.#pauseMs(clock.elapsedMs() - begunMs));
    } catch (thrown) {
      // What is known of a part is not known of the whole.
      this.#say({ ...this.#census, trouble: messageOf(thrown) });
      this.#again(SOON.atLeastMs);
    }
  }

  #pauseMs(tookMs: number): number {
    if (this.#census.uncovered === 0) return EVERY_MS;
    return Math.min(EVERY_MS, Math.max(SOON.atLeastMs, SOON.timesTheLast * tookMs));
  }

  async #count(): Promise<Census> {
    const { server, trustDomain, cluster, claimed } = this.#options;
    const at = this.#host.clock.now();
    const agents = agentsByNode(await server.agents());
    const claims = claimed();
    const tally = new EntryTally(claims, trustDomain);
    for await (const page of server.entries({})) tally.add(page);
    const count = new CensusCount();
    for (const [number, claim] of claims.entries()) {
      if (number % AT_ONCE === AT_ONCE - 1) await this.#turn();
      count.note(claim, whyUncovered({ ...claim, now: at }, tally.registered(claim.identity, agents)));
    }
    return count.result(at, tally.entries, agents, cluster);
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => void this.#host.clock.after(0, resolve));
  }

  #say(census: Census): void {
    if (this.#closed) return;
    this.#census = census;
    if (census.at !== undefined) {
      this.#entries.set(census.entries);
      this.#uncovered.set(census.uncovered);
    }
    this.#options.onChange();
  }
}
