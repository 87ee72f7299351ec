import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import type { Authority } from "./authority.ts";
import { type OrderToSign, type Replies, type ToThread, unpackReplies } from "./signing-messages.ts";
import type { CsrOrder, SvidChain } from "./signer.ts";

/** One thread, as far as we talk to it. */
export interface SigningThread {
  post(message: ToThread): void;
  /** Ends it, whatever it does; `ended` is told. */
  stop(): void;
}

export interface ThreadEvents {
  /** To the orders that it was told of longest ago. */
  replied(replies: Replies): void;
  /** It is no more; once. */
  ended(why: string): void;
}

export type StartThread = (events: ThreadEvents) => SigningThread;

/** HTTP/2 takes one core of the two that a control plane usually has; a key that signs slowly wants both. */
const THREADS = 2;
/** Of orders in one message: what comes back together is also written to sockets together. */
const BATCH_MAX = 16;
/** Messages that a thread has: one that it works on, and the next, or it would wait for us. */
const BATCHES_MAX = 2;
/** 16 KiB each at most; with RSA 4096 on two threads the last one waits some 4 seconds. */
const WAITING_MAX = 2_000;
/** How long anyone waits in line, and how long a thread may take for what it was told. */
const WAIT_MS = 10_000;
const SWEEP_MS = 1_000;
/** A thread that ended sooner than this after its start is not started again before this has passed. */
const RESTART_MS = 1_000;

interface Waiting {
  readonly order: CsrOrder;
  readonly signal: AbortSignal;
  readonly sinceMs: number;
  readonly resolve: (chain: SvidChain) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly authority: Authority;
  readonly waiting: readonly Waiting[];
  readonly sinceMs: number;
}

/**
 * Certificate requests on their way to threads that read and sign them, and back: in line, a few in each message. A
 * thread that ends takes what it was at with it, and is started anew.
 */
export class SigningThreads {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #trustDomain: string;
  readonly #start: StartThread;
  readonly #threads: Place[] = [];
  readonly #line: Waiting[] = [];
  #authority: Authority;
  #sweep: Disposable | undefined;
  #sending: Disposable | undefined;
  #closed = false;

  /** Threads are started when the first certificate is asked for. */
  constructor(host: Host, authority: Authority, trustDomain: string, start: StartThread) {
    this.#host = host;
    this.#log = host.log.scope("ca");
    this.#authority = authority;
    this.#trustDomain = trustDomain;
    this.#start = start;
  }

  /** What is under way is signed by the authority that it was sent to. */
  rotate(authority: Authority): void {
    this.#authority = authority;
    for (const place of this.#threads) this.#tellAuthority(place);
  }

  /** @throws MeshError as `Signer.issue`. */
  issue(order: CsrOrder, signal: AbortSignal): Promise<SvidChain> {
    if (this.#closed) return Promise.reject(ended());
    if (this.#line.length >= WAITING_MAX)
      return Promise.reject(new MeshError("unavailable", "too many wait already for a signature"));
    if (this.#threads.length === 0) for (let at = 0; at < THREADS; at += 1) this.#threads.push(this.#newPlace());
    return new Promise((resolve, reject) => {
      this.#line.push({ order, signal, sinceMs: this.#host.clock.elapsedMs(), resolve, reject });
      this.#sweep ??= this.#host.clock.after(SWEEP_MS, () => this.#swept());
      // Together with what else has arrived: a message costs more than the requests in it.
      this.#sending ??= this.#host.clock.after(0, () => this.#send());
    });
  }

  /** What is under way is given up. */
  close(): void {
    this.#closed = true;
    this.#sweep?.[Symbol.dispose]();
    this.#sending?.[Symbol.dispose]();
    for (const waiting of this.#line.splice(0)) waiting.reject(ended());
    for (const place of this.#threads) {
      place.restart?.[Symbol.dispose]();
      place.thread?.stop();
    }
  }

  #send(): void {
    this.#sending = undefined;
    this.#advance();
  }

  /** Sends what waits to whom has least to do. */
  #advance(): void {
    while (this.#line.length > 0) {
      const place = this.#idlest();
      if (place === undefined) return;
      const waiting = this.#next();
      if (waiting.length === 0) continue;
      const now = this.#host.clock.now();
      place.batches.push({ authority: this.#authority, waiting, sinceMs: this.#host.clock.elapsedMs() });
      place.thread!.post({ kind: "orders", orders: waiting.map(({ order }) => withoutBearer(order, now)) });
    }
  }

  #idlest(): Place | undefined {
    let found: Place | undefined;
    for (const place of this.#threads) {
      if (place.thread === undefined || place.batches.length >= BATCHES_MAX) continue;
      if (found === undefined || place.batches.length < found.batches.length) found = place;
    }
    return found;
  }

  /** Shared out among threads that have nothing to do. Who has left is not signed for. */
  #next(): readonly Waiting[] {
    const idle = this.#threads.filter(({ thread, batches }) => thread !== undefined && batches.length === 0).length;
    const share = Math.ceil(this.#line.length / Math.max(1, idle));
    return this.#line.splice(0, Math.min(share, BATCH_MAX)).filter(({ signal, reject }) => {
      if (signal.aborted) reject(signal.reason);
      return !signal.aborted;
    });
  }

  #replied(place: Place, replies: Replies): void {
    const batch = place.batches.shift();
    if (batch === undefined) return;
    // First, so that the thread does not wait while we answer.
    this.#advance();
    const { chain } = batch.authority;
    for (const [at, result] of unpackReplies(replies).entries()) {
      const waiting = batch.waiting[at]!;
      if (result instanceof MeshError) waiting.reject(result);
      else waiting.resolve([result, ...chain]);
    }
  }

  #newPlace(): Place {
    const place: Place = { thread: undefined, startedMs: 0, batches: [], restart: undefined };
    this.#begin(place);
    return place;
  }

  #begin(place: Place): void {
    place.restart = undefined;
    place.startedMs = this.#host.clock.elapsedMs();
    try {
      place.thread = this.#start({
        replied: (replies) => this.#replied(place, replies),
        ended: (why) => this.#ended(place, why),
      });
    } catch (thrown) {
      // The machine has no thread left to give.
      this.#ended(place, messageOf(thrown));
      return;
    }
    this.#tellAuthority(place);
  }

  #tellAuthority({ thread }: Place): void {
    const { subject, keyId, privateKey, notAfter } = this.#authority;
    const issuer = { subject, keyId, privateKey, notAfter };
    thread?.post({ kind: "authority", issuer, trustDomain: this.#trustDomain });
  }

  #ended(place: Place, why: string): void {
    place.thread = undefined;
    const lost = place.batches.splice(0).flatMap(({ waiting }) => waiting);
    for (const { reject } of lost)
      reject(this.#closed ? ended() : new MeshError("unavailable", "a signing thread ended; ask again"));
    if (this.#closed) return;
    const lived = this.#host.clock.elapsedMs() - place.startedMs;
    this.#log.error("a signing thread ended, and is started again", { why, requestsLost: lost.length });
    const delayMs = lived < RESTART_MS ? RESTART_MS : 0;
    place.restart = this.#host.clock.after(delayMs, () => {
      this.#begin(place);
      this.#advance();
    });
  }

  /** Nobody waits for ever: neither in line, nor for a thread that does not answer. */
  #swept(): void {
    const late = this.#host.clock.elapsedMs() - WAIT_MS;
    while ((this.#line[0]?.sinceMs ?? Infinity) <= late)
      this.#line.shift()!.reject(new MeshError("unavailable", `no turn to sign came within ${WAIT_MS / 1000} s`));
    for (const { thread, batches } of this.#threads) if ((batches[0]?.sinceMs ?? Infinity) <= late) thread?.stop();
    const idle = this.#line.length === 0 && this.#threads.every(({ batches }) => batches.length === 0);
    this.#sweep = idle ? undefined : this.#host.clock.after(SWEEP_MS, () => this.#swept());
  }
}

interface Place {
  /** Undefined while it is to be started again. */
  thread: SigningThread | undefined;
  startedMs: number;
  /** What it was told, in order, and has not answered. */
  readonly batches: Batch[];
  restart: Disposable | undefined;
}

const withoutBearer = ({ identity, csr, ttlSeconds }: CsrOrder, now: EpochMs): OrderToSign => ({
  ...{ identity, csr, ttlSeconds },
  now,
});

const ended = (): MeshError => new MeshError("unavailable", "this control plane is shutting down");
