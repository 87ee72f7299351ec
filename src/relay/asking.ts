import type { KeyObject } from "node:crypto";
import { Backoff } from "../backoff.ts";
import { messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { IntermediateRequest, ManagerMessage, Order, SignedIntermediate } from "./messages.ts";

/** An issuer may wait for somebody's approval; the same request again is the same to it. */
const ANSWER_MS = 90_000;
const RETRY = { firstMs: 4_000, longestMs: 300_000 };
/** For what the manager says that only a new order can help, all the same: orders get lost, and people mend things. */
const UNLIKELY_MS = 600_000;

/** A key of this cluster, and the request that it signed, in PEM. */
export interface AuthorityRequest {
  readonly csr: string;
  readonly privateKey: KeyObject;
}

export interface AskingPort {
  makeRequest(order: Order): Promise<AuthorityRequest>;
  /** @returns false if there is no stream to send it by. */
  send(request: IntermediateRequest): boolean;
  changed(): void;
}

interface Held extends AuthorityRequest {
  readonly id: string;
  readonly order: Order;
}

/** What was asked for and came. */
export interface Answer {
  readonly order: Order;
  readonly signed: SignedIntermediate;
  readonly privateKey: KeyObject;
}

/**
 * One request at a time, from its key until it is answered: sent again over each new stream and after each refusal, always
 * the same, so that an issuer who saw it knows it again. The key is in memory alone, and forgotten with the request.
 */
export class Asking {
  readonly #host: Host;
  readonly #port: AskingPort;
  readonly #backoff: Backoff;
  /** What the request under way, or its making, is for. */
  #order: Order | undefined;
  #held: Held | undefined;
  #answer: Answer | undefined;
  #timer: Disposable | undefined;
  #trouble = "";

  constructor(host: Host, port: AskingPort) {
    this.#host = host;
    this.#port = port;
    this.#backoff = new Backoff(host.random, RETRY.longestMs, RETRY.firstMs);
  }

  /** Why there is no answer yet that can be used; empty while nothing went wrong. */
  get trouble(): string {
    return this.#trouble;
  }

  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** Begins, unless it is under way. A request by an older order is forgotten, and so is its key. */
  want(order: Order): void {
    if (this.#order?.generation === order.generation) return;
    this.drop();
    this.#order = order;
    this.#make(order);
  }

  /** Nothing is wanted any more. */
  drop(): void {
    this.#order = this.#held = this.#answer = undefined;
    this.#trouble = "";
    this.#backoff.reset();
    this.#timer?.[Symbol.dispose]();
  }

  /** A stream is open: what was sent by another may never have arrived. */
  connected(): void {
    this.#send();
  }

  /** @returns false for an answer to what is not asked any more, or was answered. */
  answered({ id, signed }: Extract<ManagerMessage, { kind: "certificate" }>): boolean {
    if (this.#held?.id !== id || this.#answer !== undefined) return false;
    const { order, privateKey } = this.#held;
    this.#answer = { order, signed, privateKey };
    this.#timer?.[Symbol.dispose]();
    return true;
  }

  /** The answer was no good: its key is given up, as somebody may have been shown what is not ours. */
  reject(why: string): void {
    this.#held = this.#answer = undefined;
    this.#trouble = `the manager's answer cannot be used: ${why}`;
    const order = this.#order!;
    this.#wait(this.#backoff.next(), () => this.#make(order));
  }

  /** @returns false for what is not asked any more. */
  refused({ id, reason, retryAfterMs }: Extract<ManagerMessage, { kind: "refusal" }>): boolean {
    if (this.#held?.id !== id || this.#answer !== undefined) return false;
    this.#trouble = `the manager signs no certificate for this cluster: ${reason}`;
    this.#wait(retryAfterMs === 0 ? UNLIKELY_MS : this.#backoff.next(retryAfterMs), () => this.#send());
    return true;
  }

  #make(order: Order): void {
    void this.#port.makeRequest(order).then(
      (request) => {
        if (this.#order !== order) return;
        const id = Buffer.from(this.#host.random.bytes(8)).toString("hex");
        this.#held = { ...request, id, order };
        this.#send();
      },
      (thrown: unknown) => {
        if (this.#order !== order) return;
        this.#trouble = `no key could be made: ${messageOf(thrown)}`;
        this.#wait(this.#backoff.next(), () => this.#make(order));
        this.#port.changed();
      },
    );
  }

  #send(): void {
    if (this.#held === undefined || this.#answer !== undefined) return;
    const { id, csr, order } = this.#held;
    if (!this.#port.send({ id, csr, generation: order.generation })) return;
    this.#wait(ANSWER_MS + this.#backoff.next(), () => {
      this.#trouble ||= "the manager was asked for a certificate, and does not answer";
      this.#send();
      this.#port.changed();
    });
  }

  #wait(ms: number, task: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(ms, task);
  }
}
