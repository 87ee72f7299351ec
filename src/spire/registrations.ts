import { LRUCache } from "lru-cache";
import type { Clock } from "../host.ts";
import { agentsByNode, type AgentsByNode, type Registered } from "./entries.ts";
import { serverIdOf, type SpireEntry, type SpireServer } from "./spire.ts";

/** An entry that is removed counts no longer than this. */
const ENTRIES_MS = 5_000;
/** Nodes come and go more slowly, and there may be thousands. */
const NODES_MS = 30_000;
/** Of the identities that were asked for last; one may have an entry for each of its pods. */
const ENTRIES_MAX = 20_000;

/**
 * What SPIRE's server says of identities, asked when it is needed: those who ask at once share an answer, and so do
 * those of the next seconds.
 */
export class Registrations {
  readonly #server: Pick<SpireServer, "entries" | "agents">;
  readonly #clock: Clock;
  readonly #underWay = new Map<string, Asked<readonly SpireEntry[]>>();
  readonly #known = new LRUCache<string, Known>({
    maxSize: ENTRIES_MAX,
    sizeCalculation: ({ entries }) => 1 + entries.length,
  });
  readonly #agents: Shared<AgentsByNode>;
  readonly #aliases: Shared<readonly SpireEntry[]>;

  constructor(server: Pick<SpireServer, "entries" | "agents">, clock: Clock, trustDomain: string) {
    this.#server = server;
    this.#clock = clock;
    this.#agents = new Shared(clock, async () => agentsByNode(await server.agents()));
    const parentId = serverIdOf(trustDomain);
    this.#aliases = new Shared(clock, async () =>
      // Whatever a server makes of the filter: what looks like an alias must be one.
      (await this.#all({ parentId })).filter((entry) => entry.parentId === parentId),
    );
  }

  /**
   * @param freshness `now` before somebody is refused: a node may have come since.
   * @throws MeshError as `SpireServer`.
   */
  async of(identity: string, freshness: "usual" | "now"): Promise<Registered> {
    const ageMs = freshness === "usual" ? NODES_MS : ENTRIES_MS;
    const [entries, agents, aliases] = await Promise.all([
      this.#entriesOf(identity),
      this.#agents.get(ageMs),
      this.#aliases.get(ageMs),
    ]);
    return { entries, agents, aliases };
  }

  async #entriesOf(identity: string): Promise<readonly SpireEntry[]> {
    const nowMs = this.#clock.elapsedMs();
    const known = this.#known.get(identity);
    if (known !== undefined && nowMs - known.atMs < ENTRIES_MS) return known.entries;
    const underWay = this.#underWay.get(identity);
    if (underWay !== undefined && nowMs - underWay.atMs < ENTRIES_MS) return underWay.answer;
    const asked = { atMs: nowMs, answer: this.#all({ spiffeId: identity }) };
    this.#underWay.set(identity, asked);
    try {
      const entries = await asked.answer;
      this.#known.set(identity, { atMs: nowMs, entries });
      return entries;
    } finally {
      if (this.#underWay.get(identity) === asked) this.#underWay.delete(identity);
    }
  }

  async #all(filter: Parameters<SpireServer["entries"]>[0]): Promise<readonly SpireEntry[]> {
    const all: SpireEntry[] = [];
    for await (const page of this.#server.entries(filter)) all.push(...page);
    return all;
  }
}

interface Known {
  /** When it was asked for, by `clock.elapsedMs`: what was so then may be no more when the answer comes. */
  readonly atMs: number;
  readonly entries: readonly SpireEntry[];
}

interface Asked<T> {
  readonly atMs: number;
  readonly answer: Promise<T>;
}

/** One question's last answer, for all who ask before it is too old. */
class Shared<T> {
  readonly #clock: Clock;
  readonly #ask: () => Promise<T>;
  #asked: Asked<T> | undefined;

  constructor(clock: Clock, ask: () => Promise<T>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  get(ageMaxMs: number): Promise<T> {
    const nowMs = this.#clock.elapsedMs();
    if (this.#asked !== undefined && nowMs - this.#asked.atMs < ageMaxMs) return this.#asked.answer;
    const asked = { atMs: nowMs, answer: this.#ask() };
    this.#asked = asked;
    asked.answer.catch(() => {
      // A failure is nobody's answer but theirs who waited for it.
      if (this.#asked === asked) this.#asked = undefined;
    });
    return asked.answer;
  }
}
