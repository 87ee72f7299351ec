import { LRUCache } from "lru-cache";
import type { CsrOrder, IssuedSvid, Signer, SignerDescription, TrustBundle } from "../ca/signer.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs, Gauge, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Problem } from "../registry/model/problem.ts";
import { formatServiceAccountId } from "../spiffe.ts";

const IDENTITIES_MAX = 10_000;
/** Who still wants one asks again within 150 s (contract identity.md 1.4); a pod that is gone does not. */
const FORGOTTEN_MS = 600_000;
/** A mesh whose issuer is away has thousands: they are looked at together. */
export const LOOK_MS = 3_000;
const NAMED_MAX = 20;

interface Unsigned {
  readonly since: EpochMs;
  readonly why: string;
  readonly askedMs: number;
}

/** A signer that others decide for, and which identities it has left without a certificate, and why. */
export class UnsignedIdentities implements Signer {
  readonly #host: Host;
  readonly #signer: Signer;
  readonly #noteProblems: () => void;
  readonly #unsigned = new LRUCache<string, Unsigned>({ max: IDENTITIES_MAX });
  readonly #count: Gauge;
  #timer: Disposable | undefined;

  /** @param noteProblems called after `problems` may have changed. */
  constructor(host: Host, signer: Signer, noteProblems: () => void) {
    this.#host = host;
    this.#signer = signer;
    this.#noteProblems = noteProblems;
    const help = "Identities whose last request for a certificate was refused, as SPIRE is asked for all.";
    this.#count = host.metrics.gauge("workload_identities_unsigned", help);
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#signer.bundles;
  }

  get expiresAt(): EpochMs {
    return this.#signer.expiresAt;
  }

  get problems(): readonly Problem[] {
    const named = [...this.#unsigned.entries()].slice(0, NAMED_MAX);
    const problems = named.map(([identity, { since, why }]) => {
      const message = `It gets no certificate since ${new Date(since).toISOString()}: ${why}.`;
      return problemOf(`identity ${identity}`, message);
    });
    return this.#unsigned.size > NAMED_MAX ? [...problems, problemOf("identities", MORE)] : problems;
  }

  describe(): SignerDescription {
    return this.#signer.describe();
  }

  async issue(order: CsrOrder, signal: AbortSignal): Promise<IssuedSvid> {
    const identity = formatServiceAccountId(order.identity);
    try {
      const issued = await this.#signer.issue(order, signal);
      if (this.#unsigned.delete(identity)) this.#lookSoon();
      return issued;
    } catch (thrown) {
      const { detail, message } = MeshError.from(thrown);
      // A request that is no good, or a caller that left, is nobody's refusal.
      if (detail["stage"] !== "request" && !signal.aborted) this.#note(identity, message);
      throw thrown;
    }
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #note(identity: string, why: string): void {
    const { clock } = this.#host;
    const before = this.#unsigned.get(identity);
    this.#unsigned.set(identity, { since: before?.since ?? clock.now(), why, askedMs: clock.elapsedMs() });
    this.#lookSoon();
  }

  #lookSoon(): void {
    this.#count.set(this.#unsigned.size);
    this.#timer ??= this.#host.clock.after(LOOK_MS, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    const before = this.#host.clock.elapsedMs() - FORGOTTEN_MS;
    for (const [identity, { askedMs }] of this.#unsigned) if (askedMs <= before) this.#unsigned.delete(identity);
    if (this.#unsigned.size > 0) this.#lookSoon();
    else this.#count.set(0);
    this.#noteProblems();
  }
}

const MORE = `More than ${NAMED_MAX} identities get no certificate: the log of scope ca names them, and metric workload_identities_unsigned counts them.`;
const problemOf = (object: string, message: string): Problem => ({
  ...{ object, origin: "", field: "", message, severity: "error" },
});
