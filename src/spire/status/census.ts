import { MeshError } from "../../errors.ts";
import type { EpochMs } from "../../host.ts";
import { type AgentsByNode, type Claim, type Registered, vouchers } from "../entries.ts";
import { isLive } from "../node-agents.ts";
import { serverIdOf, type SpireAgent, type SpireEntry } from "../spire.ts";

/** How many identities of the mesh SPIRE would vouch for, if all asked at once. */
export interface Census {
  /** When it was begun; undefined before the first. */
  readonly at: EpochMs | undefined;
  /** All that the server has, whomever for. */
  readonly entries: number;
  /** Of our cluster. */
  readonly agents: number;
  /** Those with pods of the mesh. */
  readonly nodes: number;
  /** Those of them without an agent that lives. */
  readonly bareNodes: readonly string[];
  readonly pods: number;
  /** Each identity counts once for each of its nodes, as ztunnels ask for it. */
  readonly identities: number;
  readonly uncovered: number;
  /** Not all of those, if they are many. */
  readonly shown: readonly Uncovered[];
  /** Why the last one failed; what was counted before still stands here. */
  readonly trouble: string | undefined;
}

export interface Uncovered {
  readonly spiffeId: string;
  readonly node: string;
  readonly why: string;
}

export const NO_CENSUS: Census = {
  ...{ at: undefined, entries: 0, agents: 0, nodes: 0, bareNodes: [], pods: 0, identities: 0, uncovered: 0, shown: [] },
  trouble: undefined,
};

/** Who needs a certificate. */
export type Claimed = Omit<Claim, "now">;

const SHOWN_MAX = 100;

/** What of a server's entries bears on what is claimed, gathered page by page. */
export class EntryTally {
  readonly #byIdentity: ReadonlyMap<string, SpireEntry[]>;
  readonly #aliases: SpireEntry[] = [];
  readonly #server: string;
  #entries = 0;

  constructor(claimed: readonly Claimed[], trustDomain: string) {
    this.#byIdentity = new Map(claimed.map(({ identity }) => [identity, []]));
    this.#server = serverIdOf(trustDomain);
  }

  /** All that were added. */
  get entries(): number {
    return this.#entries;
  }

  add(page: readonly SpireEntry[]): void {
    this.#entries += page.length;
    for (const entry of page) {
      this.#byIdentity.get(entry.spiffeId)?.push(entry);
      if (entry.parentId === this.#server) this.#aliases.push(entry);
    }
  }

  registered(identity: string, agents: AgentsByNode): Registered {
    return { entries: this.#byIdentity.get(identity) ?? [], aliases: this.#aliases, agents };
  }
}

/** Why nobody would vouch for this one now; undefined if somebody would. It is the judgement by which SPIRE is asked to sign. */
export function whyUncovered(claim: Claim, registered: Registered): string | undefined {
  try {
    vouchers(claim, registered);
    return undefined;
  } catch (thrown) {
    const { code, message } = MeshError.from(thrown);
    if (code !== "denied") throw thrown;
    return message;
  }
}

/** Adds up what was judged. */
export class CensusCount {
  readonly #nodes = new Set<string>();
  readonly #shown: Uncovered[] = [];
  #pods = 0;
  #identities = 0;
  #uncovered = 0;

  note({ identity, bearer }: Claimed, why: string | undefined): void {
    this.#nodes.add(bearer.node);
    this.#pods += bearer.pods.length;
    this.#identities += 1;
    if (why === undefined) return;
    this.#uncovered += 1;
    if (this.#shown.length < SHOWN_MAX) this.#shown.push({ spiffeId: identity, node: bearer.node, why });
  }

  /** @param cluster as SPIRE calls it. */
  result(at: EpochMs, entries: number, agents: AgentsByNode, cluster: string): Census {
    const lives = (agent: SpireAgent): boolean => isLive(agent, at);
    const ofNode = (node: string): readonly SpireAgent[] => (agents.get(`${cluster}/${node}`) ?? []).filter(lives);
    const ours = [...agents].filter(([place]) => place.startsWith(`${cluster}/`));
    return {
      ...{ at, entries, agents: ours.reduce((count, [, there]) => count + there.filter(lives).length, 0) },
      ...{ nodes: this.#nodes.size, bareNodes: [...this.#nodes].filter((node) => ofNode(node).length === 0).sort() },
      ...{ pods: this.#pods, identities: this.#identities, uncovered: this.#uncovered, shown: this.#shown },
      trouble: undefined,
    };
  }
}
