import type { EpochMs, Host, Logger } from "../host.ts";
import { printable } from "../printable.ts";
import type { PeerError, PeerStatus } from "../registry/model/peer.ts";
import type { DeltaUpdate } from "../xds/delta-client.ts";
import type { ClientNode, TypeUrl } from "../xds/resource.ts";
import type { DecodedSnapshotEnd } from "../xds/types/snapshot-end.ts";
import { ByteRate, costOf, type PeerQuota } from "./allowance.ts";
import { LinkBackoff } from "./backoff.ts";
import type { DialTurns } from "./dial-turns.ts";
import { PEER_TYPES, type PeerImport } from "./import.ts";
import { reasonOf } from "./denial-reason.ts";
import type { LinkMetrics } from "./metrics.ts";
import { NamedTimers } from "./named-timers.ts";
import { linkName, type PeerTarget } from "./peer.ts";
import { Staleness, type StaleOptions } from "./staleness.ts";
import { Subscription } from "./subscription.ts";
import type { LinkFailure, LinkStream, LinkTransport } from "./transport.ts";

/** From the first packet until the peer has proven who it is and taken the call. */
const DIAL_MS = 10_000;
/** Clocks further apart than this make certificates fail that should not (contract operations.md 3.4, fault 23). */
const SKEW_MS_MAX = 120_000;
/** A stream that lived this long was a good one: the next failure is the first (contract peering.md 2.3). */
const STABLE_MS = 60_000;

/** A peer that comes to us again and again is not dialled more often than this. */
const RETRY_MS_MIN = 1_000;

type Timer = "retry" | "deadline" | "stable" | "throttle" | "grace";

export interface LinkOptions {
  /** What we say we are. */
  readonly node: ClientNode;
  readonly transport: LinkTransport;
  readonly turns: Pick<DialTurns, "take">;
  readonly records: PeerImport;
  readonly metrics: LinkMetrics;
  readonly quota: PeerQuota;
  readonly stale: StaleOptions;
  /** Called after anything that the status, or what is kept of the peer, may depend on. */
  readonly onChange: () => void;
}

/**
 * Our end of one peering, as a machine without I/O: it dials, subscribes, resumes and gives up, and says how it stands.
 * What the peer said stays when the stream ends; `records` knows what of it shows (contract peering.md 2.3, 2.4, 2.13).
 */
export class Link {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #options: LinkOptions;
  readonly #subscriptions = PEER_TYPES.map((typeUrl) => new Subscription(typeUrl));
  readonly #backoff: LinkBackoff;
  readonly #rate: ByteRate;
  readonly #staleness: Staleness;
  readonly #timers: NamedTimers<Timer>;
  #target: PeerTarget;
  #ips: readonly string[] = [];
  #tried = 0;
  /** Tells the stream that is open from those before it. */
  #attempt = 0;
  #stream: LinkStream | undefined;
  /** While it is being dialled, or waits for that. */
  #turn: Disposable | undefined;
  #connected = false;
  #failure: LinkFailure | undefined;
  #lastError: PeerError | undefined;
  #everSynced = false;
  #heardAt: EpochMs | undefined;
  #epoch: string | undefined;
  #skewMs: number | undefined;
  #since: { readonly state: PeerStatus["state"]; readonly atMs: EpochMs };
  #startedMs = 0;
  #closed = false;

  constructor(host: Host, target: PeerTarget, options: LinkOptions) {
    this.#host = host;
    this.#log = host.log.scope("peering");
    this.#target = target;
    this.#options = options;
    this.#timers = new NamedTimers(host.clock);
    this.#backoff = new LinkBackoff(host.random);
    this.#rate = new ByteRate(options.quota, host.clock.elapsedMs());
    this.#staleness = new Staleness(host.clock, options.stale);
    this.#since = { state: "connecting", atMs: host.clock.now() };
  }

  get target(): PeerTarget {
    return this.#target;
  }
  /** True while the peer is there. */
  get connected(): boolean {
    return this.#connected;
  }
  get state(): PeerStatus["state"] {
    if (!this.#connected) return this.#everSynced ? "stale" : "connecting";
    return this.#subscriptions.every(({ whole }) => whole) ? "live" : "syncing";
  }
  /** Until when the peer confirmed all that is held, by less than a keepalive; undefined if it never has. */
  get heardAt(): EpochMs | undefined {
    return this.state === "live" ? this.#host.clock.now() : this.#heardAt;
  }
  /** For how long nobody has confirmed what is held, in milliseconds; 0 while the peer is live. */
  get ageMs(): number {
    return this.#staleness.ageMs ?? 0;
  }
  /** Of the peer's process, as far as it said. */
  get epoch(): string | undefined {
    return this.#epoch;
  }
  /** How far the peer's wall clock is behind ours, with the time that its word was under way; undefined until it said. */
  get skewMs(): number | undefined {
    return this.#skewMs;
  }

  /** Without what only a probe knows. */
  status(): Omit<PeerStatus, "dataPlane"> {
    const { state } = this;
    if (this.#since.state !== state) this.#since = { state, atMs: this.#host.clock.now() };
    return {
      cluster: this.#target.cluster,
      state,
      everSynced: this.#everSynced,
      ...this.#reason(state),
      lastError: this.#lastError,
      sinceMs: this.#since.atMs,
      staleness: this.#everSynced ? this.#staleness.verdict : "fresh",
    };
  }

  /** What the peer said before our last stop, as `records` has it now. Before any address is known. */
  restored(heardAt: EpochMs): void {
    this.#everSynced = true;
    this.#heardAt = heardAt;
    this.#options.records.show();
    this.#wentStale(this.#host.clock.now() - heardAt);
    this.#options.onChange();
  }

  /** Where the peer is, as far as that is known; dials at once unless it is connected. */
  reach(ips: readonly string[]): void {
    const same = ips.length === this.#ips.length && ips.every((ip, at) => ip === this.#ips[at]);
    if (same || this.#closed) return;
    this.#ips = ips;
    if (this.#failure?.reason === "AddressUnresolved") this.#failure = undefined;
    if (!this.#connected) this.#dialAnew();
  }

  /** The peer's names could not be looked up, and there is nothing to fall back to. */
  unresolved(message: string): void {
    if (this.#ips.length > 0 || this.#closed) return;
    this.#noteFailure({ reason: "AddressUnresolved", message });
    this.#options.onChange();
  }

  /** The Gateway says something else now; `records` follow its rules already, and `reach` says where it leads. */
  retarget(target: PeerTarget): void {
    this.#target = target;
    this.#ips = [];
    this.#dialAnew();
  }

  /** The peer is there again, as far as anybody can tell: it need not wait, unless it was tried just now. */
  retryNow(): void {
    if (!this.#timers.has("retry") || this.#host.clock.elapsedMs() - this.#startedMs < RETRY_MS_MIN) return;
    this.#dial();
    this.#options.onChange();
  }

  /** Subscribes anew, for records that were refused and may come now. */
  refresh(): void {
    if (this.#connected) this.#dialAnew();
  }

  /** Ends the stream; what the peer said stays with `records`. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#hangUp();
    this.#timers.cancel("grace");
  }

  #reason(state: PeerStatus["state"]): Pick<PeerStatus, "reason" | "message"> {
    const { cluster } = this.#target;
    if (state === "live") return reasonOf(cluster, this.#options.records.denials);
    if (state === "syncing")
      return { reason: "SyncPending", message: `${cluster} is connected, and has not said all of its state yet` };
    if (this.#failure !== undefined) return this.#failure;
    return { reason: this.#everSynced ? "Stale" : "SyncPending", message: `${cluster} is being dialled` };
  }

  #dialAnew(): void {
    if (this.#closed) return;
    if (this.#connected) this.#lost();
    this.#backoff.reset();
    this.#tried = 0;
    this.#dial();
    this.#options.onChange();
  }

  #dial(): void {
    this.#hangUp();
    const ip = this.#ips[this.#tried % this.#ips.length];
    if (ip === undefined) return;
    this.#tried += 1;
    this.#turn = this.#options.turns.take(() => this.#open(ip));
  }

  #open(ip: string): void {
    const attempt = this.#attempt;
    const current = (): boolean => attempt === this.#attempt && !this.#closed;
    const late = `${ip} port ${this.#target.xdsPort} has not answered within ${DIAL_MS / 1000} s; check that the port is open`;
    this.#timers.after("deadline", DIAL_MS, () => this.#fail({ reason: "DialTimeout", message: late }));
    this.#startedMs = this.#host.clock.elapsedMs();
    const stream = (this.#stream = this.#options.transport.open(this.#target, ip, {
      connected: () => current() && this.#welcomed(),
      received: (update, bytes) => current() && this.#received(stream, update, bytes),
      ended: (failure) => current() && this.#fail(failure),
    }));
    for (const subscription of this.#subscriptions)
      stream.send(subscription.start(this.#options.node, this.#options.records.versions(subscription.typeUrl)));
  }

  #welcomed(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#failure = undefined;
    this.#tried = 0;
    this.#turn?.[Symbol.dispose]();
    this.#timers.cancel("deadline");
    this.#timers.after("stable", STABLE_MS, () => this.#backoff.reset());
    this.#options.metrics.connected(true);
    this.#options.onChange();
  }

  #received(stream: LinkStream, update: DeltaUpdate, bytes: number): void {
    this.#welcomed();
    this.#throttle(stream, costOf(bytes, update.resources.length + update.removed.length));
    const { metrics, records, onChange } = this.#options;
    const subscription = this.#subscriptions.find(({ typeUrl }) => typeUrl === update.typeUrl);
    if (subscription === undefined) return;
    const arrivedMs = subscription.whole ? this.#host.clock.elapsedMs() : this.#startedMs;
    const seconds = (): number => (this.#host.clock.elapsedMs() - arrivedMs) / 1000;
    metrics.received(update.typeUrl, bytes);
    try {
      const { resources, removed, end } = subscription.take(update, (name) => records.knows(update.typeUrl, name));
      const stranger = records.whyStranger(update.typeUrl, resources, removed);
      if (stranger !== undefined) return this.#fail({ reason: "IdentityMismatch", message: stranger });
      records.take(update.typeUrl, resources, removed);
      stream.send(subscription.answer(update));
      metrics.answered(update.typeUrl, seconds(), true);
      if (end !== undefined) this.#saidAll(update.typeUrl, end);
    } catch (thrown) {
      metrics.answered(update.typeUrl, seconds(), false);
      const why = printable(thrown instanceof Error ? thrown.message : String(thrown), 512);
      this.#log.warn("response of a peer rejected", { target: linkName(this.#target.cluster), why });
      stream.send(subscription.answer(update, why));
    }
    onChange();
  }

  /** One subscription has; the link is live once all have. */
  #saidAll(typeUrl: TypeUrl, { epoch, serverTimeMs, digest }: DecodedSnapshotEnd): void {
    if (digest !== "" && digest !== (this.#options.records.digestOf(typeUrl) ?? digest)) this.#disagrees(typeUrl);
    this.#epoch = epoch;
    this.#skewMs = this.#host.clock.now() - serverTimeMs;
    if (this.state !== "live") return;
    this.#everSynced = true;
    this.#staleness.end();
    this.#timers.cancel("grace");
    const { records } = this.#options;
    const { cluster } = this.#target;
    records.show();
    this.#log.info(`peering cluster ${cluster} sync complete`, { target: linkName(cluster), records: records.records });
    if (records.denials.length > 0)
      this.#log.warn(reasonOf(cluster, records.denials).message, { target: linkName(cluster) });
    const skew = `the clock of peer ${cluster} is ${Math.round(this.#skewMs / 1000)} s behind ours; synchronise both`;
    if (Math.abs(this.#skewMs) > SKEW_MS_MAX) this.#log.warn(skew, { target: linkName(cluster) });
  }

  #disagrees(typeUrl: TypeUrl): void {
    this.#options.metrics.digestMismatch();
    this.#log.warn("what is held of a peer is not what it has", { target: linkName(this.#target.cluster), typeUrl });
  }

  /** A peer that sends faster than its quota waits; nobody else does. */
  #throttle(stream: LinkStream, bytes: number): void {
    const waitMs = this.#rate.spend(bytes, this.#host.clock.elapsedMs());
    if (waitMs === 0 || this.#timers.has("throttle")) return;
    this.#options.metrics.denied("quota");
    stream.pause();
    this.#timers.after("throttle", waitMs, () => stream.resume());
  }

  #fail(failure: LinkFailure): void {
    if (this.#connected) this.#lost();
    this.#noteFailure(failure);
    this.#hangUp();
    // Other addresses of the peer are tried before anybody waits.
    const retryMs = this.#tried > 0 && this.#tried < this.#ips.length ? 0 : this.#backoff.next();
    if (retryMs > 0) this.#tried = 0;
    this.#timers.after("retry", retryMs, () => {
      this.#dial();
      this.#options.onChange();
    });
    this.#options.metrics.reconnects(failure.reason);
    // The words are the product's: operators look for them (contract peering.md C26, 2.14).
    this.#log.warn(`deltaadsc disconnected, retrying in ${(retryMs / 1000).toFixed(3)}s: ${failure.message}`, {
      reason: failure.reason,
      target: linkName(this.#target.cluster),
    });
    this.#options.onChange();
  }

  #noteFailure(failure: LinkFailure): void {
    const { reason, message } = failure;
    const again = this.#failure?.reason === reason && this.#failure.message === message;
    if (!again || this.#lastError === undefined) this.#lastError = { reason, message, atMs: this.#host.clock.now() };
    this.#failure = failure;
  }

  /** The stream is gone, or about to be; what came by it is as it was. */
  #lost(): void {
    this.#heardAt = this.heardAt;
    this.#options.metrics.connected(false);
    if (this.#everSynced) this.#wentStale();
  }

  #wentStale(ageMs?: number): void {
    this.#staleness.begin(ageMs);
    const { graceLeftMs } = this.#staleness;
    if (graceLeftMs !== undefined) this.#timers.after("grace", graceLeftMs, () => this.#graceOver());
  }

  #graceOver(): void {
    const { cluster } = this.#target;
    const since = `peering cluster ${cluster} has been stale for ${Math.round(this.ageMs / 1000)} s`;
    this.#log.warn(`${since}: what it said is now "${this.#staleness.verdict}"`, { target: linkName(cluster) });
    this.#options.onChange();
  }

  #hangUp(): void {
    this.#attempt += 1;
    this.#connected = false;
    this.#turn?.[Symbol.dispose]();
    this.#stream?.close();
    this.#stream = undefined;
    for (const timer of ["retry", "deadline", "stable", "throttle"] as const) this.#timers.cancel(timer);
  }
}
