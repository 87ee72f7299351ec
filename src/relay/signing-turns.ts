import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { parseCsr } from "../ca/csr.ts";
import { Quota } from "../ca/quota.ts";
import { MeshError } from "../errors.ts";
import type { Counter, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { RelayDesk } from "./desk.ts";
import type { IntermediateRequest, ManagerMessage } from "./messages.ts";

/** Of one cluster: ten at once, then one every half minute; a cluster needs one in weeks, and some while a root changes. */
const REQUESTS = { burst: 10, perSecond: 1 / 30 };
/** Somebody may have to approve it; a cluster that asks again joins what is under way. */
const SIGN_MS = 600_000;
/** How long a cluster may ask again for an answer that it lost, and get the same. */
const REMEMBERED_MS = 600_000;
const CLUSTERS_MAX = 10_000;
/** When to ask again after what may pass, if who refused did not say. */
const AGAIN_MS = 30_000;

type Answer = Extract<ManagerMessage, { kind: "certificate" | "refusal" }>;

interface Turn {
  readonly id: string;
  /** SHA-256 of the public key. */
  readonly key: string;
  readonly answer: Promise<Answer>;
  readonly abort: AbortController;
  /** Undefined until it is answered. */
  answeredMs: number | undefined;
}

/**
 * One request at a time for each cluster, whichever of its streams it comes by. Who asks again with the same id and key,
 * as after a stream that broke, gets the same certificate, and none is signed for it.
 */
export class SigningTurns {
  readonly #host: Host;
  readonly #desk: RelayDesk;
  readonly #requests: Quota;
  readonly #turns = new LRUCache<ClusterId, Turn>({ max: CLUSTERS_MAX });
  readonly #signatures: Counter;

  constructor(host: Host, desk: RelayDesk) {
    this.#host = host;
    this.#desk = desk;
    this.#requests = new Quota(host.clock, REQUESTS);
    this.#signatures = host.metrics.counter("relay_signatures_total", "Requests for intermediates, by result.", [
      "result",
    ]);
  }

  /** Never rejects: what goes wrong is a refusal. */
  async ask(cluster: ClusterId, request: IntermediateRequest): Promise<Answer> {
    try {
      const key = hash("sha256", await parseCsr(request.csr), "hex");
      return await this.#turn(cluster, request, key).answer;
    } catch (thrown) {
      return this.#refusal(cluster, request.id, thrown);
    }
  }

  /** Gives up what is under way. */
  close(): void {
    for (const { abort } of this.#turns.values())
      abort.abort(new MeshError("unavailable", "the trust manager is shutting down"));
  }

  #turn(cluster: ClusterId, request: IntermediateRequest, key: string): Turn {
    const nowMs = this.#host.clock.elapsedMs();
    const last = this.#turns.get(cluster);
    if (last !== undefined && last.id === request.id && last.key === key)
      if (last.answeredMs === undefined || nowMs - last.answeredMs < REMEMBERED_MS) return last;
    if (!this.#requests.take(cluster))
      throw new MeshError(
        "exhausted",
        `cluster ${cluster} asks for certificates too often: ${REQUESTS.burst} at once are signed, and one in ${1 / REQUESTS.perSecond} s after that`,
        { retryAfterMs: 1000 / REQUESTS.perSecond },
      );
    // A cluster that was started anew has lost the key of what it asked before.
    last?.abort.abort(new MeshError("conflict", `request ${request.id} of cluster ${cluster} took its place`));
    const abort = new AbortController();
    const answer = this.#sign(cluster, request, abort);
    const turn: Turn = { id: request.id, key, answer, abort, answeredMs: undefined };
    this.#turns.set(cluster, turn);
    void turn.answer.then(({ kind }) => {
      turn.answeredMs = this.#host.clock.elapsedMs();
      // What was refused may be asked for again at once, with the same id.
      if (kind === "refusal" && this.#turns.get(cluster) === turn) this.#turns.delete(cluster);
    });
    return turn;
  }

  async #sign(cluster: ClusterId, request: IntermediateRequest, abort: AbortController): Promise<Answer> {
    const { signal } = abort;
    const timer = this.#host.clock.after(SIGN_MS, () =>
      abort.abort(new MeshError("timeout", `nothing was signed within ${SIGN_MS / 60_000} minutes`)),
    );
    try {
      const signed = await settled(this.#desk.sign(cluster, request, signal), signal);
      this.#signatures.add(1, { result: "signed" });
      this.#log.info("signed the intermediate of a cluster", { cluster, id: request.id });
      return { kind: "certificate", id: request.id, signed };
    } catch (thrown) {
      return this.#refusal(cluster, request.id, signal.aborted ? signal.reason : thrown);
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #refusal(cluster: ClusterId, id: string, thrown: unknown): Answer {
    const { code, message, detail } = MeshError.from(thrown);
    const { retryAfterMs: named } = detail;
    const passing = ["unavailable", "exhausted", "timeout", "conflict", "internal"].includes(code);
    const retryAfterMs = typeof named === "number" ? Math.max(0, Math.round(named)) : passing ? AGAIN_MS : 0;
    this.#signatures.add(1, { result: code });
    this.#log.warn("nothing was signed for a cluster", { cluster, id, why: message, retryAfterMs });
    // What nobody foresaw is not the caller's to find out.
    const reason = thrown instanceof MeshError ? message : "signing failed; the trust manager's log says why";
    return { kind: "refusal", id, code, reason, retryAfterMs };
  }

  get #log() {
    return this.#host.log.scope("trust");
  }
}

/** A desk that does not heed its signal must not hold up its cluster for ever. */
function settled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(MeshError.from(signal.reason));
    if (signal.aborted) aborted();
    signal.addEventListener("abort", aborted, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}
