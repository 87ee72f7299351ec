import type { AuthorityFault } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import { newCsr } from "../ca/client.ts";
import { pemBlocks } from "../pem.ts";
import { messageOf } from "../errors.ts";
import type { Counter, EpochMs, Gauge, Host } from "../host.ts";
import type { SpireBundles } from "./bundles.ts";
import { downstreamAuthority, type DownstreamCheck, whyUnverified } from "./downstream-check.ts";
import type { SpireServer } from "./spire.ts";

/** What is asked for: as long as SPIRE's own authority lives, by default, which bounds it. */
const LIFE_SECONDS = 86_400;
/** A leaf gets at most this part of its authority's life (contract identity.md 1.3). */
const LEAF_PART = 1 / 6;
/** After a failure; the pause doubles up to the second. */
const RETRY_MS = { first: 5_000, longest: 30_000 };

export interface DownstreamOptions {
  readonly trustDomain: string;
  readonly server: Pick<SpireServer, "newDownstreamCa">;
  readonly bundles: Pick<SpireBundles, "roots" | "tainted">;
  /** Resolves once SPIRE's bundles are as its server knows them now, or could not be had. */
  readonly refresh: () => Promise<void>;
  /** Called with each authority that is to sign from now on. What it throws refuses that authority. */
  readonly onAuthority: (authority: Authority) => void;
  /** Called after `faults` may have changed. */
  readonly onFaults: () => void;
}

/**
 * An authority of our own that SPIRE vouches for (contract identity.md 1.3). Its key is made here, is never written
 * anywhere, and is another one at each renewal. Until there is one that verifies nothing is signed, and no other signs in
 * its place.
 */
export class DownstreamAuthority {
  readonly #host: Host;
  readonly #options: DownstreamOptions;
  readonly #renewals: Counter;
  readonly #ends: Gauge;
  #held: { readonly authority: Authority; readonly since: EpochMs } | undefined;
  #trouble = "";
  #failures = 0;
  /** Why what it signs does not verify any more. */
  #distrusted: string | undefined;
  #taintedSeen: readonly Uint8Array[] = [];
  #timer: Disposable | undefined;
  #renewing: Promise<void> | undefined;
  #closed = false;

  constructor(host: Host, options: DownstreamOptions) {
    this.#host = host;
    this.#options = options;
    const { metrics } = host;
    this.#renewals = metrics.counter("spire_downstream_ca_renewals_total", "Authorities asked of SPIRE.", ["result"]);
    const help = "When the authority that SPIRE gave us ends, in Unix seconds.";
    this.#ends = metrics.gauge("spire_downstream_ca_expiry_timestamp_seconds", help);
  }

  /** The longest life of what it signs; it ends before its authority does, too. */
  get ttlSecondsMax(): number {
    if (this.#held === undefined) return 0;
    const { authority, since } = this.#held;
    return Math.floor(((authority.notAfter - since) / 1000) * LEAF_PART);
  }

  get faults(): readonly AuthorityFault[] {
    const why = this.whyNot();
    if (why !== undefined) return [{ severity: "error", message: `${why}. No workload gets a certificate.` }];
    if (this.#trouble === "") return [];
    const until = timeOf(this.#held!.authority.notAfter);
    const message = `The authority that SPIRE gave us could not be renewed, and signs until ${until}: ${this.#trouble}.`;
    return [{ severity: "warning", message }];
  }

  /** Why nothing may be signed now; undefined if it may. */
  whyNot(): string | undefined {
    const because = this.#trouble === "" ? "" : `: ${this.#trouble}`;
    if (this.#held === undefined) return `SPIRE has given us no authority yet${because}`;
    const { notAfter } = this.#held.authority;
    if (notAfter <= this.#host.clock.now())
      return `SPIRE's authority for us ended at ${timeOf(notAfter)}, and there is no other${because}`;
    return this.#distrusted && `SPIRE's authority for us is not good any more (${this.#distrusted})${because}`;
  }

  /** Resolves once the first has been asked for, and is there or not. */
  start(): Promise<void> {
    return this.#renew();
  }

  /** After a change of SPIRE's bundles: what leads to a root that is gone must sign no more, and what leads to one that goes is replaced. */
  bundlesChanged(): void {
    if (this.#held === undefined) return;
    const { roots, tainted } = this.#options.bundles;
    this.#distrusted = whyUnverified(this.#held.authority, this.#check(roots));
    const seen = new Set(this.#taintedSeen.map(hex));
    const fresh = tainted.filter((root) => !seen.has(hex(root)));
    this.#taintedSeen = tainted;
    const gone = new Set(tainted.map(hex));
    const good = roots.filter((root) => !gone.has(hex(root)));
    const leaves = fresh.length > 0 && whyUnverified(this.#held.authority, this.#check(good)) !== undefined;
    if (this.#distrusted !== undefined || leaves) void this.#renew();
    this.#options.onFaults();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #renew(): Promise<void> {
    return (this.#renewing ??= this.#replace().finally(() => (this.#renewing = undefined)));
  }

  async #replace(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    try {
      const authority = await this.#obtained();
      if (this.#closed) return;
      this.#options.onAuthority(authority);
      this.#held = { authority, since: this.#host.clock.now() };
      this.#distrusted = undefined;
      this.#note("");
    } catch (thrown) {
      if (this.#closed) return;
      this.#note(messageOf(thrown));
    }
    this.#timer = this.#host.clock.after(this.#pauseMs(), () => void this.#renew());
    this.#options.onFaults();
  }

  async #obtained(): Promise<Authority> {
    const { server, bundles, refresh } = this.#options;
    const { csr, privateKey } = newCsr();
    const { chain } = await server.newDownstreamCa(pemBlocks(csr, "CERTIFICATE REQUEST")[0]!, LIFE_SECONDS);
    try {
      return downstreamAuthority(chain, privateKey, this.#check(bundles.roots));
    } catch {
      // Its root may be newer than what we know; workloads are to have it before anything under it.
      await refresh();
      return downstreamAuthority(chain, privateKey, this.#check(bundles.roots));
    }
  }

  #check(roots: readonly Uint8Array[]): DownstreamCheck {
    const { clock, random } = this.#host;
    return { trustDomain: this.#options.trustDomain, roots, now: clock.now(), random };
  }

  #note(trouble: string): void {
    const log = this.#host.log.scope("spire");
    this.#failures = trouble === "" ? 0 : this.#failures + 1;
    this.#renewals.add(1, { result: trouble === "" ? "ok" : "failed" });
    const { notAfter } = this.#held?.authority ?? { notAfter: 0 };
    if (trouble !== "" && trouble !== this.#trouble)
      log.error("SPIRE gave us no authority that can be used; it is asked again", { why: trouble });
    if (trouble === "") log.info("SPIRE has given us an authority, which signs now", { until: timeOf(notAfter) });
    this.#trouble = trouble;
    this.#ends.set(Math.floor(notAfter / 1000));
  }

  /** At half of its life, as SPIRE's own; not all replicas at once. */
  #pauseMs(): number {
    const { clock, random } = this.#host;
    const part = 0.9 + 0.1 * random.next();
    if (this.#failures === 0) return (part * Math.max(0, this.#held!.authority.notAfter - clock.now())) / 2;
    return part * Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** Math.min(this.#failures - 1, 10));
  }
}

const timeOf = (time: EpochMs): string => new Date(time).toISOString();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
