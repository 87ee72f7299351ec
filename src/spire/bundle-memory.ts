import type { BundleSource } from "../bundle-config.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import { MemoryFile } from "../memory-file.ts";
import { parseBundleDocument } from "./bundle-document.ts";
import type { ReadBundle } from "./bundle-follower.ts";

/** That nothing changed is saved this often: it is for people, who ask how old a bundle is. */
const CONFIRM_MS = 600_000;

interface Entry {
  readonly text: string;
  readonly readAt: EpochMs;
}

/** Under which a bundle is remembered: one that is read elsewhere, or proves itself otherwise, is another. */
const keyOf = ({ trustDomains, url, profile }: BundleSource): string =>
  [...trustDomains, url, profile.kind, profile.kind === "https_spiffe" ? profile.id : ""].join(" ");

/** Bundles as they were read last, in a file of the state folder, so that a restart takes no trust away. */
export class BundleMemory {
  readonly #host: Host;
  readonly #file: MemoryFile;
  readonly #entries = new Map<string, Entry>();
  #savedMs = -Infinity;

  constructor(host: Host, path: string) {
    this.#host = host;
    this.#file = new MemoryFile(host.log.scope("spire"), path, {
      unread: "what was known of other trust domains' bundles is lost, so they are unknown until they are read",
      unwritten: "a restart forgets the bundles of other trust domains",
    });
  }

  /** Never rejects. */
  async open(): Promise<void> {
    await this.#file.read((text) => {
      const { bundles } = JSON.parse(text) as { bundles: Record<string, Saved> };
      for (const [key, { document, read_at }] of Object.entries(bundles))
        this.#entries.set(key, { text: String(document), readAt: Date.parse(read_at) });
    });
  }

  of(source: BundleSource): ReadBundle | undefined {
    const entry = this.#entries.get(keyOf(source));
    if (entry === undefined || !Number.isFinite(entry.readAt)) return undefined;
    try {
      return { ...entry, document: parseBundleDocument(entry.text, source.trustDomains) };
    } catch (thrown) {
      const fields = { url: source.url, why: messageOf(thrown) };
      this.#host.log.scope("spire").warn("a bundle that was remembered is passed over", fields);
      return undefined;
    }
  }

  remember(source: BundleSource, { text, readAt }: ReadBundle): void {
    const key = keyOf(source);
    const same = this.#entries.get(key)?.text === text;
    this.#entries.set(key, { text, readAt });
    if (!same || this.#host.clock.elapsedMs() - this.#savedMs >= CONFIRM_MS) this.#save();
  }

  /** Of those that are not read any more, nothing is kept. */
  keep(sources: readonly BundleSource[]): void {
    const kept = new Set(sources.map(keyOf));
    const gone = [...this.#entries.keys()].filter((key) => !kept.has(key));
    for (const key of gone) this.#entries.delete(key);
    if (gone.length > 0) this.#save();
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #save(): void {
    this.#savedMs = this.#host.clock.elapsedMs();
    this.#file.write(this.#toJson());
  }

  #toJson(): string {
    const entries = [...this.#entries].map(
      ([key, { text, readAt }]) => [key, { read_at: new Date(readAt).toISOString(), document: text }] as const,
    );
    return `${JSON.stringify({ bundles: Object.fromEntries(entries) }, undefined, 2)}\n`;
  }
}

interface Saved {
  readonly document: string;
  readonly read_at: string;
}
