import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { Demand } from "./demand.ts";
import { printable } from "./printable.ts";
import type { Slice } from "./record-store.ts";
import type { DeltaRequest, DeltaResponse, Position, SubscriptionStatus, TypeUrl } from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";

/** The longest text of a NACK that is kept, in characters. */
const REJECTION_CHARACTERS_MAX = 1024;
/** Longer names are of no resource: the longest is two Kubernetes names and a cluster, some 800 characters. */
const NAME_CHARACTERS_MAX = 1024;

export interface SessionOptions {
  readonly typeUrl: TypeUrl;
  /** The Kubernetes node of the client, whose workloads an on-demand client gets unasked. */
  readonly nodeName: string;
  /** No response begins another resource once it has this many bytes. */
  readonly responseBytesMax: number;
  /** How many names one client may ask for. */
  readonly subscribedNamesMax: number;
  /** A text not used before on this stream. */
  readonly nextNonce: () => string;
}

/** A response in the making. */
interface Draft {
  readonly names: Set<string>;
  readonly records: Uint8Array[];
  readonly removed: string[];
  resources: number;
  recordsBytes: number;
  removedBytes: number;
}

/**
 * One client's view of one type, as a state machine without I/O (contract ztunnel.md 2.3 to 2.8).
 * At most one response is unanswered; what changes meanwhile is a set of names, so a slow client costs no queue.
 * While idle it holds a position in the log and, if it asked by name, those names.
 */
export class DeltaSession {
  readonly #log: ResourceLog;
  readonly #clock: Clock;
  readonly #options: SessionOptions;
  readonly #attached: Disposable;
  #opened = false;
  #wildcard = false;
  /** Present once the client has asked by name. */
  #demand: Demand | undefined;
  /** Read up to here; what changed until then was sent or is in the backlog. */
  #position: Position = 0;
  #backlog = new Set<string>();
  /** The whole type is to be sent, as it will be when the response is made. */
  #whole = false;
  /** What remains of a snapshot too large for one response, last slice first. */
  #slices: Slice[] = [];
  /** Until the backlog is empty, a service brings all its workloads: the client may have lost its endpoints. */
  #bringCompanions = false;
  #mustAnswer = false;
  #unanswered: { readonly nonce: string; readonly sinceMs: number } | undefined;
  #sentNonce = "";
  #sentAt = 0;
  #ackedNonce = "";
  #ackedAt = 0;
  #lastRejection = "";
  #rejections = 0;
  #strayNonces = 0;

  constructor(log: ResourceLog, clock: Clock, options: SessionOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#options = options;
    this.#position = log.head;
    this.#attached = log.attach(this);
  }

  get position(): Position {
    return this.#position;
  }
  /** True once the first response has been made. */
  get answered(): boolean {
    return this.#sentNonce !== "";
  }
  /** When the response that waits for its answer was made, by `clock.elapsedMs`. */
  get unansweredSinceMs(): number | undefined {
    return this.#unanswered?.sinceMs;
  }
  /** Answers whose nonce was not the one that waits: late, repeated or made up. */
  get strayNonces(): number {
    return this.#strayNonces;
  }
  /** True if every change so far has been sent. */
  get caughtUp(): boolean {
    const settled = this.#position === this.#log.head && this.#backlog.size === 0;
    return settled && !this.#mustAnswer && !this.#whole && this.#slices.length === 0;
  }
  /** True if something that exists is still to be sent. */
  get hasUpserts(): boolean {
    this.#catchUp();
    if (this.#whole || this.#slices.length > 0) return true;
    for (const name of this.#backlog) if (this.#log.versionOf(name) !== undefined) return true;
    return false;
  }

  /** @throws MeshError `exhausted` or `invalid` if the client asks for too many names, or names too long. */
  receive(request: DeltaRequest): void {
    if (request.nonce !== "") this.#answer(request);
    if (this.#opened) this.#resubscribe(request);
    else this.#open(request);
  }

  /** The next response, or undefined until something changes or the client answers; without removals if so asked. */
  poll(removals = true): DeltaResponse | undefined {
    if (!this.#opened || this.#unanswered !== undefined) return undefined;
    const draft: Draft = { names: new Set(), records: [], removed: [], resources: 0, recordsBytes: 0, removedBytes: 0 };
    if (this.#whole) this.#takeSnapshot();
    this.#catchUp();
    if (this.#slices.length > 0) this.#draftSlices(draft);
    if (this.#slices.length === 0) this.#draftBacklog(draft, removals);
    if (draft.resources === 0 && draft.removed.length === 0 && !this.#mustAnswer) return undefined;
    return this.#respond(draft);
  }

  status(): SubscriptionStatus {
    return {
      typeUrl: this.#options.typeUrl,
      wildcard: this.#wildcard,
      subscribed: this.#demand?.size ?? 0,
      sentNonce: this.#sentNonce,
      ackedNonce: this.#ackedNonce,
      sentAt: this.#sentAt,
      ackedAt: this.#ackedAt,
      lastRejection: this.#lastRejection,
      rejections: this.#rejections,
      backlog: this.#backlog.size,
    };
  }

  close(): void {
    this.#attached[Symbol.dispose]();
  }

  #answer({ nonce, rejection }: DeltaRequest): void {
    // A second answer to one response, whichever way it goes, finds nothing waiting.
    if (nonce !== this.#unanswered?.nonce) {
      this.#strayNonces += 1;
      return;
    }
    this.#unanswered = undefined;
    if (rejection === undefined) {
      this.#ackedNonce = nonce;
      this.#ackedAt = this.#clock.now();
      this.#lastRejection = "";
    } else {
      // What was rejected is not in the backlog, so it is sent again only when it changes (pitfall 15).
      this.#rejections += 1;
      this.#lastRejection = printable(rejection, REJECTION_CHARACTERS_MAX);
    }
  }

  #open({ subscribe, unsubscribe, initialVersions }: DeltaRequest): void {
    this.#opened = true;
    this.#mustAnswer = true;
    this.#position = this.#log.head;
    const withdrawn = new Set(unsubscribe);
    this.#wildcard = (subscribe.length === 0 || subscribe.includes("*")) && !withdrawn.has("*");
    if (this.#wildcard) this.#resumeWildcard(initialVersions);
    else this.#resumeDemand(initialVersions, withdrawn);
    this.#ask(subscribe.filter((name) => name !== "*" && !withdrawn.has(name)));
  }

  #resubscribe({ subscribe, unsubscribe }: DeltaRequest): void {
    const withdrawn = new Set(unsubscribe);
    for (const name of withdrawn) {
      if (name === "*") this.#leaveWildcard();
      else this.#demand?.withdraw(name);
    }
    if (subscribe.includes("*") && !withdrawn.has("*") && !this.#wildcard) {
      this.#wildcard = this.#whole = this.#mustAnswer = true;
      this.#backlog.clear();
    }
    this.#ask(subscribe.filter((name) => name !== "*" && !withdrawn.has(name)));
  }

  #ask(names: readonly string[]): void {
    if (names.length === 0) return;
    const demand = this.#demandOrNew();
    for (const name of names) {
      if (name.length > NAME_CHARACTERS_MAX)
        throw new MeshError(
          "invalid",
          `a subscribed name has ${name.length} characters; ${NAME_CHARACTERS_MAX} is the most`,
        );
      demand.add(name);
      this.#backlog.add(name);
      if (demand.size > this.#options.subscribedNamesMax)
        throw new MeshError(
          "exhausted",
          `more than ${this.#options.subscribedNamesMax} names of ${this.#options.typeUrl} subscribed; subscribe to * instead`,
        );
    }
    this.#mustAnswer = true;
  }

  /** Hot when a thousand clients return at once: a look-up for each name they hold, and nothing kept that is current. */
  #resumeWildcard(held: ReadonlyMap<string, string>): void {
    const backlog = this.#backlog;
    let current = 0;
    let known = 0;
    for (const [name, version] of held) {
      const latest = this.#log.versionOf(name);
      if (latest !== undefined) known += 1;
      // Older ztunnels say "" for every name: they hold something, but not which.
      if (latest !== undefined && latest === version) current += 1;
      else backlog.add(name);
    }
    if (current === 0 && (held.size === 0 || this.#log.bytes <= this.#options.responseBytesMax)) {
      this.#whole = true;
      return;
    }
    this.#bringCompanions = true;
    if (known === this.#log.size) return;
    for (const name of this.#log.names()) if (!held.has(name)) backlog.add(name);
  }

  #resumeDemand(held: ReadonlyMap<string, string>, withdrawn: ReadonlySet<string>): void {
    const demand = this.#demandOrNew();
    this.#bringCompanions = held.size > 0;
    for (const [name, version] of held) {
      if (withdrawn.has(name) || name === "*") continue;
      demand.add(name);
      if (version !== "" && this.#log.versionOf(name) === version) demand.hold(name);
      else this.#backlog.add(name);
    }
    for (const name of demand.nearby())
      if (!held.has(name) || this.#log.versionOf(name) !== held.get(name)) this.#backlog.add(name);
  }

  #leaveWildcard(): void {
    this.#wildcard = this.#whole = false;
    this.#slices = [];
    this.#demandOrNew();
    this.#backlog = new Set(this.#demand!.concerning(this.#backlog));
  }

  #demandOrNew(): Demand {
    return (this.#demand ??= new Demand(this.#log.relations, this.#options.nodeName));
  }

  #catchUp(): void {
    if (this.#position === this.#log.head || this.#whole || !this.#opened) return;
    const changed = this.#log.since(this.#position);
    for (const name of this.#wildcard ? changed : this.#demandOrNew().concerning(changed)) this.#backlog.add(name);
    this.#position = this.#log.head;
  }

  #takeSnapshot(): void {
    const snapshot = this.#log.snapshot();
    this.#whole = false;
    this.#position = snapshot.head;
    this.#slices = [...snapshot.slices].reverse();
    // What exists is in the snapshot; only what the client holds in vain remains to be said.
    for (const name of this.#backlog) if (this.#log.versionOf(name) !== undefined) this.#backlog.delete(name);
  }

  #draftSlices(draft: Draft): void {
    const max = this.#options.responseBytesMax;
    for (let slice = this.#slices.at(-1); slice !== undefined; slice = this.#slices.at(-1)) {
      if (draft.recordsBytes > 0 && draft.recordsBytes + slice.bytes.length > max) return;
      this.#slices.pop();
      draft.records.push(slice.bytes);
      draft.recordsBytes += slice.bytes.length;
      draft.resources += slice.resources;
    }
  }

  #draftBacklog(draft: Draft, removals: boolean): void {
    const max = this.#options.responseBytesMax;
    // A client that drops out between two parts must not keep a service whose workloads it never got again.
    if (!this.#bringCompanions && this.#backlogBytes() > max) this.#bringCompanions = true;
    for (const name of this.#backlog) {
      if (draft.recordsBytes + draft.removedBytes >= max) return;
      this.#draftName(name, draft, removals);
    }
    if (this.#backlog.size === 0) this.#bringCompanions = false;
  }

  #backlogBytes(): number {
    let bytes = 0;
    for (const name of this.#backlog) bytes += this.#log.bytesOf(name) || name.length;
    return bytes;
  }

  #draftName(name: string, draft: Draft, removals: boolean): void {
    const resource = this.#log.get(name);
    if (resource === undefined) {
      if (removals) this.#draftAbsent(name, draft);
      return;
    }
    this.#backlog.delete(name);
    if (draft.names.has(name)) return;
    draft.names.add(name);
    draft.records.push(resource.record);
    draft.recordsBytes += resource.record.length;
    draft.resources += 1;
    const isNew = this.#demand?.hold(name) === true && !this.#wildcard;
    // Companions go in the same response: before a health policy that allows all, ztunnel would drop them (pitfall 5).
    for (const companion of this.#log.relations.companions(name)) {
      const brought = isNew || this.#bringCompanions;
      if (brought || this.#backlog.has(companion)) this.#draftCompanion(companion, draft);
    }
  }

  #draftCompanion(name: string, draft: Draft): void {
    if (this.#log.versionOf(name) !== undefined) this.#draftName(name, draft, false);
  }

  #draftAbsent(name: string, draft: Draft): void {
    this.#backlog.delete(name);
    this.#demand?.release(name);
    // Also if an alias is found under another name: ztunnel wakes who waits for a key only by that key (contract 2.7).
    draft.removed.push(name);
    draft.removedBytes += name.length;
    if (this.#demand?.has(name) !== true) return;
    for (const resolved of this.#log.relations.resolve(name)) this.#draftCompanion(resolved, draft);
  }

  #respond({ records, recordsBytes, resources, removed }: Draft): DeltaResponse {
    const nonce = this.#options.nextNonce();
    this.#mustAnswer = false;
    this.#unanswered = { nonce, sinceMs: this.#clock.elapsedMs() };
    this.#sentNonce = nonce;
    this.#sentAt = this.#clock.now();
    return { typeUrl: this.#options.typeUrl, nonce, records, recordsBytes, resources, removed };
  }
}
