import { k8sAgent } from "../../src/demo/spire/agent-service.ts";
import { MeshError } from "../../src/errors.ts";
import type {
  DownstreamCa,
  EntryFilter,
  EntryResult,
  MintedSvid,
  SpireAgent,
  SpireBundle,
  SpireEntry,
  SpireServer,
} from "../../src/spire/spire.ts";

/**
 * What a SPIRE server does with registration entries and agents (contract identity.md 1.5), without a socket. It signs
 * nothing. Unlike a database it gives lists in another order than it was given.
 */
export class FakeSpireServer implements SpireServer {
  readonly #entries = new Map<string, SpireEntry>();
  /** Ids, by what makes two entries the same. */
  readonly #ids = new Map<string, string>();
  agentList: SpireAgent[] = [];
  /** Every call, as `create 3`. */
  readonly calls: string[] = [];
  pageSize = 500;
  /** Thrown by every call, if set. */
  down: MeshError | undefined;
  /** What it refuses of single entries, in its words. */
  refuses: (entry: SpireEntry) => string | undefined = () => undefined;
  /** Runs before each call is answered. */
  before: (call: string) => Promise<void> = () => Promise.resolve();

  constructor(readonly trustDomain = "cluster.local") {}

  /** An agent of the attestor k8s_psat on `node`. */
  addAgent(node: string, cluster = "east-spire", more: Partial<SpireAgent> = {}): void {
    this.agentList.push({ ...k8sAgent(this.trustDomain, cluster, node, 1e15), ...more });
  }

  /** As if somebody else had made it. */
  put(entry: SpireEntry): void {
    this.remove(entry.id);
    this.#entries.set(entry.id, entry);
    this.#ids.set(keyOf(entry), entry.id);
  }

  /** As if somebody else had removed it. @returns false if there is none. */
  remove(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#ids.delete(keyOf(entry));
    return this.#entries.delete(id);
  }

  get all(): readonly SpireEntry[] {
    return [...this.#entries.values()];
  }

  async agents(): Promise<readonly SpireAgent[]> {
    await this.#answer("agents");
    return [...this.agentList];
  }

  async *entries(_filter: EntryFilter): AsyncIterable<readonly SpireEntry[]> {
    const { all } = this;
    for (let at = 0; at === 0 || at < all.length; at += this.pageSize) {
      await this.#answer("list");
      yield all.slice(at, at + this.pageSize).map((entry) => ({ ...entry, selectors: [...entry.selectors].reverse() }));
    }
  }

  async createEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]> {
    await this.#answer(`create ${entries.length}`);
    return entries.map((entry) => this.#create(entry));
  }

  async updateEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]> {
    await this.#answer(`update ${entries.length}`);
    return entries.map((entry): EntryResult => {
      if (!this.#entries.has(entry.id)) return { why: "absent", message: "entry not found", entry: undefined };
      this.put(entry);
      return { why: "updated", message: "", entry };
    });
  }

  async deleteEntries(ids: readonly string[]): Promise<readonly EntryResult[]> {
    await this.#answer(`delete ${ids.length}`);
    return ids.map((id): EntryResult => {
      const why = this.remove(id) ? "deleted" : "absent";
      return { why, message: "", entry: undefined };
    });
  }

  mint = (): Promise<MintedSvid> => Promise.reject(new MeshError("unsupported", "this server signs nothing"));
  newDownstreamCa = (): Promise<DownstreamCa> => Promise.reject(new MeshError("unsupported", "nor authorities"));
  bundle = (): Promise<SpireBundle> => Promise.reject(new MeshError("unsupported", "it has no bundle"));
  federatedBundles = (): Promise<readonly SpireBundle[]> => Promise.resolve([]);

  async #answer(call: string): Promise<void> {
    this.calls.push(call);
    await this.before(call);
    if (this.down !== undefined) throw this.down;
  }

  #create(entry: SpireEntry): EntryResult {
    const message = this.refuses(entry);
    if (message !== undefined) return { why: "refused", message, entry: undefined };
    const similar = this.#ids.get(keyOf(entry));
    if (similar !== undefined)
      return { why: "conflict", message: "similar entry already exists", entry: this.#entries.get(similar) };
    const created = entry.id === "" ? { ...entry, id: `made-${this.#entries.size}` } : entry;
    this.put(created);
    return { why: "created", message: "", entry: created };
  }
}

const keyOf = ({ parentId, spiffeId, selectors }: SpireEntry): string =>
  JSON.stringify([parentId, spiffeId, [...selectors].sort()]);
