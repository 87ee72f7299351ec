import { hash } from "node:crypto";
import type { Host } from "../host.ts";
import { MemoryFile } from "../memory-file.ts";
import { writeBundleDocument } from "../spire/bundle-document.ts";
import type { MeshTrust } from "./mesh-trust.ts";

/** What vouches for our own trust domain, and who says when that changes. */
export type OwnBundle = Pick<MeshTrust, "bundles" | "ownBundle">;

/** Readers look every minute or so; roots are published a day before what they sign. */
const REFRESH_HINT_SECONDS = 300;

/**
 * The roots of our own trust domain, as a SPIFFE bundle. Its sequence is the time of the last change in seconds: it grows
 * even where the state folder is lost, and replicas, which see a change within moments of each other, say nearly the same.
 */
export class ServedBundle {
  readonly #host: Host;
  readonly #memory: MemoryFile;
  readonly #trust: OwnBundle;
  readonly #following: Disposable;
  #digest = "";
  #sequence = 0;
  #text: string | undefined;
  #opened = false;

  /** @param path of a file in the state folder. */
  constructor(host: Host, path: string, trust: OwnBundle) {
    this.#host = host;
    this.#memory = new MemoryFile(host.log.scope("spire"), path, {
      unread: "the number of our bundle is lost, so it has a new one",
      unwritten: "a restart gives our bundle a new number",
    });
    this.#trust = trust;
    this.#following = trust.bundles.observe(() => this.#note());
  }

  /** Undefined while we have no roots: an empty bundle would say that nobody of ours is to be trusted. */
  get text(): string | undefined {
    return this.#text;
  }

  async open(): Promise<void> {
    // The next number is greater in any case.
    await this.#memory.read((text) => {
      const { digest, sequence } = JSON.parse(text) as Partial<Record<string, unknown>>;
      if (typeof digest !== "string" || !Number.isSafeInteger(sequence)) throw new Error("it holds no number");
      [this.#digest, this.#sequence] = [digest, Number(sequence)];
    });
    this.#opened = true;
    this.#note();
  }

  async close(): Promise<void> {
    this.#following[Symbol.dispose]();
    await this.#memory.close();
  }

  #note(): void {
    const authorities = [...(this.#trust.ownBundle ?? [])].sort(Buffer.compare);
    if (!this.#opened || authorities.length === 0) return;
    const digest = hash("sha256", Buffer.concat(authorities), "hex");
    if (digest !== this.#digest) this.#count(digest);
    const sequence = BigInt(this.#sequence);
    this.#text = writeBundleDocument({ authorities, sequence, refreshHintSeconds: REFRESH_HINT_SECONDS });
  }

  #count(digest: string): void {
    this.#digest = digest;
    this.#sequence = Math.max(this.#sequence + 1, Math.floor(this.#host.clock.now() / 1000));
    this.#memory.write(`${JSON.stringify({ digest, sequence: this.#sequence })}\n`);
  }
}
