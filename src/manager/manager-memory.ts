import { MeshError, messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { TrustStore } from "./store/store.ts";

const DOCUMENT = "causeway-trust-state";
const RETRY_MS = 5_000;

/** What one manager leaves to the next: where a change of the root is, and for which trust domain each cluster was issued. */
export class ManagerMemory {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #store: TrustStore;
  #version: string | undefined;
  #domains: ReadonlyMap<ClusterId, string> = new Map();
  #rotation = "";
  #written = "";
  #writing: Promise<void> | undefined;
  #trouble: string | undefined;
  #timer: Disposable | undefined;
  #closed = false;

  constructor(host: Host, store: TrustStore) {
    this.#host = host;
    this.#log = host.log.scope("trust");
    this.#store = store;
  }

  /** Why it cannot be written; undefined if it can. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Of a change of the root; empty if nothing is remembered. */
  get rotation(): string {
    return this.#rotation;
  }

  issuedDomain(cluster: ClusterId): string | undefined {
    return this.#domains.get(cluster);
  }

  /** @throws MeshError `unavailable`, or `invalid` for what nobody of us has written: then nothing may be guessed. */
  async open(signal: AbortSignal): Promise<void> {
    const found = await this.#store.read(DOCUMENT, signal);
    if (found === undefined) return;
    this.#version = found.version;
    this.#rotation = found.data.get("rotation") ?? "";
    this.#domains = domainsOf(this.#store.titleOf(DOCUMENT), found.data.get("trust-domains") ?? "{}");
    this.#written = this.#text();
  }

  /** Resolves once it is written. @throws MeshError `unavailable`; it is tried again until it is. */
  noteRotation(text: string): Promise<void> {
    this.#rotation = text;
    return this.#write();
  }

  /** Resolves once it is written. @throws MeshError `unavailable` */
  async noteDomain(cluster: ClusterId, trustDomain: string): Promise<void> {
    if (this.#domains.get(cluster) === trustDomain) return;
    this.#domains = new Map([...this.#domains, [cluster, trustDomain]]);
    await this.#write();
  }

  /** A cluster that is registered no more may come back under another trust domain. */
  keepOnly(clusters: { has(cluster: ClusterId): boolean }): void {
    const kept = [...this.#domains].filter(([cluster]) => clusters.has(cluster));
    if (kept.length === this.#domains.size) return;
    this.#domains = new Map(kept);
    void this.#write().catch(() => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#writing?.catch(() => {});
  }

  /** One write at a time, each of all that is known then. */
  async #write(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing.catch(() => {});
    if (this.#written === this.#text()) return;
    this.#writing = this.#writeOnce().finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  async #writeOnce(): Promise<void> {
    const text = this.#text();
    const data = new Map([
      ["rotation", this.#rotation],
      ["trust-domains", JSON.stringify(Object.fromEntries(this.#domains))],
    ]);
    try {
      this.#version = await this.#writeOver(data);
      this.#written = text;
      this.#trouble = undefined;
    } catch (thrown) {
      this.#complain(messageOf(thrown));
      throw MeshError.from(thrown, "unavailable");
    }
  }

  /** If somebody deleted it, it is put back: a process that begins without it would know of no change under way. */
  async #writeOver(data: ReadonlyMap<string, string>): Promise<string> {
    try {
      return await this.#store.write(DOCUMENT, data, this.#version);
    } catch (thrown) {
      if (MeshError.from(thrown).code !== "conflict" || (await this.#store.read(DOCUMENT)) !== undefined) throw thrown;
      this.#log.warn("what the trust manager remembers was deleted, and is put back", {
        document: this.#store.titleOf(DOCUMENT),
      });
      return this.#store.write(DOCUMENT, data, undefined);
    }
  }

  #complain(why: string): void {
    const trouble = `${this.#store.titleOf(DOCUMENT)} cannot be written: ${why}`;
    if (trouble !== this.#trouble) this.#log.error(trouble);
    this.#trouble = trouble;
    this.#timer?.[Symbol.dispose]();
    if (!this.#closed) this.#timer = this.#host.clock.after(RETRY_MS, () => void this.#write().catch(() => {}));
  }

  #text(): string {
    return JSON.stringify([this.#rotation, [...this.#domains]]);
  }
}

function domainsOf(title: string, text: string): ReadonlyMap<ClusterId, string> {
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const entries = Object.entries(value).filter((entry): entry is [ClusterId, string] => typeof entry[1] === "string");
    return new Map(entries);
  } catch (thrown) {
    const fix = "restore it from a backup; without it, changes of a trust domain would go unseen";
    throw new MeshError("invalid", `${title}: trust-domains is no JSON; ${fix}`, {}, { cause: thrown });
  }
}
