import { Quota } from "../ca/quota.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { refusal } from "./enrollment.ts";
import type { ClusterMessage, ManagerMessage } from "./messages.ts";
import { RELAY_PING_MS, RELAY_SILENCE_MS } from "./methods.ts";

/** A cluster says a few things when something changes, and a ping every 20 s: more than this is a fault. */
export const MESSAGES = { burst: 60, perSecond: 2 };
/** Answers that a cluster does not read; it has one request at a time. */
const ANSWERS_MAX = 16;

/** Our order, or why there is none. */
export type Word = Extract<ManagerMessage, { kind: "order" | "refusal" }>;
/** What a cluster said that somebody else has to act on. */
export type Said = Exclude<ClusterMessage, { kind: "ping" }>;

/**
 * The manager's end of one stream with a cluster, as a machine without I/O: what may be said when, and what is to be sent
 * next. It keeps the last word, not all of them: a cluster that reads slowly misses what is no longer so.
 */
export class RelaySession {
  readonly cluster: ClusterId;
  readonly #clock: Clock;
  readonly #messages: Quota;
  readonly #answers: ManagerMessage[] = [];
  #greeted = false;
  #word: Word | undefined;
  /** The last that was sent. */
  #told: Word | undefined;
  #heardMs: number;
  #saidMs: number;

  /** @param cluster as the client certificate has it. @param messages of all streams: a new one is no new account. */
  constructor(clock: Clock, cluster: ClusterId, messages = new Quota(clock, MESSAGES)) {
    this.cluster = cluster;
    this.#clock = clock;
    this.#messages = messages;
    this.#heardMs = this.#saidMs = clock.elapsedMs();
  }

  get greeted(): boolean {
    return this.#greeted;
  }

  /**
   * Takes what the cluster sent.
   * @returns what somebody has to act on. @throws MeshError with which the stream is to end.
   */
  take(message: ClusterMessage): Said | undefined {
    this.#heardMs = this.#clock.elapsedMs();
    if (!this.#messages.take(this.cluster))
      throw refusal(
        "exhausted",
        "TooMany",
        `cluster ${this.cluster} says too much: ${MESSAGES.burst} messages at once`,
      );
    if (message.kind === "hello") this.#greet(message.hello.cluster);
    else if (!this.#greeted)
      throw new MeshError("invalid", `a cluster says Hello before anything else, not ${message.kind}`);
    return message.kind === "ping" ? undefined : message;
  }

  #greet(named: ClusterId): void {
    if (this.#greeted) throw new MeshError("invalid", `cluster ${this.cluster} said Hello twice on one stream`);
    if (named !== this.cluster)
      throw refusal(
        "denied",
        "OtherCluster",
        `the caller says that it is cluster ${named}, and its client certificate that it is ${this.cluster}: a copied state folder or Secret has to be removed, and the cluster enrolled by a token of its own`,
      );
    this.#greeted = true;
  }

  /** What the cluster is to be told now; undefined for nothing. What it was told already is not sent again. */
  tell(word: Word | undefined): void {
    this.#word = word;
  }

  /** The answer to a request. @throws MeshError `exhausted` if the cluster takes none. */
  answer(message: ManagerMessage): void {
    if (this.#answers.length >= ANSWERS_MAX)
      throw refusal("exhausted", "TooMany", `cluster ${this.cluster} asks, and does not read the answers`);
    this.#answers.push(message);
  }

  /** What is to be sent next; undefined until something happens. */
  poll(): ManagerMessage | undefined {
    const next = this.#next();
    if (next !== undefined) this.#saidMs = this.#clock.elapsedMs();
    return next;
  }

  #next(): ManagerMessage | undefined {
    const answer = this.#answers.shift();
    if (answer !== undefined || !this.#greeted) return answer;
    if (this.#word !== undefined && !sameWord(this.#word, this.#told)) return (this.#told = this.#word);
    const pingDue = this.#clock.elapsedMs() - this.#saidMs >= RELAY_PING_MS;
    return pingDue ? { kind: "ping", clock: this.#clock.now() } : undefined;
  }

  /** Why the stream is dead, if it is. To be asked every few seconds, as `poll` is. */
  whyDead(): MeshError | undefined {
    const quietMs = this.#clock.elapsedMs() - this.#heardMs;
    if (quietMs < RELAY_SILENCE_MS) return undefined;
    const hello = this.#greeted ? "" : ", not even Hello";
    return refusal(
      "timeout",
      "Silent",
      `nothing was heard of cluster ${this.cluster} for ${RELAY_SILENCE_MS / 1000} s${hello}`,
    );
  }
}

function sameWord(one: Word, other: Word | undefined): boolean {
  if (one === other || other === undefined) return one === other;
  if (one.kind === "order" && other.kind === "order") return one.order.generation === other.order.generation;
  return (
    one.kind === "refusal" &&
    other.kind === "refusal" &&
    one.code === other.code &&
    one.reason === other.reason &&
    one.retryAfterMs === other.retryAfterMs
  );
}
