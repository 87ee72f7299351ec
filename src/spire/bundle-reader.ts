import type { BundleSource } from "../bundle-config.ts";
import type { Host } from "../host.ts";
import type { Trust } from "../trust.ts";
import type { FetchBundle } from "./bundle-fetch.ts";
import { BundleFollower } from "./bundle-follower.ts";
import type { BundleMemory } from "./bundle-memory.ts";
import { type BundleFault, BundleMetrics, faultsOf, logChange } from "./bundle-watch.ts";

/** Ages and ends come by themselves. */
const TICK_MS = 15_000;
/** Under which the roots of bundles are offered. */
const OFFERED = "bundles";

/** A bundle that is read: what is known of it, and why the last looks failed, if they did. */
export type BundleReading = Pick<BundleFollower, "source" | "current" | "why" | "failures">;

export interface BundleReaderOptions {
  readonly fetch: FetchBundle;
  readonly trust: Pick<Trust, "offer">;
  readonly memory: BundleMemory;
  /** Called after `faults` may have changed. */
  readonly onFaults: () => void;
}

/** Reads the bundles of other trust domains, and has their roots vouch for these and for nobody else. */
export class BundleReader {
  readonly #host: Host;
  readonly #options: BundleReaderOptions;
  readonly #metrics: BundleMetrics;
  readonly #followers = new Map<string, BundleFollower>();
  readonly #leaving = new Set<Promise<void>>();
  #faults: readonly BundleFault[] = [];
  #ticking: Disposable | undefined;

  constructor(host: Host, options: BundleReaderOptions) {
    this.#host = host;
    this.#options = options;
    this.#metrics = new BundleMetrics(host.metrics);
  }

  get faults(): readonly BundleFault[] {
    return this.#faults;
  }

  get bundles(): readonly BundleReading[] {
    return [...this.#followers.values()];
  }

  /**
   * Reads these from now on, and no others: what one that is not named any more said counts no longer.
   * Resolves once each new one is remembered, or was looked at.
   */
  async read(sources: readonly BundleSource[]): Promise<void> {
    const wanted = new Map(sources.map((source) => [JSON.stringify(source), source]));
    for (const [key, follower] of this.#followers) if (!wanted.has(key)) this.#leave(key, follower);
    const opened = [...wanted].flatMap(([key, source]) => (this.#followers.has(key) ? [] : [this.#open(key, source)]));
    this.#options.memory.keep(sources);
    this.#offer();
    this.#tick();
    const first = opened.map((follower) => ({ follower, looked: follower.start() }));
    await Promise.all(first.flatMap(({ follower, looked }) => (follower.current === undefined ? [looked] : [])));
  }

  /** Somebody of this trust domain says that it has other roots than we know. */
  hurry(trustDomain: string): void {
    for (const follower of this.#followers.values())
      if (follower.source.trustDomains.includes(trustDomain)) follower.hurry();
  }

  async close(): Promise<void> {
    this.#ticking?.[Symbol.dispose]();
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()));
    await Promise.all(this.#leaving);
    await this.#options.memory.close();
  }

  #open(key: string, source: BundleSource): BundleFollower {
    const { fetch, memory } = this.#options;
    const follower: BundleFollower = new BundleFollower(this.#host, source, fetch, memory.of(source), {
      changed: (now, before) => {
        logChange(this.#host, source, now, before);
        if (before !== undefined) this.#metrics.changed(source);
        this.#offer();
      },
      looked: (why) => {
        this.#metrics.looked(source, why === undefined);
        if (why === undefined) memory.remember(source, follower.current!);
        else this.#host.log.scope("spire").debug("a bundle cannot be read", { url: source.url, why });
        this.#look();
      },
    });
    this.#followers.set(key, follower);
    return follower;
  }

  #leave(key: string, follower: BundleFollower): void {
    this.#followers.delete(key);
    this.#metrics.forget(follower.source);
    const leaving = follower.close().finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  #offer(): void {
    const anchors = [...this.#followers.values()].flatMap(({ source, current }) =>
      current === undefined
        ? []
        : source.trustDomains.map((trustDomain) => ({ trustDomain, roots: current.document.authorities })),
    );
    this.#options.trust.offer(OFFERED, anchors);
  }

  #tick(): void {
    this.#ticking?.[Symbol.dispose]();
    this.#ticking = this.#followers.size === 0 ? undefined : this.#host.clock.after(TICK_MS, () => this.#tick());
    this.#look();
  }

  #look(): void {
    const now = this.#host.clock.now();
    const followers = [...this.#followers.values()];
    for (const { source, current } of followers) if (current !== undefined) this.#metrics.show(source, current, now);
    const faults = followers.flatMap((follower) => faultsOf(follower, now));
    const same = JSON.stringify(faults) === JSON.stringify(this.#faults);
    this.#faults = faults;
    if (!same) this.#options.onFaults();
  }
}
