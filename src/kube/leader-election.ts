import { messageOf } from "../errors.ts";
import type { Gauge, Host, Logger } from "../host.ts";
import { ApiError, pathOf, type KubeApi } from "./api.ts";
import { LEASE_TIMES, LeaseElection, type LeaseTimes } from "./lease.ts";
import { readLease, writeLease, type StoredLease } from "./lease-object.ts";
import { LEASES } from "./resource-types.ts";

export interface LeaderElectionOptions {
  readonly namespace: string;
  /** Of the Lease; one for each revision, so that two can run side by side. */
  readonly name: string;
  /** What people know us by; a random part is added, so that no two lives of a pod are taken for one. */
  readonly podName: string;
  readonly times?: LeaseTimes;
}

/** One stretch of leading. */
export interface Term {
  /** Ends with it, as soon as a timer can run. */
  readonly signal: AbortSignal;
  /** False from the moment that it is over: it looks at the clock. To be asked before each deed. */
  lives(): boolean;
}

/** One of several replicas leads, by a Lease. It never gives up; without an API server nobody leads. */
export class LeaderElection {
  readonly identity: string;
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #options: LeaderElectionOptions;
  readonly #times: LeaseTimes;
  readonly #election: LeaseElection;
  readonly #log: Logger;
  readonly #gauge: Gauge;
  readonly #observers = new Set<(term: Term | undefined) => void>();
  #stored: StoredLease | undefined;
  #term: AbortController | undefined;
  #next: Disposable | undefined;
  #loss: Disposable | undefined;
  #attempt: Promise<void> | undefined;
  #closed = false;
  #known = "";
  #trouble = "";

  constructor(host: Host, api: KubeApi, options: LeaderElectionOptions) {
    this.#host = host;
    this.#api = api;
    this.#options = options;
    this.#times = options.times ?? LEASE_TIMES;
    this.identity = `${options.podName}_${Buffer.from(host.random.bytes(8)).toString("hex")}`;
    this.#election = new LeaseElection(this.identity, this.#times);
    this.#log = host.log.scope("status");
    this.#gauge = host.metrics.gauge("leader_election_master_status", "1 if this replica leads, by Lease", ["name"]);
  }

  /** True while we may act. It looks at the clock, so it is right also if no timer ran in time. */
  get leading(): boolean {
    return !this.#closed && this.#election.leads(this.#host.clock.elapsedMs());
  }

  /** Calls `observer` with our term when one begins, and with undefined when it is over. */
  observe(observer: (term: Term | undefined) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  start(): void {
    this.#gauge.set(0, { name: this.#options.name });
    this.#schedule(0);
  }

  /** Ends our term at once, and gives the lease back, which may take as long as one request; idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return this.#attempt;
    this.#closed = true;
    this.#next?.[Symbol.dispose]();
    this.#loss?.[Symbol.dispose]();
    this.#endTerm();
    await this.#attempt;
    await (this.#attempt = this.#release());
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#next = this.#host.clock.after(delayMs, () => void (this.#attempt = this.#round()));
  }

  async #round(): Promise<void> {
    const startedMs = this.#host.clock.elapsedMs();
    try {
      await this.#try();
      this.#recovered();
    } catch (thrown) {
      this.#election.failed();
      this.#complain(thrown);
    }
    this.#tell();
    const spentMs = this.#host.clock.elapsedMs() - startedMs;
    // Those who wait are spread, so that they do not all ask in the same moment.
    const retryMs = this.#times.retryMs * (this.leading ? 1 : 1 + 0.2 * this.#host.random.next());
    this.#schedule(Math.max(0, retryMs - spentMs));
  }

  async #try(): Promise<void> {
    const { clock } = this.#host;
    if (this.#election.mustRead || !this.leading) {
      this.#stored = await this.#read();
      this.#election.observed(this.#stored?.record, clock.elapsedMs());
    }
    if (this.#closed) return;
    const askedMs = clock.elapsedMs();
    const proposal = this.#election.proposal(askedMs, this.#wallTime());
    if (proposal === undefined) return;
    const request = writeLease(this.#options, proposal, this.#wallTime(), this.#stored?.object);
    this.#stored = readLease(await this.#api.call({ ...request, deadlineMs: this.#deadlineMs }));
    this.#election.written(this.#stored.record, askedMs, clock.elapsedMs());
  }

  async #read(): Promise<StoredLease | undefined> {
    const { namespace, name } = this.#options;
    const path = pathOf(LEASES, "v1", namespace, name);
    try {
      return readLease(await this.#api.call({ method: "GET", path, deadlineMs: this.#deadlineMs }));
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 404) return undefined;
      throw thrown;
    }
  }

  /** So that a request without an answer leaves time for another one. */
  get #deadlineMs(): number {
    return this.#times.renewMs / 2;
  }

  #wallTime(): string {
    return new Date(this.#host.clock.now()).toISOString().replace("Z", "000Z");
  }

  async #release(): Promise<void> {
    const record = this.#election.release();
    if (record === undefined) return;
    const request = writeLease(this.#options, record, this.#wallTime(), this.#stored?.object);
    try {
      await this.#api.call({ ...request, deadlineMs: this.#deadlineMs });
    } catch (thrown) {
      this.#log.info(`lease ${this.#options.name} could not be given back; it ends by itself`, {
        reason: messageOf(thrown),
      });
    }
  }

  /** Makes what observers know what is so. */
  #tell(): void {
    this.#loss?.[Symbol.dispose]();
    const leftMs = this.#election.leadsUntilMs - this.#host.clock.elapsedMs();
    if (this.#closed || leftMs <= 0) {
      this.#endTerm();
      this.#nameLeader();
      return;
    }
    this.#loss = this.#host.clock.after(leftMs, () => this.#tell());
    if (this.#term !== undefined) return;
    const { signal } = (this.#term = new AbortController());
    const term: Term = { signal, lives: () => this.leading && !signal.aborted };
    this.#known = this.identity;
    this.#gauge.set(1, { name: this.#options.name });
    this.#log.info("this replica leads and writes statuses", { lease: this.#options.name, identity: this.identity });
    for (const observer of this.#observers) observer(term);
  }

  #endTerm(): void {
    if (this.#term === undefined) return;
    const term = this.#term;
    this.#term = undefined;
    this.#known = "";
    this.#gauge.set(0, { name: this.#options.name });
    this.#log.info("this replica no longer leads", { lease: this.#options.name });
    term.abort();
    for (const observer of this.#observers) observer(undefined);
  }

  #nameLeader(): void {
    const { holder } = this.#election;
    if (this.#closed || holder === "" || holder === this.#known || holder === this.identity) return;
    this.#known = holder;
    this.#log.info("another replica writes statuses", { lease: this.#options.name, holder });
  }

  /** Once for each new reason: an API server that is away is asked every two seconds. */
  #complain(thrown: unknown): void {
    const reason = messageOf(thrown);
    // Two who ask at once: the other one was first, and the next look will show it.
    if (this.#closed || reason === this.#trouble || (thrown instanceof ApiError && thrown.status === 409)) return;
    this.#trouble = reason;
    const { namespace, name } = this.#options;
    const denied = thrown instanceof ApiError && thrown.status === 403;
    const fix = denied ? "; grant get, create and update on leases in that namespace" : "; trying again";
    this.#log.warn(`lease ${namespace}/${name} cannot be asked for, so no statuses are written by this replica${fix}`, {
      reason,
    });
  }

  #recovered(): void {
    if (this.#trouble === "") return;
    this.#trouble = "";
    this.#log.info("leases can be asked for again", { lease: this.#options.name });
  }
}
