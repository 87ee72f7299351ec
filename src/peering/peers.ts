import type { Host } from "../host.ts";
import type { ClusterId, ObjectKey } from "../names.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Source } from "../registry/collection/source.ts";
import type { PeerGateway, PeerStatus } from "../registry/model/peer.ts";
import { DialTurns } from "./dial-turns.ts";
import type { PeeringMetrics } from "./metrics.ts";
import { OpenedPeer, type PeerSurroundings, type PeerView } from "./opened-peer.ts";
import { type PeerTarget, targetOf } from "./peer.ts";

/** A peer that has not said a word for this long is not there, and is not waited for (contract operations.md 3.4, fault 6). */
const FIRST_WORD_MS = 800;
/** Nobody waits longer than this for one that is there (contract peering.md 2.13). */
const SETTLE_MS = 30_000;

export interface PeersOptions extends PeerSurroundings {
  readonly gateways: Collection<ObjectKey, PeerGateway>;
  readonly statuses: Source<ClusterId, PeerStatus>;
  readonly metrics: PeeringMetrics;
}

/** The links that Gateways ask for, opened, changed and closed with them. */
export class Peers {
  readonly #host: Host;
  readonly #options: PeersOptions;
  readonly #turns: DialTurns;
  readonly #peers = new Map<ClusterId, OpenedPeer>();
  #observing: Disposable | undefined;
  #sweeping = Promise.resolve();
  #dialledMs: number | undefined;
  #settled = false;

  constructor(host: Host, options: PeersOptions) {
    this.#host = host;
    this.#options = options;
    this.#turns = new DialTurns(host.clock);
  }

  /** Resolves once all shows that peers said before our last stop. The local cluster must have joined. */
  async start(): Promise<void> {
    this.#observing = this.#options.gateways.observe(() => this.#follow());
    const loaded = this.#follow();
    this.#sweeping = this.#options.store.keepOnly(new Set(this.#peers.keys()));
    await Promise.all(loaded);
  }

  /** Once there is a certificate to show. */
  dial(): void {
    this.#dialledMs ??= this.#host.clock.elapsedMs();
    for (const peer of this.#peers.values()) peer.dial();
  }

  /** A control plane of this cluster has come to us: it is there. */
  entered(cluster: ClusterId): void {
    this.#peers.get(cluster)?.entered();
  }

  /** After grants changed. */
  recheck(): void {
    for (const peer of this.#peers.values()) peer.recheck();
  }

  views(): readonly PeerView[] {
    return Array.from(this.#peers.values(), (peer) => peer.view());
  }

  /** Why others should wait; undefined once they need not, and never again after that. */
  whySettling(): string | undefined {
    const why = this.#settled ? undefined : this.#whySettling();
    this.#settled = why === undefined && this.#dialledMs !== undefined;
    return why;
  }

  /** Hangs up; what peers said is kept for the next start. */
  async close(): Promise<void> {
    this.#observing?.[Symbol.dispose]();
    await Promise.all(Array.from(this.#peers.values(), (peer) => peer.close()));
    await this.#sweeping;
    await this.#options.store.settled();
  }

  #whySettling(): string | undefined {
    const peers = [...this.#peers.values()];
    const loading = peers.find((peer) => peer.loading);
    if (loading !== undefined) return `what was last known of peer ${loading.target.cluster} is being read`;
    if (this.#dialledMs === undefined) return peers.length === 0 ? undefined : "peers are not dialled yet";
    const sinceMs = this.#host.clock.elapsedMs() - this.#dialledMs;
    if (sinceMs >= SETTLE_MS) return undefined;
    const waited = peers.find(({ state, connected }) => state !== "live" && (connected || sinceMs < FIRST_WORD_MS));
    return waited && `peer ${waited.target.cluster} has not said all of its state yet`;
  }

  /** @returns what is being loaded. */
  #follow(): readonly Promise<void>[] {
    const { wanted, kept } = this.#wanted();
    for (const [cluster, peer] of [...this.#peers])
      if (!wanted.has(cluster) && !kept.has(cluster)) this.#withdraw(cluster, peer);
    return [...wanted].flatMap(([cluster, target]) => {
      const peer = this.#peers.get(cluster);
      if (peer === undefined) return [this.#open(target)];
      if (!sameTarget(peer.target, target)) peer.retarget(target);
      return [];
    });
  }

  /**
   * `kept` are clusters whose only Gateway has become unfit to dial by: it is there, so nothing is withdrawn, and what was
   * right before stays in force.
   */
  #wanted(): { readonly wanted: ReadonlyMap<ClusterId, PeerTarget>; readonly kept: ReadonlySet<ClusterId> } {
    const wanted = new Map<ClusterId, PeerTarget>();
    const kept = new Set<ClusterId>();
    for (const [, gateway] of this.#options.gateways.entries()) {
      const target = targetOf(gateway);
      if (target !== undefined) wanted.set(target.cluster, target);
      else if (gateway.cluster !== undefined && gateway.refused?.reason !== "SelfPeer") kept.add(gateway.cluster);
    }
    return { wanted, kept };
  }

  async #open(target: PeerTarget): Promise<void> {
    const { cluster } = target;
    const { statuses, metrics } = this.#options;
    const peer = new OpenedPeer(this.#host, target, this.#options, this.#turns, metrics.of(cluster), (status) =>
      statuses.set(cluster, status),
    );
    this.#peers.set(cluster, peer);
    if (this.#dialledMs !== undefined) peer.dial();
    await peer.load();
  }

  #withdraw(cluster: ClusterId, peer: OpenedPeer): void {
    this.#peers.delete(cluster);
    peer.withdraw();
    this.#options.statuses.delete(cluster);
    this.#host.log.scope("peering").info("peer withdrawn: no Gateway leads to it any more", { peer: cluster });
  }
}

/** Plain values, written in one order of fields. */
const sameTarget = (a: PeerTarget, b: PeerTarget): boolean => JSON.stringify(a) === JSON.stringify(b);
