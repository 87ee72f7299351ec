import assert from "node:assert/strict";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { type NodeFacts, parseNode } from "./client-node.ts";
import { DeltaSession } from "./delta-session.ts";
import { ProxyOrder } from "./envoy/proxy-order.ts";
import { printable } from "../printable.ts";
import {
  ADDRESS_TYPE,
  AUTHORIZATION_TYPE,
  type ClientNode,
  CLUSTER_TYPE,
  type DeltaRequest,
  type DeltaResponse,
  FSDS_TYPE,
  type Holding,
  type Position,
  type Resource,
  SGDS_TYPE,
  type SubscriptionStatus,
  type TypeUrl,
} from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";

/** What bounds one stream. */
export interface StreamLimits {
  /** ztunnel decodes up to 200 MiB, and turns ready at its first ACK: one response while it is safely below. */
  readonly responseBytesMax: number;
  /** As many names as the largest mesh has workloads; who wants more wants the wildcard. */
  readonly subscribedNamesMax: number;
  /** A client that does not answer for this long, once it can have all of a response, is not applying anything. */
  readonly answerMs: number;
  /** How long a response may be on its way and be answered in all, even if its bytes still move. */
  readonly deliveryMs: number;
  /** How long addresses wait for the client to ask for policies. */
  readonly policyWaitMs: number;
}

/** In this order: what a cluster says of itself tells how to read the rest, and services come before their pods. */
const PEER_TYPES: readonly TypeUrl[] = [SGDS_TYPE, FSDS_TYPE];

const NOTHING_REJECTED: ReadonlyMap<string, string> = new Map();

export const STREAM_LIMITS: StreamLimits = {
  responseBytesMax: 128 * 1024 * 1024,
  subscribedNamesMax: 100_000,
  answerMs: 60_000,
  deliveryMs: 600_000,
  policyWaitMs: 1_000,
};

export interface StreamOptions {
  /** Tells this stream from every other of the process; each nonce begins with it. */
  readonly id: string;
  readonly limits?: Partial<StreamLimits>;
  /** Called when `poll` may give something although nothing was received and nothing changed. */
  readonly onWake: () => void;
  /**
   * When bytes last moved towards the client, by `clock.elapsedMs`; asked when an answer is late. Without it, responses
   * count as delivered once made.
   */
  readonly lastProgressMs?: () => number;
  /** Called once, if the client does not answer in time; the stream is closed then, and must end with this error. */
  readonly onExpired: (error: MeshError) => void;
}

/**
 * One client and all it subscribes to, as a state machine without I/O. The driver passes requests to `receive`, and
 * sends what `poll` gives until it gives nothing: after each request, after every change of a log, and on `onWake`.
 *
 * Policies reach a client before the workloads that name them, and leave it after (pitfall 11): ztunnel skips a policy
 * it does not know, which opens what it should close. ztunnel applies the responses of a stream in order, so sending
 * in order is enough. The logs must take all of one settled state before any stream is polled.
 */
export class ClientStream {
  #logs: ReadonlyMap<TypeUrl, ResourceLog>;
  readonly #clock: Clock;
  readonly #options: StreamOptions;
  #limits: StreamLimits;
  #marker: ((digest: string) => Resource) | undefined;
  readonly #sessions = new Map<TypeUrl, DeltaSession>();
  /** Of an Envoy. */
  #order: ProxyOrder | undefined;
  #node: ClientNode | undefined;
  #facts: NodeFacts | undefined;
  #nonces = 0;
  readonly #nextNonce = () => `${this.#options.id}-${++this.#nonces}`;
  #hold: Disposable | undefined;
  #deadline: Disposable | undefined;
  #closed = false;

  constructor(logs: ReadonlyMap<TypeUrl, ResourceLog>, clock: Clock, options: StreamOptions) {
    this.#logs = logs;
    this.#clock = clock;
    this.#options = options;
    this.#limits = options.limits === undefined ? STREAM_LIMITS : { ...STREAM_LIMITS, ...options.limits };
  }

  /** Who the client says it is; undefined until its first request. */
  get node(): ClientNode | undefined {
    return this.#node;
  }
  get facts(): NodeFacts | undefined {
    return this.#facts;
  }
  /** True if every change so far was sent, or is none of this client's business. */
  get caughtUp(): boolean {
    for (const session of this.#sessions.values()) if (!session.caughtUp) return false;
    return true;
  }
  /** Answers that fitted no waiting response. */
  get strayNonces(): number {
    let count = 0;
    for (const session of this.#sessions.values()) count += session.strayNonces;
    return count;
  }

  /**
   * Takes the node of a request, which the first must have and none may change. `receive` does it; call it for
   * requests that are answered elsewhere.
   * @throws MeshError `invalid`, which must end the stream.
   */
  identify(node: ClientNode | undefined): void {
    if (this.#node === undefined) {
      this.#facts = parseNode(node);
      this.#node = node;
    } else if (node !== undefined && node.id !== "" && node.id !== this.#node.id) {
      const [was, is] = [printable(this.#node.id, 128), printable(node.id, 128)];
      throw new MeshError("invalid", `node.id changed from "${was}" to "${is}"; a stream has one client`);
    }
  }

  /**
   * Serves a control plane from these logs, from now on; before its first request, or again when what it may read has
   * changed. There must be a log for each type that it subscribes to.
   * @param marker ends the first state of each subscription.
   */
  follow(
    logs: ReadonlyMap<TypeUrl, ResourceLog>,
    marker: (digest: string) => Resource,
    limits: Partial<StreamLimits>,
  ): void {
    this.#logs = logs;
    this.#marker = marker;
    this.#limits = { ...this.#limits, ...limits };
    for (const [typeUrl, session] of this.#sessions) session.follow(logs.get(typeUrl)!);
  }

  /** Serves an Envoy from these logs, in an order of its own; before its first request. */
  serveProxy(logs: ReadonlyMap<TypeUrl, ResourceLog>): void {
    this.#logs = logs;
    this.#order = new ProxyOrder(logs, this.#sessions, this.#clock, this.#options.onWake);
  }

  /** @throws MeshError `invalid` or `exhausted`, which must end the stream. */
  receive(request: DeltaRequest): void {
    if (this.#closed) return;
    this.identify(request.node);
    const log = this.#logs.get(request.typeUrl);
    if (log === undefined) throw unknownType(request.typeUrl, this.#logs.keys());
    let session = this.#sessions.get(request.typeUrl);
    if (session === undefined) {
      session = this.#openSession(request.typeUrl, log);
      if (request.typeUrl === ADDRESS_TYPE) this.#awaitPolicies();
    }
    session.receive(request);
    this.#order?.received(request);
  }

  /** The next response to send, or undefined if there is nothing now. */
  poll(): DeltaResponse | undefined {
    if (this.#closed) return undefined;
    const response = this.#next();
    if (response !== undefined)
      this.#deadline ??= this.#clock.after(this.#limits.answerMs, () => this.#checkDeadline());
    return response;
  }

  /** Types of which it has not been told all, and the head of each one's log. */
  *behind(): Iterable<readonly [TypeUrl, Position]> {
    for (const [typeUrl, { position }] of this.#sessions) {
      const head = this.#logs.get(typeUrl)?.head ?? position;
      if (head !== position) yield [typeUrl, head];
    }
  }
  /** Types of which it has answered all that it was to be told, and the place in each one's log. */
  *served(): Iterable<readonly [TypeUrl, Position]> {
    for (const [typeUrl, session] of this.#sessions)
      if (session.caughtUp && session.unansweredSinceMs === undefined) yield [typeUrl, session.position];
  }
  /** Up to where it was told of a type, but for what waits. */
  positionIn(typeUrl: TypeUrl): Position {
    return this.#sessions.get(typeUrl)?.position ?? 0;
  }

  status(): readonly SubscriptionStatus[] {
    return [...this.#sessions.values()].map((session) => {
      const status = session.status();
      const [bad] = this.rejected(status.typeUrl);
      return bad === undefined ? status : { ...status, lastRejection: bad.filter((text) => text !== "").join(": ") };
    });
  }

  /** What an Envoy does not take of a type, by name, and why; it has the rest. */
  rejected(typeUrl: TypeUrl): ReadonlyMap<string, string> {
    return this.#order?.rejected(typeUrl) ?? NOTHING_REJECTED;
  }

  /** What the client holds of each type that it asked for. */
  holdings(): ReadonlyMap<TypeUrl, Iterable<Holding>> {
    return new Map(Array.from(this.#sessions, ([typeUrl, session]) => [typeUrl, session.holdings()]));
  }

  /** Nothing follows. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#order?.close();
    this.#hold?.[Symbol.dispose]();
    this.#deadline?.[Symbol.dispose]();
    for (const session of this.#sessions.values()) session.close();
  }

  #openSession(typeUrl: TypeUrl, log: ResourceLog): DeltaSession {
    assert(this.#facts !== undefined);
    const session = new DeltaSession(log, this.#clock, {
      typeUrl,
      nodeName: this.#facts.nodeName,
      limits: this.#limits,
      nextNonce: this.#nextNonce,
      marker: this.#marker,
      onSend: this.#order && ((name) => this.#order?.sending(typeUrl, name)),
    });
    this.#sessions.set(typeUrl, session);
    return session;
  }

  #next(): DeltaResponse | undefined {
    if (this.#order !== undefined) return this.#order.next();
    for (const typeUrl of PEER_TYPES) {
      const response = this.#sessions.get(typeUrl)?.poll();
      if (response !== undefined) return response;
    }
    const policies = this.#sessions.get(AUTHORIZATION_TYPE);
    const addresses = this.#sessions.get(ADDRESS_TYPE);
    const mayWithdraw = () => addresses === undefined || addresses.caughtUp;
    const first = policies?.poll(mayWithdraw()) ?? this.#nextAddresses(addresses, policies);
    if (first !== undefined) return first;
    // By now the addresses may have caught up, and nothing names the policies to withdraw.
    if (mayWithdraw()) {
      const withdrawals = policies?.poll();
      if (withdrawals !== undefined) return withdrawals;
    }
    for (const [typeUrl, session] of this.#sessions) {
      const response = typeUrl === ADDRESS_TYPE || typeUrl === AUTHORIZATION_TYPE ? undefined : session.poll();
      if (response !== undefined) return response;
    }
    return undefined;
  }

  #nextAddresses(addresses: DeltaSession | undefined, policies: DeltaSession | undefined): DeltaResponse | undefined {
    if (addresses === undefined || policies?.hasUpserts === true) return undefined;
    if (this.#hold !== undefined) {
      if (policies?.answered !== true) return undefined;
      this.#hold[Symbol.dispose]();
      this.#hold = undefined;
    }
    return addresses.poll();
  }

  /** ztunnel asks for addresses first and for policies right after (contract ztunnel.md 2.1); others may never. */
  #awaitPolicies(): void {
    if (this.#facts?.type !== "ztunnel" || !this.#logs.has(AUTHORIZATION_TYPE)) return;
    if (this.#sessions.get(AUTHORIZATION_TYPE)?.answered === true) return;
    this.#hold = this.#clock.after(this.#limits.policyWaitMs, () => {
      this.#hold = undefined;
      this.#options.onWake();
    });
  }

  /** One timer for the stream, not one for each response. */
  #checkDeadline(): void {
    this.#deadline = undefined;
    const now = this.#clock.elapsedMs();
    let oldest: { typeUrl: TypeUrl; sinceMs: number } | undefined;
    for (const [typeUrl, { unansweredSinceMs }] of this.#sessions) {
      // An Envoy answers for clusters only once they are ready: that they never are ends no stream.
      if (this.#order !== undefined && typeUrl === CLUSTER_TYPE) continue;
      if (unansweredSinceMs !== undefined && unansweredSinceMs < (oldest?.sinceMs ?? Infinity))
        oldest = { typeUrl, sinceMs: unansweredSinceMs };
    }
    if (oldest === undefined) return;
    const leftMs = this.#endOf(oldest.sinceMs) - now;
    if (leftMs > 0) {
      this.#deadline = this.#clock.after(leftMs, () => this.#checkDeadline());
      return;
    }
    this.close();
    const who = this.#facts?.name ?? "the client";
    const seconds = Math.round((now - oldest.sinceMs) / 1000);
    // As DEADLINE_EXCEEDED, on which ztunnel reconnects within 10 ms and resumes (contract ztunnel.md 2.6).
    this.#options.onExpired(
      new MeshError("timeout", `${who} has not answered a response of ${oldest.typeUrl} for ${seconds} s; reconnect`),
    );
  }

  /** Until when a response made at `sinceMs` may be unanswered: a large one takes its time on a slow link. */
  #endOf(sinceMs: number): number {
    const { answerMs, deliveryMs } = this.#limits;
    const movedMs = Math.max(sinceMs, this.#options.lastProgressMs?.() ?? sinceMs);
    return Math.min(movedMs + answerMs, sinceMs + Math.max(answerMs, deliveryMs));
  }
}

function unknownType(typeUrl: string, known: Iterable<string>): MeshError {
  const what = typeUrl === "" ? "type_url is empty" : `type_url "${printable(typeUrl, 128)}" is not served`;
  return new MeshError("invalid", `${what}; served are ${[...known].join(", ")}`);
}
