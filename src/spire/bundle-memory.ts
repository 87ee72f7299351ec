import { readFile } from "node:fs/promises";
import type { BundleSource } from "../bundle-config.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import { writeWhole } from "../whole-file.ts";
import { parseBundleDocument } from "./bundle-document.ts";
import type { ReadBundle } from "./bundle-follower.ts";

/** That nothing changed is saved this often: it is for people, who ask how old a bundle is. */
const CONFIRM_MS = 600_000;

interface Entry {
  readonly text: string;
  readonly readAt: EpochMs;
}

/** Under which a bundle is remembered: one that is read elsewhere, or proves itself otherwise, is another. */
export const keyOfSource = ({ trustDomains, url, profile }: BundleSource): string =>
  [...trustDomains, url, profile.kind, profile.kind === "https_spiffe" ? profile.id : ""].join(" ");

/** Bundles as they were read last, in a file of the state folder, so that a restart takes no trust away. */
export class BundleMemory {
  readonly #host: Host;
  readonly #path: string;
  readonly #entries = new Map<string, Entry>();
  #savedMs = -Infinity;
  #writing: Promise<void> = Promise.resolve();

  constructor(host: Host, path: string) {
    this.#host = host;
    this.#path = path;
  }

  /** Never rejects: what cannot be read is as none, and one line in the log. */
  async open(): Promise<void> {
    try {
      const { bundles } = JSON.parse(await readFile(this.#path, "utf8")) as { bundles: Record<string, Saved> };
      for (const [key, { document, read_at }] of Object.entries(bundles))
        this.#entries.set(key, { text: String(document), readAt: Date.parse(read_at) });
    } catch (thrown) {
      if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return;
      this.#warn(
        "what was known of other trust domains' bundles is lost, so they are unknown until they are read",
        thrown,
      );
    }
  }

  of(source: BundleSource): ReadBundle | undefined {
    const entry = this.#entries.get(keyOfSource(source));
    if (entry === undefined || !Number.isFinite(entry.readAt)) return undefined;
    try {
      return { ...entry, document: parseBundleDocument(entry.text, source.trustDomains) };
    } catch (thrown) {
      this.#warn("a bundle that was remembered is passed over", thrown);
      return undefined;
    }
  }

  remember(source: BundleSource, { text, readAt }: ReadBundle): void {
    const key = keyOfSource(source);
    const same = this.#entries.get(key)?.text === text;
    this.#entries.set(key, { text, readAt });
    if (!same || this.#host.clock.elapsedMs() - this.#savedMs >= CONFIRM_MS) this.#save();
  }

  /** Of those that are not read any more, nothing is kept. */
  keep(sources: readonly BundleSource[]): void {
    const kept = new Set(sources.map(keyOfSource));
    const gone = [...this.#entries.keys()].filter((key) => !kept.has(key));
    for (const key of gone) this.#entries.delete(key);
    if (gone.length > 0) this.#save();
  }

  /** Resolves when all is written. */
  close(): Promise<void> {
    return this.#writing;
  }

  #save(): void {
    this.#savedMs = this.#host.clock.elapsedMs();
    this.#writing = this.#writing
      .then(() => writeWhole(this.#path, this.#toJson()))
      .catch((thrown: unknown) => this.#warn("a restart forgets the bundles of other trust domains", thrown));
  }

  #toJson(): string {
    const entries = [...this.#entries].map(
      ([key, { text, readAt }]) => [key, { read_at: new Date(readAt).toISOString(), document: text }] as const,
    );
    return `${JSON.stringify({ bundles: Object.fromEntries(entries) }, undefined, 2)}\n`;
  }

  #warn(message: string, thrown: unknown): void {
    this.#host.log.scope("spire").warn(message, { file: this.#path, why: messageOf(thrown) });
  }
}

interface Saved {
  readonly document: string;
  readonly read_at: string;
}
