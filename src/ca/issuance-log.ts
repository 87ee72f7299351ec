import { LRUCache } from "lru-cache";
import type { Caller } from "../caller.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host, LogFields, Logger } from "../host.ts";
import { formatServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import { CaMetrics, type DenialReason } from "./ca-metrics.ts";
import { readSerialAndEnd } from "./certificate-fields.ts";
import { IdentityRecords } from "./identity-records.ts";
import type { IssuedSvid } from "./signer.ts";

/** Of refusals that are equal, a line in this time says how many there were. */
const REPEATED_MS = 60_000;
/** Kinds of refusals whose repetition is noticed; of others the oldest begins anew. */
const KINDS_MAX = 10_000;
const LAST_REFUSALS = 20;
const ASKED_CHARACTERS_MAX = 256;
/** In one line. */
const ENTRIES_SHOWN = 5;

/** What is known, so far, of who asks for what. */
export interface Asker {
  readonly address: string;
  readonly caller?: Caller;
  readonly asked?: string | undefined;
  /** Of the pods that would show it. */
  readonly node?: string | undefined;
}

/** As it was logged. */
export interface Refusal {
  readonly at: EpochMs;
  readonly reason: DenialReason;
  readonly fields: LogFields;
}

/**
 * Keeps the books of a certificate service: a line and a count for each certificate that left and for each that was
 * refused (contract identity.md 6, threat 29). No key, token or PEM is ever in them.
 */
export class IssuanceLog {
  readonly metrics: CaMetrics;
  /** Of each identity that somebody may have: who signed for it, and why not. */
  readonly identities = new IdentityRecords();
  readonly #host: Host;
  readonly #log: Logger;
  readonly #seen = new LRUCache<string, { untilMs: number; unsaid: number }>({ max: KINDS_MAX });
  readonly #last: Refusal[] = [];
  readonly #refused = new Map<DenialReason, number>();
  #issued = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#log = host.log.scope("ca");
    this.metrics = new CaMetrics(host.metrics);
  }

  /** Certificates that left, since the start. */
  get issuedCount(): number {
    return this.#issued;
  }

  /** Requests that were refused, since the start. */
  get refusedCounts(): ReadonlyMap<DenialReason, number> {
    return this.#refused;
  }

  /** The newest last; not many. */
  get lastRefusals(): readonly Refusal[] {
    return this.#last;
  }

  /** @param signer as `SignerDescription.kind` says. */
  issued(
    identity: ServiceAccountId,
    { chain: [leaf], entries }: IssuedSvid,
    signer: string,
    { address, caller, node }: Required<Pick<Asker, "caller">> & Asker,
  ): void {
    this.#issued += 1;
    this.metrics.issued();
    const { serial, notAfter } = readSerialAndEnd(leaf);
    const name = formatServiceAccountId(identity);
    const at = this.#host.clock.now();
    this.identities.issued(name, { at, until: notAfter, signer, entries, node });
    if (!this.#log.enabled("info")) return;
    this.#log.info("certificate issued", {
      identity: name,
      ...callerFields(caller),
      serial: Buffer.from(serial).toString("hex"),
      ttl: Math.round((notAfter - at) / 1000),
      address,
      ...(entries.length > 0 && { entries: entries.slice(0, ENTRIES_SHOWN).join(" ") }),
    });
  }

  /**
   * A line for each, but for those that repeat the last minute's: nobody may fill the disk by being refused. Who has
   * proven nothing repeats itself whatever it says. The metric counts them all.
   */
  refused(reason: DenialReason, thrown: unknown, { address, caller, asked, node }: Asker): void {
    this.metrics.denied(reason);
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    const who = caller === undefined ? { address } : { ...callerFields(caller), address };
    const why = messageOf(thrown);
    const fields = { stage: reason, ...who, asked: asked?.slice(0, ASKED_CHARACTERS_MAX), why };
    const at = this.#host.clock.now();
    this.#remember({ at, reason, fields });
    // Only of those who may have it: nobody else's words fill it.
    if (asked !== undefined && (reason === "entry" || reason === "signing"))
      this.identities.refused(asked, { at, why, node });
    const host = address.replace(/:\d+$/, "");
    const kind = caller === undefined ? [reason, host] : [reason, host, keyOf(caller), fields.asked, why];
    const repeated = this.#repeated(kind.join(" "));
    if (repeated === undefined) return;
    const line = repeated === 0 ? fields : { ...fields, repeated };
    if (reason === "signing") this.#log.error("certificate not signed", line);
    else this.#log.warn("certificate refused", line);
  }

  /** How many of this kind were not said; undefined if this one is not to be said either. */
  #repeated(kind: string): number | undefined {
    const nowMs = this.#host.clock.elapsedMs();
    const seen = this.#seen.get(kind);
    if (seen !== undefined && nowMs < seen.untilMs) {
      seen.unsaid += 1;
      return undefined;
    }
    this.#seen.set(kind, { untilMs: nowMs + REPEATED_MS, unsaid: 0 });
    return seen?.unsaid ?? 0;
  }

  #remember(refusal: Refusal): void {
    this.#last.push(refusal);
    if (this.#last.length > LAST_REFUSALS) this.#last.shift();
  }
}

function callerFields({ identity, cluster, via, pod }: Caller): LogFields {
  return { caller: formatServiceAccountId(identity), pod: pod?.name, cluster, via };
}

/** Each pod of an account is a caller of its own: a ztunnel is a pod on each node. */
export const keyOf = ({ cluster, identity, pod }: Caller): string =>
  `${cluster} ${formatServiceAccountId(identity)} ${pod?.uid ?? ""}`;
