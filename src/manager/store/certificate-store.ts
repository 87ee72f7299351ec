import { MeshError, messageOf } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import { type ClusterId, isClusterId } from "../../names.ts";
import type { CertificateBook } from "../../relay/client-proof.ts";
import { refusal } from "../../relay/enrollment.ts";
import { rewritten } from "./rewritten.ts";
import type { TrustStore } from "./store.ts";

/** One document, with a line for each cluster that ever enrolled: some hundred bytes, 10,000 in a Secret. */
const NAME = "relay-clients";
/** Other replicas, and `causeway trust revoke`, write it, too. */
const READ_MS = 10_000;

interface Entry {
  readonly voidBefore: EpochMs;
  readonly cause: string;
}

/** From when client certificates count, kept in the manager's store. */
export class CertificateStore implements CertificateBook {
  readonly #host: Pick<Host, "clock" | "log">;
  readonly #store: TrustStore;
  readonly #observers = new Set<() => void>();
  /** Undefined until it was read. */
  #known: ReadonlyMap<string, Entry> | undefined;
  #timer: Disposable | undefined;

  constructor(host: Pick<Host, "clock" | "log">, store: TrustStore) {
    this.#host = host;
    this.#store = store;
  }

  /** Reads it now, and again every ten seconds. Never rejects: that is logged. */
  async follow(): Promise<void> {
    this.#timer = this.#host.clock.after(READ_MS, () => void this.follow());
    try {
      await this.#read();
    } catch (thrown) {
      this.#host.log.scope("trust").warn("what is revoked cannot be read", { why: messageOf(thrown) });
    }
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  async voidBefore(cluster: ClusterId): Promise<EpochMs> {
    return (await this.#read()).get(cluster)?.voidBefore ?? 0;
  }

  lastVoidBefore(cluster: ClusterId): EpochMs | undefined {
    return this.#known && (this.#known.get(cluster)?.voidBefore ?? 0);
  }

  async renounce(cluster: ClusterId, cause: string, since = Infinity): Promise<EpochMs> {
    const { entries, voidBefore } = await rewritten(this.#store, NAME, (data) => {
      const before = this.#entries(data);
      const last = before.get(cluster);
      if (last?.cause === cause) return { answer: { entries: before, voidBefore: last.voidBefore } };
      // It is at most a second ahead of when it was written.
      if (last !== undefined && last.voidBefore - 1000 > since) throw superseded(cluster, last);
      // A certificate says whole seconds: one from earlier in this second must not count.
      const nextSecond = Math.floor(this.#host.clock.now() / 1000 + 1) * 1000;
      const moment = Math.max(nextSecond, (last?.voidBefore ?? 0) + 1000);
      const next = new Map([...before, [cluster, { voidBefore: moment, cause }]]);
      return { answer: { entries: next, voidBefore: moment }, data: documentOf(next) };
    });
    this.#note(entries);
    return voidBefore;
  }

  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  async #read(): Promise<ReadonlyMap<string, Entry>> {
    const entries = this.#entries((await this.#store.read(NAME))?.data);
    this.#note(entries);
    return entries;
  }

  #note(entries: ReadonlyMap<string, Entry>): void {
    const before = this.#known;
    // Answers may come in another order than they were asked for: what is void never counts again.
    this.#known = new Map([
      ...entries,
      ...[...(before ?? [])].filter(([key, entry]) => isNewer(entry, entries.get(key))),
    ]);
    const changed = [...this.#known].some(([key, entry]) => isNewer(entry, before?.get(key)));
    if (changed || before === undefined) for (const observer of this.#observers) observer();
  }

  #entries(data: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, Entry> {
    return new Map([...(data ?? [])].map(([cluster, text]) => [cluster, this.#entry(cluster, text)]));
  }

  #entry(cluster: string, text: string): Entry {
    const [, time = "", cause = ""] = /^(\S+) (\S+)$/.exec(text) ?? [];
    const voidBefore = Date.parse(time);
    if (isClusterId(cluster) && !Number.isNaN(voidBefore)) return { voidBefore, cause };
    throw new MeshError(
      "invalid",
      `${this.#store.titleOf(NAME)} has something at ${JSON.stringify(cluster.slice(0, 80))} that we did not write; remove that line, or restore it`,
    );
  }
}

/** Whoever used a token before may not undo what was done since. */
const superseded = (cluster: ClusterId, { voidBefore }: Entry): MeshError =>
  refusal(
    "denied",
    "TokenUsed",
    `cluster ${cluster} enrolled by another token, or was revoked, at ${new Date(voidBefore).toISOString()}, after this token was used; make one with causeway trust token --cluster ${cluster}`,
  );

const isNewer = (entry: Entry, other: Entry | undefined): boolean => entry.voidBefore > (other?.voidBefore ?? 0);

const documentOf = (entries: ReadonlyMap<string, Entry>): ReadonlyMap<string, string> =>
  new Map(
    [...entries].map(([cluster, { voidBefore, cause }]) => [cluster, `${new Date(voidBefore).toISOString()} ${cause}`]),
  );
