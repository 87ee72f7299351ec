import type { EpochMs, Host } from "../host.ts";
import type { ClusterFacts, PeerStatus } from "../registry/model/peer.ts";
import { importsFrom } from "../registry/model/granted.ts";
import type { PeerGrant } from "../registry/model/peer-grant.ts";
import { FSDS_TYPE, type ClientNode } from "../xds/resource.ts";
import { Addresses, type LookUp } from "./addresses.ts";
import type { PeerQuota } from "./allowance.ts";
import { DataPlane } from "./data-plane.ts";
import { type PeerIntake, PeerImport } from "./import.ts";
import { Link } from "./link.ts";
import type { LinkContents } from "./link-contents.ts";
import type { LinkMetrics } from "./metrics.ts";
import type { PeerTarget } from "./peer.ts";
import type { DialTurns } from "./dial-turns.ts";
import type { Door } from "./probe.ts";
import type { Denial, PeerRules } from "./rules.ts";
import type { SnapshotStore } from "./snapshot-store.ts";
import type { StaleOptions } from "./staleness.ts";
import type { LinkTransport } from "./transport.ts";

/** Changes of a peer are saved this often at most: a restart asks for what came since. */
const SAVE_MS = 30_000;
/** That nothing changed is saved this often, or four times within the grace: who is killed shall not find it used up. */
const CONFIRM_MS = 300_000;

/** How often a peer is looked at: its age, its doors, what is to be saved. */
const TICK_MS = 5_000;

/** A measure needs no more. */
const UNDELIVERED_MAX = 1_000;

/** What peers share. */
export interface PeerSurroundings {
  readonly node: ClientNode;
  readonly transport: LinkTransport;
  readonly intake: PeerIntake;
  readonly store: SnapshotStore;
  readonly quota: PeerQuota;
  readonly stale: StaleOptions;
  readonly lookUp: LookUp;
  readonly probe: (door: Door) => Promise<boolean>;
  /** Calls back once the clients that are connected have acknowledged what is known now; with false if none will. */
  readonly onceDelivered: (done: (delivered: boolean) => void) => void;
  /** What peers may contribute, as it is now. */
  readonly grants: () => Iterable<PeerGrant>;
}

/** One peer as an operator sees it; times are wall time in milliseconds. */
export interface PeerView extends PeerStatus {
  readonly target: PeerTarget;
  /** Where it may be dialled, as far as that is known. */
  readonly addresses: readonly string[];
  readonly heardAt: EpochMs | undefined;
  /** For how long it has not confirmed what is held; 0 while it is live. */
  readonly ageMs: number;
  readonly epoch: string | undefined;
  readonly skewMs: number | undefined;
  readonly facts: ClusterFacts | undefined;
  readonly services: number;
  readonly records: number;
  readonly bytes: number;
  /** What is held of it. */
  readonly contents: LinkContents;
  readonly denials: readonly (Denial & { readonly name: string })[];
}

/** A peer that a Gateway leads to: its link, what came by it, and what is kept of that. */
export class OpenedPeer {
  readonly #host: Host;
  readonly #shared: PeerSurroundings;
  readonly #metrics: LinkMetrics;
  readonly #onChange: (status: PeerStatus) => void;
  readonly #records: PeerImport;
  readonly #link: Link;
  readonly #addresses: Addresses;
  readonly #dataPlane: DataPlane;
  /** When exporters changed what clients here have not acknowledged yet; theirs is the clock. */
  readonly #undelivered: EpochMs[] = [];
  #loading = true;
  #dialling = false;
  #gone = false;
  #changed = false;
  #wasConnected = false;
  #savedMs: number | undefined;
  #ticking: Disposable;

  constructor(
    host: Host,
    target: PeerTarget,
    shared: PeerSurroundings,
    turns: DialTurns,
    metrics: LinkMetrics,
    onChange: (status: PeerStatus) => void,
  ) {
    this.#host = host;
    this.#shared = shared;
    this.#metrics = metrics;
    this.#onChange = onChange;
    const { intake, quota, transport, node, stale, lookUp, probe } = shared;
    this.#records = new PeerImport(
      host.clock,
      {
        intake,
        quota,
        onDenied: (reason) => metrics.denied(reason),
        onService: (changedMs) => this.#noteService(changedMs),
      },
      this.#rulesOf(target),
    );
    this.#link = new Link(host, target, {
      ...{ node, transport, turns, records: this.#records, metrics, quota, stale },
      onChange: () => this.#noteChange(),
    });
    this.#addresses = new Addresses(host.clock, lookUp, {
      found: (ips) => this.#link.reach(ips),
      unresolved: (message) => this.#link.unresolved(message),
    });
    this.#dataPlane = new DataPlane(host.clock, probe, () => this.#publish());
    // Hundreds of peers come at once, and are not looked at all together.
    this.#ticking = host.clock.after(TICK_MS * host.random.next(), () => this.#tick());
  }

  get target(): PeerTarget {
    return this.#link.target;
  }
  get loading(): boolean {
    return this.#loading;
  }
  get state(): PeerStatus["state"] {
    return this.#link.state;
  }
  /** True while the peer is there. */
  get connected(): boolean {
    return this.#link.connected;
  }

  /** Shows what the peer said before our last stop. Resolves once that is so. */
  async load(): Promise<void> {
    this.#publish();
    const snapshot = await this.#shared.store.load(this.target.cluster);
    this.#loading = false;
    if (this.#gone) return;
    if (snapshot !== undefined) {
      this.#records.load(snapshot.records);
      this.#link.restored(snapshot.heardAt);
      this.#changed = false;
    }
    if (this.#dialling) this.#addresses.follow(this.target.hosts);
  }

  /** Once we have something to show to the peer. */
  dial(): void {
    if (this.#dialling) return;
    this.#dialling = true;
    if (!this.#loading && !this.#gone) this.#addresses.follow(this.target.hosts);
  }

  /** It has come to us, so it is there. */
  entered(): void {
    this.#link.retryNow();
  }

  retarget(target: PeerTarget): void {
    this.#records.follow(this.#rulesOf(target));
    this.#link.retarget(target);
    if (this.#dialling && !this.#loading) this.#addresses.follow(target.hosts);
    this.#changed = true;
    this.#noteChange();
  }

  /** After grants changed: what may not be here goes, and what may come now is asked for. */
  recheck(): void {
    if (this.#records.follow(this.#rulesOf(this.target))) this.#link.refresh();
    this.#changed = true;
    this.#noteChange();
  }

  #tick(): void {
    this.#ticking = this.#host.clock.after(TICK_MS, () => this.#tick());
    this.#metrics.age(this.#link.ageMs / 1000);
    this.#metrics.untaken(this.#records.denied);
    this.#noteLag();
    this.#dataPlane.tick(this.target, this.#records.facts, this.connected);
    const nowMs = this.#host.clock.elapsedMs();
    const sinceMs = this.#savedMs === undefined ? Infinity : nowMs - this.#savedMs;
    const confirmMs = Math.min(CONFIRM_MS, this.#shared.stale.graceMs / 4);
    if ((this.#changed && sinceMs >= SAVE_MS) || (this.connected && sinceMs >= confirmMs)) void this.#save();
  }

  view(): PeerView {
    const { target, heardAt, ageMs, epoch, skewMs } = this.#link;
    const { facts, records, bytes, denials, contents } = this.#records;
    return {
      ...this.#status(),
      ...{ target, addresses: this.#addresses.ips, heardAt, ageMs, epoch, skewMs, facts, records, bytes, denials },
      contents,
      services: this.#records.count(FSDS_TYPE),
    };
  }

  /** The process ends: what the peer said is kept for the next. */
  async close(): Promise<void> {
    if (this.connected || this.#changed) void this.#save();
    this.#hangUp();
    await this.#shared.store.settled();
  }

  /** Its Gateway is gone: nothing of the peer stays (contract peering.md 2.13). */
  withdraw(): void {
    this.#records.clear();
    this.#hangUp();
    this.#metrics.clear();
    void this.#shared.store.forget(this.target.cluster);
  }

  #hangUp(): void {
    this.#gone = true;
    this.#ticking[Symbol.dispose]();
    this.#addresses.close();
    this.#link.close();
    this.#records.close();
  }

  #rulesOf(target: PeerTarget): PeerRules {
    return { target, granted: importsFrom(target, this.#shared.grants()) };
  }

  #status(): PeerStatus {
    return { ...this.#link.status(), dataPlane: this.#dataPlane.state };
  }

  #noteChange(): void {
    // Who is away says nothing new; when it left is worth keeping.
    this.#changed ||= this.connected || this.#wasConnected;
    this.#wasConnected = this.connected;
    this.#publish();
  }

  #publish(): void {
    if (this.#gone) return;
    this.#metrics.services(this.#records.count(FSDS_TYPE));
    this.#onChange(this.#status());
  }

  /** Of a change that comes while the link is live: the rest has waited for other reasons. */
  #noteService(changedMs: EpochMs): void {
    if (this.state !== "live" || changedMs === 0 || this.#undelivered.length >= UNDELIVERED_MAX) return;
    this.#undelivered.push(changedMs);
    if (this.#undelivered.length > 1) return;
    this.#shared.onceDelivered((delivered) => {
      const now = this.#host.clock.now() - (this.#link.skewMs ?? 0);
      const changes = this.#undelivered.splice(0);
      if (this.#gone) return;
      this.#noteLag();
      if (!delivered) return;
      for (const at of changes) this.#metrics.propagated(Math.max(0, now - at) / 1000);
    });
  }

  /** While a peer is away, it may have changed ever since; what it said may still wait for clients here. */
  #noteLag(): void {
    const [oldest] = this.#undelivered;
    const now = this.#host.clock.now() - (this.#link.skewMs ?? 0);
    const waitingMs = oldest === undefined ? 0 : Math.max(0, now - oldest);
    this.#metrics.lag(Math.max(this.#link.ageMs, waitingMs) / 1000, this.#undelivered.length);
    if (this.#link.skewMs !== undefined) this.#metrics.clockSkew(this.#link.skewMs / 1000);
    this.#metrics.staleServices(this.state === "live" ? 0 : this.#records.count(FSDS_TYPE));
  }

  /** Only what was whole once: half of a state is none. */
  async #save(): Promise<void> {
    const { heardAt } = this.#link;
    if (heardAt === undefined || !this.#link.status().everSynced) return;
    this.#changed = false;
    this.#savedMs = this.#host.clock.elapsedMs();
    await this.#shared.store.save(this.target.cluster, { heardAt, records: this.#records.save() });
  }
}
