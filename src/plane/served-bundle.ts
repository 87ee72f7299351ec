import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import { writeBundleDocument } from "../spire/bundle-document.ts";
import { writeWhole } from "../whole-file.ts";
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
  readonly #path: string;
  readonly #trust: OwnBundle;
  readonly #following: Disposable;
  #digest = "";
  #sequence = 0;
  #text: string | undefined;
  #opened = false;
  #writing: Promise<void> = Promise.resolve();

  /** @param path of a file in the state folder. */
  constructor(host: Host, path: string, trust: OwnBundle) {
    this.#host = host;
    this.#path = path;
    this.#trust = trust;
    this.#following = trust.bundles.observe(() => this.#note());
  }

  /** Undefined while we have no roots: an empty bundle would say that nobody of ours is to be trusted. */
  get text(): string | undefined {
    return this.#text;
  }

  async open(): Promise<void> {
    try {
      const { digest, sequence } = JSON.parse(await readFile(this.#path, "utf8")) as Partial<Record<string, unknown>>;
      if (typeof digest === "string" && Number.isSafeInteger(sequence))
        [this.#digest, this.#sequence] = [digest, Number(sequence)];
    } catch {
      // There is none, or it is damaged: the next number is greater in any case.
    }
    this.#opened = true;
    this.#note();
  }

  async close(): Promise<void> {
    this.#following[Symbol.dispose]();
    await this.#writing;
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
    const text = `${JSON.stringify({ digest, sequence: this.#sequence })}\n`;
    this.#writing = this.#writing
      .then(() => writeWhole(this.#path, text))
      .catch((thrown: unknown) => {
        const why = messageOf(thrown);
        this.#host.log.scope("spire").warn("a restart gives our bundle a new number", { file: this.#path, why });
      });
  }
}
