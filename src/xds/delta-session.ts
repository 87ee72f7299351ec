import type { Clock } from "../host.ts";
import { Answers } from "./answers.ts";
import { Demand } from "./demand.ts";
import type { Slice } from "./record-store.ts";
import {
  type DeltaRequest,
  type DeltaResponse,
  type Holding,
  ONLY_BY_NAME,
  type Position,
  type Resource,
  RESUMED,
  type SubscriptionStatus,
  type TypeUrl,
} from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";
import { ResponseDraft } from "./response-draft.ts";

/** Shared by all who owe nothing, and never added to: most sessions are idle, most of the time. */
const EMPTY_BACKLOG = new Set<string>();

export interface SessionLimits {
  /** No response begins another resource, with its companions, once it has this many bytes. */
  readonly responseBytesMax: number;
  /** How many names one client may ask for. */
  readonly subscribedNamesMax: number;
}

export interface SessionOptions {
  readonly typeUrl: TypeUrl;
  /** The Kubernetes node of the client, whose workloads an on-demand client gets unasked. */
  readonly nodeName: string;
  readonly limits: SessionLimits;
  /** A text not used before on this stream. */
  readonly nextNonce: () => string;
  /** What is sent last of the first state, of this digest, so that the client knows it to be whole (contract peering.md 2.4). */
  readonly marker?: ((digest: string) => Resource) | undefined;
  /** Called with each name whose resource goes into the next response, or into one of those that follow it. */
  readonly onSend?: ((name: string) => void) | undefined;
}

/**
 * One client's view of one type, as a state machine without I/O (contract ztunnel.md 2.3 to 2.8).
 * At most one response is unanswered; what changes meanwhile is a set of names, so a slow client costs no queue.
 * While idle it holds a position in the log and, if it asked by name, those names.
 */
export class DeltaSession {
  #log: ResourceLog;
  readonly #options: SessionOptions;
  readonly #answers: Answers;
  #opened = false;
  #mustAnswer = false;
  #wildcard = false;
  /** Present once the client has asked by name. */
  #demand: Demand | undefined;
  /** What changed until here was sent, or is in the backlog. */
  #position: Position;
  #backlog = EMPTY_BACKLOG;
  /** The whole type is to be sent, as it will be when the response is made. */
  #whole = false;
  /** What remains of a snapshot too large for one response, last slice first. */
  #slices: Slice[] = [];
  /** Until the backlog is empty, a service brings all its workloads: the client may have lost its endpoints. */
  #bringCompanions = false;
  /** Until the first state is wholly sent; undefined then, and for clients that are not told. */
  #marker: ((digest: string) => Resource) | undefined;

  constructor(log: ResourceLog, clock: Clock, options: SessionOptions) {
    this.#log = log;
    this.#options = options;
    this.#answers = new Answers(clock, options.nextNonce);
    this.#position = log.head;
    this.#marker = options.marker;
    log.attach(this);
  }

  get position(): Position {
    return this.#position;
  }
  /** True once the first response was made. */
  get answered(): boolean {
    return this.#answers.begun;
  }
  /** When the response that waits for its answer was made, by `clock.elapsedMs`. */
  get unansweredSinceMs(): number | undefined {
    return this.#answers.waitingSinceMs;
  }
  get strayNonces(): number {
    return this.#answers.strays;
  }
  /** True if every change so far was sent. */
  get caughtUp(): boolean {
    const read = this.#position === this.#log.head && !this.#whole;
    return (
      read && !this.#mustAnswer && this.#marker === undefined && this.#backlog.size === 0 && this.#slices.length === 0
    );
  }
  /** True if something that exists is still to be sent. */
  get hasUpserts(): boolean {
    this.#catchUp();
    if (this.#whole || this.#slices.length > 0) return true;
    for (const name of this.#backlog) if (this.#log.versionOf(name) !== undefined) return true;
    return false;
  }

  /** @throws MeshError `exhausted` or `invalid` if the client asks for too many names, or a name too long. */
  receive(request: DeltaRequest): void {
    if (request.nonce !== "") this.#answers.receive(request.nonce, request.rejection);
    const withdrawn = new Set(request.unsubscribe);
    const resumes = !this.#opened && RESUMED.has(request.typeUrl);
    if (this.#opened) this.#resubscribe(request.subscribe.includes("*"), withdrawn);
    else this.#open(request, withdrawn);
    const resumed = (name: string): boolean => resumes && this.has(name);
    this.#ask(request.subscribe.filter((name) => name !== "*" && !withdrawn.has(name) && !resumed(name)));
  }

  /** The next response, or undefined until something changes or the client answers; without removals if so asked. */
  poll(removals = true): DeltaResponse | undefined {
    if (!this.#opened || this.#answers.waitingSinceMs !== undefined || this.caughtUp) return undefined;
    const draft = new ResponseDraft();
    if (this.#whole) this.#takeSnapshot();
    this.#catchUp();
    this.#draftSlices(draft);
    if (this.#slices.length === 0) this.#draftBacklog(draft, removals);
    if (this.#slices.length === 0 && this.#backlog.size === 0) this.#draftMarker(draft);
    // Something has changed. Who rejected all there was so far gets ready with an ACK, be it of nothing (pitfall 2).
    const opensGate = this.#answers.onlyRejected && this.#backlog.size === 0;
    if (draft.empty && !this.#mustAnswer && !opensGate) return undefined;
    this.#mustAnswer = false;
    return draft.finish(this.#options.typeUrl, this.#answers.send(draft.bytes));
  }

  /** A response of these alone, as they are now, if the client asked for them and has answered. */
  pollOnly(names: readonly string[]): DeltaResponse | undefined {
    if (this.#answers.waitingSinceMs !== undefined) return undefined;
    const draft = new ResponseDraft();
    for (const name of names) if (this.#wildcard || this.#demand?.has(name) === true) this.#draftPresent(name, draft);
    return draft.empty ? undefined : draft.finish(this.#options.typeUrl, this.#answers.send(draft.bytes));
  }

  /** Sends `name` once more, although it has not changed, if the client has asked for it by name. */
  repeat(name: string): void {
    if (this.#demand?.has(name) === true) this.#owe(name);
  }

  /** True if the client follows `name` and was sent it when it last was there; of all names if it follows all. */
  has(name: string): boolean {
    return this.#wildcard || this.#demand?.holds(name) === true;
  }

  status(): SubscriptionStatus {
    const whole = this.#whole ? this.#log.bytes : this.#slices.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return {
      typeUrl: this.#options.typeUrl,
      wildcard: this.#wildcard,
      subscribed: this.#demand?.size ?? 0,
      ...this.#answers.status(),
      backlog: this.#backlog.size,
      backlogBytes: this.#answers.unansweredBytes + whole + this.#backlog.size * this.#log.meanBytes,
    };
  }

  /** What the client holds, or will once the backlog is sent. */
  *holdings(): Iterable<Holding> {
    for (const name of this.#wildcard ? this.#log.names() : (this.#demand?.held() ?? []))
      yield { name, version: this.#log.versionOf(name) ?? "" };
  }

  /**
   * Goes on with another log, of a type without relations, and owes the client all that is otherwise there: what it may
   * see has changed.
   */
  follow(log: ResourceLog): void {
    if (log === this.#log) return;
    this.#catchUp();
    const before = this.#log;
    // Half a snapshot was of the log before; what the client may have of it and is no more is owed by name.
    if (this.#slices.length > 0) this.#whole = true;
    this.#slices = [];
    const concerned = (names: Iterable<string>) => (this.#wildcard ? names : this.#demandOrNew().concerning(names));
    for (const name of concerned(before.differing(log))) this.#owe(name);
    before.detach(this);
    log.attach(this);
    this.#log = log;
    this.#position = log.head;
  }

  close(): void {
    this.#log.detach(this);
  }

  #open({ subscribe, initialVersions }: DeltaRequest, withdrawn: ReadonlySet<string>): void {
    this.#opened = true;
    this.#mustAnswer = true;
    this.#position = this.#log.head;
    // Subscribing to * and withdrawing it in one message is how an on-demand client starts (contract 2.3).
    const unnamed = subscribe.length === 0 && !ONLY_BY_NAME.has(this.#options.typeUrl);
    this.#wildcard = (unnamed || subscribe.includes("*")) && !withdrawn.has("*");
    if (this.#wildcard) this.#resumeWildcard(initialVersions);
    else this.#resumeDemand(initialVersions, withdrawn);
  }

  #resubscribe(wildcard: boolean, withdrawn: ReadonlySet<string>): void {
    for (const name of withdrawn) {
      if (name === "*") this.#leaveWildcard();
      else this.#demand?.withdraw(name);
      if (!this.#wildcard) this.#backlog.delete(name);
    }
    if (!wildcard || this.#wildcard || withdrawn.has("*")) return;
    this.#wildcard = this.#whole = this.#mustAnswer = true;
  }

  #ask(names: readonly string[]): void {
    if (names.length === 0) return;
    const { typeUrl, limits } = this.#options;
    const demand = this.#demandOrNew();
    for (const name of names) {
      demand.ask(name, typeUrl, limits.subscribedNamesMax);
      this.#owe(name);
    }
    this.#mustAnswer = true;
  }

  /** Hot when a thousand clients return at once: a look-up for each name they hold, and nothing kept that is current. */
  #resumeWildcard(held: ReadonlyMap<string, string>): void {
    let known = 0;
    let current = 0;
    for (const [name, version] of held) {
      const latest = this.#log.versionOf(name);
      if (latest !== undefined) known += 1;
      // Older ztunnels say "" for every name: they hold something, but not which.
      if (latest !== undefined && latest === version && version !== "") current += 1;
      else this.#owe(name);
    }
    if (current === 0 && (held.size === 0 || this.#log.bytes <= this.#options.limits.responseBytesMax)) {
      this.#whole = true;
      return;
    }
    this.#bringCompanions = true;
    if (known === this.#log.size) return;
    for (const name of this.#log.names()) if (!held.has(name)) this.#owe(name);
  }

  #resumeDemand(held: ReadonlyMap<string, string>, withdrawn: ReadonlySet<string>): void {
    const demand = this.#demandOrNew();
    this.#bringCompanions = held.size > 0;
    for (const [name, version] of held) {
      if (withdrawn.has(name)) continue;
      demand.add(name);
      if (version !== "" && this.#log.versionOf(name) === version) demand.hold(name);
      else this.#owe(name);
    }
    // What it would have been sent unasked, had it stayed.
    const follow = (name: string) => {
      if (this.#log.versionOf(name) !== held.get(name)) this.#owe(name);
    };
    for (const name of demand.nearby()) follow(name);
    for (const service of held.keys()) for (const name of this.#log.relations.companions(service)) follow(name);
  }

  #leaveWildcard(): void {
    this.#wildcard = this.#whole = false;
    this.#slices = [];
    this.#backlog = new Set(this.#demandOrNew().concerning(this.#backlog));
  }

  #demandOrNew(): Demand {
    return (this.#demand ??= new Demand(this.#log.relations, this.#options.nodeName));
  }

  #catchUp(): void {
    if (this.#position === this.#log.head || this.#whole || !this.#opened) return;
    const changed = this.#log.since(this.#position);
    for (const name of this.#wildcard ? changed : this.#demandOrNew().concerning(changed)) this.#owe(name);
    this.#position = this.#log.head;
  }

  #takeSnapshot(): void {
    const snapshot = this.#log.snapshot();
    this.#whole = false;
    this.#position = snapshot.head;
    this.#slices = [...snapshot.slices].reverse();
    if (this.#options.onSend !== undefined) for (const name of this.#log.names()) this.#options.onSend(name);
    // What exists is in the snapshot; only what the client holds or asked for in vain remains to be said.
    for (const name of this.#backlog) if (this.#log.versionOf(name) !== undefined) this.#backlog.delete(name);
  }

  #draftSlices(draft: ResponseDraft): void {
    for (let slice = this.#slices.at(-1); slice !== undefined; slice = this.#slices.at(-1)) {
      if (!draft.empty && draft.bytes + slice.bytes.length > this.#options.limits.responseBytesMax) return;
      this.#slices.pop();
      draft.sendSlice(slice);
    }
  }

  #draftBacklog(draft: ResponseDraft, removals: boolean): void {
    const max = this.#options.limits.responseBytesMax;
    // A client that drops out between two parts must not keep a service whose workloads it never got again.
    if (!this.#bringCompanions && this.#backlogBytes() > max) this.#bringCompanions = true;
    for (const name of this.#backlog) {
      if (draft.bytes >= max) return;
      if (this.#log.versionOf(name) !== undefined) this.#draftPresent(name, draft);
      else if (removals) this.#draftAbsent(name, draft);
    }
    if (this.#backlog.size > 0) return;
    this.#bringCompanions = false;
    this.#backlog = EMPTY_BACKLOG;
  }

  #draftMarker(draft: ResponseDraft): void {
    if (this.#marker !== undefined) draft.send(this.#marker(this.#log.digest));
    this.#marker = undefined;
  }

  #owe(name: string): void {
    if (this.#backlog === EMPTY_BACKLOG) this.#backlog = new Set();
    this.#backlog.add(name);
  }

  #backlogBytes(): number {
    return [...this.#backlog].reduce((bytes, name) => bytes + (this.#log.bytesOf(name) || name.length), 0);
  }

  #draftPresent(name: string, draft: ResponseDraft): void {
    const resource = this.#log.get(name);
    if (resource === undefined) return;
    this.#backlog.delete(name);
    if (draft.has(name)) return;
    draft.send(resource);
    this.#options.onSend?.(name);
    const arrives = !this.#wildcard && this.#demand?.hold(name) === true;
    // Who rejected something holds less than was sent, and which service it lacks is in no field of a NACK.
    const bring = arrives || this.#bringCompanions || this.#answers.rejections > 0;
    // They go in one response: workloads sent before a health policy that allows all, ztunnel would drop (pitfall 5).
    for (const companion of this.#log.relations.companions(name))
      if (bring || this.#backlog.has(companion)) this.#draftPresent(companion, draft);
  }

  #draftAbsent(name: string, draft: ResponseDraft): void {
    this.#backlog.delete(name);
    this.#demand?.release(name);
    // An alias too, though what it stands for is sent: ztunnel wakes who waits for a key only by that key (contract 2.7).
    draft.remove(name);
    if (this.#demand?.has(name) !== true) return;
    for (const resolved of this.#log.relations.resolve(name)) this.#draftPresent(resolved, draft);
  }
}
