import { MeshError, messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import { ApiError, type KubeApi, type ResourceType } from "./api.ts";
import { isUnseen, lookedUp } from "./guarded-write.ts";
import type { Term } from "./leader-election.ts";
import { applyRequest, type WantedObject, type WantedObjects } from "./wanted-object.ts";
import { WriteMetrics } from "./write-metrics.ts";
import { WRITE_LIMITS, WriteQueue, type Write, type WriteLimits, type WriteOutcome } from "./write-queue.ts";

/** Shorter than the time between the end of a term that was not renewed and the begin of a rival's. */
const DEADLINE_MS = 5_000;
const COMPLAINT_MS = 60_000;

/** How a write went, for who is to say so. */
export interface WriteReport {
  readonly key: string;
  readonly wanted: WantedObject;
  readonly outcome: WriteOutcome;
  readonly error: ApiError | undefined;
}

/** Makes what is there what is wanted, for as long as this replica leads. */
export class Writer {
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #queue: WriteQueue;
  readonly #wanted: WantedObjects;
  readonly #log: Logger;
  readonly #metrics: WriteMetrics;
  /** Which of a type's versions the server has, by trial. */
  readonly #versions = new Map<ResourceType, number>();
  readonly #complaints = new Map<string, { readonly atMs: number; count: number }>();
  /** Hears of each write of this replica. */
  onWrite: (report: WriteReport) => void = () => {};
  #following: Disposable | undefined;
  #term: Term | undefined;
  #timer: Disposable | undefined;

  /** @param name tells writers of one process apart. */
  constructor(host: Host, api: KubeApi, wanted: WantedObjects, limits: WriteLimits = WRITE_LIMITS, name = "status") {
    this.#host = host;
    this.#api = api;
    this.#wanted = wanted;
    this.#queue = new WriteQueue(wanted, host.random, limits);
    this.#log = host.log.scope("status");
    this.#metrics = new WriteMetrics(host.metrics, name);
  }

  /** We lead while `term` lives: all that is not as wanted is written. */
  begin(term: Term): void {
    this.end();
    this.#term = term;
    this.#following = this.#wanted.observe((batch) => this.#changed(batch));
    this.#queue.begin(this.#host.clock.elapsedMs());
    this.#pump();
  }

  /** We no longer lead: what waits is dropped, and what is under way its signal cuts off. Idempotent. */
  end(): void {
    this.#following?.[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#following = this.#timer = this.#term = undefined;
    this.#queue.end();
    this.#metrics.pending(0);
  }

  #changed(batch: readonly { readonly key: string }[]): void {
    const nowMs = this.#host.clock.elapsedMs();
    for (const { key } of batch) this.#queue.changed(key, nowMs);
    this.#pump();
  }

  #pump(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const term = this.#term;
    if (term === undefined || !term.lives()) return;
    const nowMs = this.#host.clock.elapsedMs();
    for (let write = this.#queue.take(nowMs); write !== undefined; write = this.#queue.take(nowMs))
      void this.#write(write, term);
    const waitMs = this.#queue.waitMs(nowMs);
    if (waitMs !== undefined) this.#timer = this.#host.clock.after(waitMs, () => this.#pump());
    this.#metrics.pending(this.#queue.pending);
  }

  async #write(write: Write, term: Term): Promise<void> {
    const begunMs = this.#host.clock.elapsedMs();
    this.#metrics.begun(begunMs - write.dueMs);
    const { outcome, error } = await this.#apply(write.wanted, term.signal);
    // What the server did with a write that was cut off nobody knows; who leads next finds out.
    if (!term.lives()) return;
    const nowMs = this.#host.clock.elapsedMs();
    this.#metrics.ended(write.wanted.type.kind, outcome, nowMs - begunMs);
    const contested = this.#queue.settled(write, outcome, nowMs, error?.retryAfterMs);
    this.#report(write.wanted, outcome, error, contested);
    this.onWrite({ key: write.key, wanted: write.wanted, outcome, error });
    this.#pump();
  }

  async #apply(
    wanted: WantedObject,
    term: AbortSignal,
  ): Promise<{ readonly outcome: WriteOutcome; readonly error?: ApiError }> {
    const { versions } = wanted.type;
    const wallTime = new Date(this.#host.clock.now()).toISOString().replace(/\.[0-9]+Z$/, "Z");
    for (let at = this.#versions.get(wanted.type) ?? 0; ; at++) {
      try {
        const found = isUnseen(wanted) ? await lookedUp(this.#api, wanted, versions[at]!, term) : wanted;
        // Somebody else may lead by now.
        if (term.aborted) return { outcome: "absent" };
        if (found === "foreign") return { outcome: "foreign" };
        const request = applyRequest(found, versions[at]!, wallTime);
        await this.#api.call({ ...request, deadlineMs: DEADLINE_MS }, term);
        this.#versions.set(wanted.type, at);
        return { outcome: "written" };
      } catch (thrown) {
        const error = thrown instanceof ApiError ? thrown : unknownError(thrown);
        // It may be that there is no such path, rather than no such object.
        const doubtful = error.status === 404 && (error.reason !== "NotFound" || !this.#versions.has(wanted.type));
        if (doubtful && at + 1 < versions.length && !term.aborted) continue;
        return { outcome: outcomeOf(error), error };
      }
    }
  }

  #report(wanted: WantedObject, outcome: WriteOutcome, error: ApiError | undefined, contested: boolean): void {
    const object = nameOf(wanted);
    if (outcome === "foreign")
      this.#complain("foreign", "an object of that name is there and not ours; it is left as it is", object, error);
    if (contested)
      this.#log.warn(
        `${object} is changed by somebody else as often as it is written; see who in its metadata.managedFields`,
      );
    if (outcome === "written") this.#log.debug("written", { object });
    if (error === undefined || outcome === "absent" || outcome === "conflict" || outcome === "foreign") return;
    const resource = `${wanted.type.plural}${wanted.subresource === undefined ? "" : `/${wanted.subresource}`}`;
    const group = wanted.type.group === "" ? "the core group" : wanted.type.group;
    const messages = {
      denied: `${resource} of ${group} may not be written; grant ${verbsOf(wanted)} on it`,
      refused: `the API server refuses what is written to ${resource}`,
      overloaded: "the API server does not take what is written; it is written more slowly, until it does",
      written: "",
    };
    this.#complain(`${outcome} ${outcome === "overloaded" ? "" : resource}`, messages[outcome], object, error);
  }

  /** Once a minute for each kind of trouble, with how often it was. */
  #complain(trouble: string, message: string, object: string, error: ApiError | undefined): void {
    const nowMs = this.#host.clock.elapsedMs();
    const last = this.#complaints.get(trouble);
    if (last !== undefined && nowMs - last.atMs < COMPLAINT_MS) {
      last.count += 1;
      return;
    }
    this.#complaints.set(trouble, { atMs: nowMs, count: 0 });
    const reason = error && messageOf(error);
    this.#log.warn(message, { object, reason, more: last?.count || undefined });
  }
}

function outcomeOf({ status, message }: ApiError): WriteOutcome {
  if (status === 404) return "absent";
  if (status === 409) return "conflict";
  // A namespace that is being deleted takes nothing new.
  if (status === 403) return message.includes("being terminated") ? "absent" : "denied";
  if (status < 400 || status >= 500 || status === 401 || status === 408 || status === 429) return "overloaded";
  return "refused";
}

/** A defect of ours or of the transport must not end the process, nor be tried again at once. */
const unknownError = (thrown: unknown): ApiError => {
  const { code, message } = MeshError.from(thrown);
  return new ApiError(code, message, 0, "", undefined, { cause: thrown });
};

/** An apply may have to make the object, for which the API asks for a second verb. */
const verbsOf = ({ subresource, gone, guard }: WantedObject): string =>
  gone === true ? "delete" : subresource !== undefined ? "patch" : `${guard ? "get, " : ""}patch and create`;

const nameOf = ({ type, namespace, name }: WantedObject): string =>
  type.namespaced ? `${type.kind} ${namespace}/${name}` : `${type.kind} ${name}`;
