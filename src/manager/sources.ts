import { fingerprintOf } from "../ca/issued-list.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import { timeLimit } from "../time-limit.ts";
import type { Fingerprint } from "../relay/messages.ts";
import type { Issuer } from "./issuer.ts";
import type { SourceSpec } from "./policy.ts";

/** How often the roots of a source are read: after it answered, and after it did not. */
const READ_EVERY_MS = 30_000;
const RETRY_MS = 5_000;
/** One that answers slowly, as a Vault behind a proxy, answers within this. */
const READ_LIMIT_MS = 60_000;

/** What a policy wants of its source. */
export interface WantedSource {
  readonly spec: SourceSpec;
  /** Another value asks a source that makes its own root for a new one. */
  readonly rotateRoot: string;
  readonly graceRatio: number;
}

/** What a source said last. */
export interface SourceRoots {
  /** In DER: what verifies what it signs now. */
  readonly signing: Uint8Array;
  /** What else it wants trusted. */
  readonly beside: readonly Uint8Array[];
}

interface Held {
  readonly key: string;
  readonly issuer: Issuer;
  roots: SourceRoots | undefined;
}

/**
 * The issuer that the policy names, and those that it named before for as long as they may have to sign. Its roots are read
 * again and again: what a Secret or Vault has now is not what it had. One that cannot be asked keeps what it said.
 */
export class Sources {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #open: (wanted: WantedSource) => Issuer;
  readonly #onRoots: () => void;
  #wanted: Held | undefined;
  #former: readonly Held[] = [];
  #trouble: string | undefined;
  #timer: Disposable | undefined;
  #reading: Promise<void> | undefined;
  #again = false;
  readonly #stop = new AbortController();

  /** @param onRoots called after `roots` or `trouble` may have changed. */
  constructor(host: Host, open: (wanted: WantedSource) => Issuer, onRoots: () => void) {
    this.#host = host;
    this.#log = host.log.scope("trust");
    this.#open = open;
    this.#onRoots = onRoots;
  }

  /** Of the source that the policy names; undefined until it said them. */
  get roots(): SourceRoots | undefined {
    return this.#wanted?.roots;
  }
  /** Why that source cannot be asked; undefined if it can. */
  get trouble(): string | undefined {
    return this.#trouble;
  }
  get title(): string {
    return this.#wanted?.issuer.title ?? "";
  }
  /** What is done otherwise than the policy says. */
  get notes(): readonly string[] {
    return this.#wanted?.issuer.notes ?? [];
  }

  /** @throws MeshError for a source that cannot even be opened. */
  want(wanted: WantedSource): void {
    const key = JSON.stringify(wanted);
    if (this.#wanted?.key === key) return;
    const known = this.#former.find((held) => held.key === key);
    const next = known ?? { key, issuer: this.#open(wanted), roots: undefined };
    if (this.#wanted !== undefined) this.#former = [...this.#former, this.#wanted];
    this.#former = this.#former.filter((held) => held !== next);
    this.#wanted = next;
    this.#trouble = undefined;
    this.read();
  }

  /** Who signs under a root; undefined if nobody of ours does any more. */
  issuerFor(root: Fingerprint): Issuer | undefined {
    const held = [...(this.#wanted ? [this.#wanted] : []), ...this.#former];
    const signing = held.find(({ roots }) => roots !== undefined && fingerprintOf(roots.signing) === root);
    // One that makes its own roots can still sign under those before.
    const former = held.find(
      ({ roots, issuer }) => issuer.retire && roots?.beside.some((der) => fingerprintOf(der) === root),
    );
    return (signing ?? former)?.issuer;
  }

  /** Has a source that makes its own roots forget those that nobody needs any more. */
  retire(needs: (root: Uint8Array) => boolean): void {
    const { issuer, roots } = this.#wanted ?? {};
    const unneeded = (roots?.beside ?? []).filter((root) => !needs(root));
    if (issuer?.retire === undefined || unneeded.length === 0) return;
    issuer.retire(unneeded.map(fingerprintOf), this.#stop.signal).then(
      () => this.read(),
      (thrown: unknown) => this.#log.warn("roots that nobody needs are not forgotten", { why: messageOf(thrown) }),
    );
  }

  /** Closes those that are named no more, and whose root nobody needs. */
  forget(needs: (root: Uint8Array) => boolean = () => false): void {
    const kept = this.#former.filter(({ roots }) => roots !== undefined && needs(roots.signing));
    for (const held of this.#former) if (!kept.includes(held)) void held.issuer.close();
    this.#former = kept;
  }

  /** Reads the roots now: what they are in may have changed. */
  read(): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#stop.signal.aborted) return;
    this.#again = this.#reading !== undefined;
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined;
      if (this.#again) this.read();
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#timer?.[Symbol.dispose]();
    await this.#reading;
    this.forget();
    await this.#wanted?.issuer.close();
  }

  async #readOnce(): Promise<void> {
    const held = this.#wanted;
    if (held === undefined) return;
    const trouble = await this.#rootsOf(held).then(
      (roots) => void (held.roots = roots),
      (thrown: unknown) => messageOf(thrown),
    );
    if (held !== this.#wanted || this.#stop.signal.aborted) return;
    if (trouble !== undefined && trouble !== this.#trouble)
      this.#log.error("the source of intermediates cannot be asked", { source: held.issuer.title, why: trouble });
    else if (trouble === undefined && this.#trouble !== undefined)
      this.#log.info("the source of intermediates answers again", { source: held.issuer.title });
    this.#trouble = trouble;
    const delayMs = trouble === undefined ? READ_EVERY_MS : RETRY_MS;
    this.#timer = this.#host.clock.after(delayMs, () => this.read());
    this.#onRoots();
  }

  async #rootsOf({ issuer }: Held): Promise<SourceRoots> {
    using limit = timeLimit(this.#host.clock, READ_LIMIT_MS, this.#stop.signal);
    const [signing, ...beside] = await issuer.roots(limit.signal);
    if (signing !== undefined) return { signing, beside };
    throw new MeshError("invalid", `${issuer.title} names no root`);
  }
}
