import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LOOK_MS } from "../ca/cacerts-follower.ts";
import { wholePemBlocks } from "../pem.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { EndpointCertificate } from "../http-endpoint.ts";

export interface FollowedCertificateEvents {
  /** Called with the first that can be used, and each later one; what it throws is why it cannot be. */
  use(certificate: EndpointCertificate): void;
  /** After each look: `why` may be another. */
  looked(): void;
}

/** A certificate and its key in two files that somebody else renews. What cannot be used changes nothing. */
export class FollowedCertificate {
  readonly #host: Host;
  readonly #files: { readonly chain: string; readonly key: string };
  readonly #events: FollowedCertificateEvents;
  #current: (EndpointCertificate & { readonly notAfter: EpochMs }) | undefined;
  #why: string | undefined;
  #timer: Disposable | undefined;
  #closed = false;

  constructor(host: Host, files: { readonly chain: string; readonly key: string }, events: FollowedCertificateEvents) {
    this.#host = host;
    this.#files = files;
    this.#events = events;
  }

  /** Why what is in the files is not used, or that it has ended; undefined if all is well. */
  get why(): string | undefined {
    const { notAfter } = this.#current ?? {};
    if (this.#why !== undefined || notAfter === undefined || notAfter > this.#host.clock.now()) return this.#why;
    return `the certificate in ${this.#files.chain} ended at ${new Date(notAfter).toISOString()}`;
  }

  /** Resolves after the first look. Never rejects. */
  async start(): Promise<void> {
    await this.#look();
    if (!this.#closed) this.#events.looked();
    if (!this.#closed) this.#timer = this.#host.clock.after(LOOK_MS, () => void this.start());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    try {
      const chain = await readFile(this.#files.chain, "utf8");
      const key = await readFile(this.#files.key, "utf8");
      if (this.#closed) return;
      if (this.#current?.chain !== chain || this.#current.key !== key) this.#take(chain, key);
      this.#why = undefined;
    } catch (thrown) {
      this.#why = messageOf(thrown);
    }
  }

  /** Files are written one after the other: those that do not belong together are looked at again. */
  #take(chain: string, key: string): void {
    const [leaf] = wholePemBlocks(chain, "CERTIFICATE");
    if (leaf === undefined) throw new Error(`${this.#files.chain} holds no certificate in PEM`);
    const certificate = new X509Certificate(leaf);
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      throw new Error(`the key in ${this.#files.key} is not that of the certificate in ${this.#files.chain}`);
    this.#events.use({ chain, key });
    this.#current = { chain, key, notAfter: Date.parse(certificate.validTo) };
  }
}
