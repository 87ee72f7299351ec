import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { Counter, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { AnswerWatch } from "./answer-watch.ts";
import type { LivePods } from "./authorize.ts";
import { bearerToken } from "./bearer-token.ts";
import { requireLivePod } from "./token-holder.ts";
import { AUDIENCE } from "./token-issuer.ts";
import { readReview, readTokenClaims } from "./token-review.ts";
import { Turns } from "./turns.ts";

/** The API server of one cluster, as far as tokens go. */
export interface TokenReviewer {
  /**
   * Asks whether a token is good for any of `audiences`.
   * @returns the status of the review; nothing of it was checked.
   * @throws if there is no answer, for whatever reason; also once `signal` aborts.
   */
  review(token: string, audiences: readonly string[], signal: AbortSignal): Promise<unknown>;
}

export interface TokenReviewOptions {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
  readonly reviewer: TokenReviewer;
  readonly pods: LivePods;
}

/** As contract operations.md 4.3 has it. */
const ANSWER_MS = 3_000;
/** A refused token is not asked about again at once. */
const REFUSED_MS = 1_000;
/** An older proof is asked for again before it counts, as tokens are revoked too. */
const PROOF_MS = 10 * 60_000;
/** Two tokens for each node of the largest mesh. */
const REMEMBERED_MAX = 10_000;
/** A thousand ztunnels that come at once are served within a second if a review takes 30 ms. */
const TURNS = { atOnceMax: 32, waitingMax: 4_096, waitMs: 2_000 };

const RESULTS = ["proven", "refused", "kept", "unanswered"] as const;

interface Proof {
  readonly caller: Caller;
  /** By `clock.elapsedMs`. */
  readonly reviewedMs: number;
}

/**
 * Has the API server of one cluster verify its tokens. Proven ones are remembered until they expire: while the API
 * server does not answer they stay good, and only those that it never saw are refused (contract operations.md 3.2 and
 * 3.4, fault 1). Whether the pod still lives is asked each time, whatever is remembered.
 */
export class TokenReviewAuthenticator implements Authenticator {
  readonly #host: Host;
  readonly #options: TokenReviewOptions;
  readonly #watch: AnswerWatch;
  readonly #reviews: Counter;
  readonly #turns: Turns;
  readonly #proven = new LRUCache<string, Proof>({ max: REMEMBERED_MAX });
  readonly #refused = new LRUCache<string, { readonly error: MeshError; readonly untilMs: number }>({
    max: REMEMBERED_MAX,
  });
  /** By the digest of the token: who shows one that is being reviewed waits for the same answer. */
  readonly #underWay = new Map<string, Promise<Caller>>();

  constructor(host: Host, options: TokenReviewOptions) {
    this.#host = host;
    this.#options = options;
    this.#watch = new AnswerWatch(host.clock, host.log.scope("ca"), options.cluster);
    this.#reviews = host.metrics.counter("token_reviews_total", "Tokens that an API server was to review.", [
      "cluster",
      "result",
    ]);
    this.#turns = new Turns(host.clock, TURNS);
  }

  async authenticate({ authorization }: Credentials): Promise<Caller> {
    const token = bearerToken(authorization);
    const digest = hash("sha256", token, "base64url");
    const caller = this.#remembered(digest) ?? (await this.#shared(token, digest));
    requireLivePod(caller, this.#options.pods);
    return caller;
  }

  /** What needs no review. @throws MeshError `unauthenticated` if the token was refused a moment ago. */
  #remembered(digest: string): Caller | undefined {
    const nowMs = this.#host.clock.elapsedMs();
    const refused = this.#refused.get(digest);
    if (refused !== undefined && nowMs < refused.untilMs) throw refused.error;
    const proof = this.#proven.get(digest);
    if (proof === undefined || proof.caller.expiresAt <= this.#host.clock.now()) return undefined;
    const fresh = nowMs < proof.reviewedMs + PROOF_MS;
    return fresh || this.#watch.silent ? proof.caller : undefined;
  }

  #shared(token: string, digest: string): Promise<Caller> {
    const known = this.#underWay.get(digest);
    if (known !== undefined) return known;
    const review = this.#prove(token, digest).finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, review);
    return review;
  }

  async #prove(token: string, digest: string): Promise<Caller> {
    const { clock } = this.#host;
    const claims = readTokenClaims(token, clock.now());
    try {
      const status = await this.#ask(token);
      const { pod, ...account } = readReview(status, claims);
      const { trustDomain, cluster } = this.#options;
      const identity = { trustDomain, ...account };
      const caller: Caller = { identity, cluster, via: "token", pod, expiresAt: claims.expiresAt };
      this.#proven.set(digest, { caller, reviewedMs: clock.elapsedMs() });
      this.#count("proven");
      return caller;
    } catch (thrown) {
      const error = MeshError.from(thrown);
      if (error.code === "unauthenticated") return this.#refuse(digest, error);
      return this.#keep(digest, error);
    }
  }

  #refuse(digest: string, error: MeshError): never {
    this.#count("refused");
    this.#proven.delete(digest);
    this.#refused.set(digest, { error, untilMs: this.#host.clock.elapsedMs() + REFUSED_MS });
    throw error;
  }

  /** Nobody said that the token is bad: it is as good as it was. */
  #keep(digest: string, error: MeshError): Caller {
    const proof = this.#proven.get(digest);
    this.#count(proof === undefined ? "unanswered" : "kept");
    if (proof !== undefined && proof.caller.expiresAt > this.#host.clock.now()) return proof.caller;
    throw error;
  }

  /** @throws MeshError `unavailable` if there is no answer; its message is fit for whoever asks. */
  async #ask(token: string): Promise<unknown> {
    const message = `cluster ${this.#options.cluster} cannot review tokens now; ask again`;
    try {
      using _turn = await this.#turns.take();
      return await this.#review(token);
    } catch (thrown) {
      throw new MeshError("unavailable", message, {}, { cause: thrown });
    }
  }

  async #review(token: string): Promise<unknown> {
    const { clock } = this.#host;
    const abort = new AbortController();
    const late = (): MeshError => new MeshError("timeout", `there was no answer within ${ANSWER_MS / 1000} s`);
    const timer = clock.after(ANSWER_MS, () => abort.abort(late()));
    try {
      const status = await orAborted(this.#options.reviewer.review(token, [AUDIENCE], abort.signal), abort.signal);
      this.#watch.answered();
      return status;
    } catch (thrown) {
      this.#watch.failed(thrown);
      throw thrown;
    } finally {
      timer[Symbol.dispose]();
    }
  }

  /** The cluster has left: what was counted of it is nobody's. */
  forget(): void {
    for (const result of RESULTS) this.#reviews.remove({ cluster: this.#options.cluster, result });
  }

  #count(result: (typeof RESULTS)[number]): void {
    this.#reviews.add(1, { cluster: this.#options.cluster, result });
  }
}

/** A reviewer that does not heed the signal cannot hold anyone up. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
