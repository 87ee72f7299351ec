import { isDeepStrictEqual } from "node:util";
import type { AuthorityFault } from "../ca/authority-keeper.ts";
import type { TrustBundle } from "../ca/signer.ts";
import { distinctRoots } from "../ca/trust-bundles.ts";
import type { Counter, EpochMs, Gauge, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import { endOf } from "./authorities.ts";
import { endedText, OLDER_TEXT, taintedText, tooManyText, whyNotFederated, whyNotOwn } from "./bundle-texts.ts";
import type { SpireBundle } from "./spire.ts";

/** Trust domains that SPIRE is federated with. */
const FEDERATED_MAX = 1_000;

/** What verifies our own trust domain's workloads. */
export interface OwnBundle extends TrustBundle {
  /** Roots that are on their way out. */
  readonly tainted: readonly Uint8Array[];
  /** SPIRE's; 0 if an agent said it, which does not count. */
  readonly sequence: bigint;
}

/** All that outlives a process. */
export interface HeldBundles {
  readonly own: OwnBundle | undefined;
  readonly federated: readonly TrustBundle[];
}

/** A server says more than an agent does. */
export type SaidBundle = Pick<SpireBundle, "trustDomain" | "authorities"> & Partial<SpireBundle>;

export interface SpireBundlesOptions {
  /** Our own. */
  readonly trustDomain: string;
  /** Called after a change of what is held, before whoever brought it goes on. */
  readonly onChange: () => void;
  /** Called after `faults` may have changed. */
  readonly onFaults: () => void;
}

/**
 * Whom SPIRE says to trust: the authorities of our own trust domain, and those of the trust domains that it is federated
 * with, each apart. What cannot be used takes nothing away.
 */
export class SpireBundles {
  readonly #host: Host;
  readonly #options: SpireBundlesOptions;
  readonly #graph = new Graph();
  readonly #bundles = new Source<string, TrustBundle>(this.#graph, "spire-bundles");
  readonly #counts: Gauge;
  readonly #refusals: Counter;
  #own: OwnBundle | undefined;
  #ownSaidAt: EpochMs | undefined;
  #federatedSaidAt: EpochMs | undefined;
  /** True while the server says less than it did before, in an older bundle. */
  #older = false;
  /** By trust domain: why what was said of it last is not in use. */
  #refused: ReadonlyMap<string, string> = new Map();

  constructor(host: Host, options: SpireBundlesOptions) {
    this.#host = host;
    this.#options = options;
    const { metrics } = host;
    this.#counts = metrics.gauge("spire_bundle_roots", "Roots that SPIRE names, by trust domain.", ["trust_domain"]);
    this.#refusals = metrics.counter("spire_bundles_refused_total", "Bundles of SPIRE that could not be used.");
    this.#bundles.observe((batch) => {
      for (const { key: trust_domain, after } of batch)
        if (after === undefined) this.#counts.remove({ trust_domain });
        else this.#counts.set(after.roots.length, { trust_domain });
    });
  }

  /** By trust domain; our own among them once it is known. */
  get bundles(): Collection<string, TrustBundle> {
    return this.#bundles;
  }

  /** Undefined until it is known, or remembered. */
  get own(): OwnBundle | undefined {
    return this.#own;
  }

  /** Of our own trust domain, in DER; none until they are known. */
  get roots(): readonly Uint8Array[] {
    return this.#own?.roots ?? [];
  }

  /** Those of them that are on their way out. */
  get tainted(): readonly Uint8Array[] {
    return this.#own?.tainted ?? [];
  }

  get held(): HeldBundles {
    const { trustDomain } = this.#options;
    const all = Array.from(this.#bundles.entries(), ([, bundle]) => bundle);
    return { own: this.#own, federated: all.filter((bundle) => bundle.trustDomain !== trustDomain) };
  }

  /** When SPIRE last said what is held of a trust domain; undefined while it is only remembered. */
  saidAt(trustDomain: string): EpochMs | undefined {
    return trustDomain === this.#options.trustDomain ? this.#ownSaidAt : this.#federatedSaidAt;
  }

  /** By trust domain: why what was said of it last is not in use. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** What is wrong with them, as of now: roots end. */
  get faults(): readonly AuthorityFault[] {
    const { trustDomain } = this.#options;
    const refused = Array.from(this.#refused.values(), (why) => `${why}. What was known before still counts.`);
    const ended = this.#own !== undefined && this.#alive(this.#own.roots).length === 0 ? [endedText(trustDomain)] : [];
    return [
      ...[...refused, ...ended].map((message) => ({ severity: "error", message }) as const),
      ...[...this.tainted.map(taintedText), ...(this.#older ? [OLDER_TEXT] : [])].map(
        (message) => ({ severity: "warning", message }) as const,
      ),
    ];
  }

  /** Takes what an earlier process held. */
  recall({ own, federated }: HeldBundles): void {
    this.#settle(own, federated);
  }

  /** Of our own trust domain. */
  sayOwn(said: SaidBundle): void {
    const { trustDomain } = this.#options;
    const why = whyNotOwn(said, trustDomain, this.#host.clock.now());
    this.#note(new Map([...this.#federatedRefusals(), ...(why === undefined ? [] : [[trustDomain, why] as const])]));
    if (why !== undefined) return;
    this.#ownSaidAt = this.#host.clock.now();
    this.#settle(this.#next(said), this.held.federated);
  }

  /** All that SPIRE is federated with: one that is absent is not any more. */
  sayFederated(said: readonly SaidBundle[]): void {
    const { trustDomain: own } = this.#options;
    const before = new Map(this.held.federated.map((bundle) => [bundle.trustDomain, bundle]));
    const refused = new Map([...this.#refused].filter(([name]) => name === own));
    // No authorities: that trust domain is not to be trusted any more.
    const named = said.filter(({ trustDomain, authorities }) => trustDomain !== own && authorities.length > 0);
    if (named.length > FEDERATED_MAX) refused.set("", tooManyText(named.length, FEDERATED_MAX));
    const federated = named.slice(0, FEDERATED_MAX).flatMap((bundle) => {
      const why = whyNotFederated(bundle);
      if (why === undefined) return [{ trustDomain: bundle.trustDomain, roots: distinctRoots(bundle.authorities) }];
      refused.set(bundle.trustDomain, why);
      return before.get(bundle.trustDomain) ?? [];
    });
    this.#note(refused);
    this.#federatedSaidAt = this.#host.clock.now();
    this.#settle(this.#own, federated);
  }

  /** A server that was put back to an earlier state does not know what it has said since: that takes nothing away. */
  #next({ trustDomain, authorities, tainted = [], sequence = 0n }: SaidBundle): OwnBundle {
    const roots = distinctRoots(authorities);
    const before = this.#own;
    const isOlder = before !== undefined && sequence > 0n && sequence < before.sequence;
    const all = isOlder ? distinctRoots([...roots, ...this.#alive(before.roots)]) : roots;
    this.#older = all.length > roots.length;
    return { trustDomain, roots: all, tainted, sequence: this.#older ? before!.sequence : sequence };
  }

  #settle(own: OwnBundle | undefined, federated: readonly TrustBundle[]): void {
    let changed = !isDeepStrictEqual(own, this.#own);
    // The same one stays: who looks for another one sees that there is none.
    if (changed) this.#own = own;
    using _observing = this.#bundles.observe(() => (changed = true));
    const ours = own === undefined ? [] : [{ trustDomain: own.trustDomain, roots: own.roots }];
    this.#bundles.replace(
      "",
      [...ours, ...federated].map((bundle) => [bundle.trustDomain, bundle] as const),
    );
    this.#graph.flush();
    if (changed) this.#options.onChange();
    this.#options.onFaults();
  }

  #note(refused: ReadonlyMap<string, string>): void {
    const log = this.#host.log.scope("spire");
    for (const [name, why] of refused) {
      if (this.#refused.get(name) === why) continue;
      this.#refusals.add();
      log.error("a bundle of SPIRE cannot be used; what was known before still counts", { why });
    }
    this.#refused = refused;
    this.#options.onFaults();
  }

  #federatedRefusals(): readonly (readonly [string, string])[] {
    return [...this.#refused].filter(([name]) => name !== this.#options.trustDomain);
  }

  #alive(roots: readonly Uint8Array[]): readonly Uint8Array[] {
    const now = this.#host.clock.now();
    return roots.filter((root) => endOf(root) > now);
  }
}
