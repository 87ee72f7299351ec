import { LRUCache } from "lru-cache";
import type { EpochMs } from "../host.ts";

/** Identities; of others the one that was asked for longest ago is forgotten. */
const IDENTITIES_MAX = 10_000;

/** The last certificate of an identity that left. */
export interface LastIssued {
  readonly at: EpochMs;
  /** When it ends. */
  readonly until: EpochMs;
  /** Who signed it, as `SignerDescription.kind` says. */
  readonly signer: string;
  /** Ids of the registration entries that vouched for its bearer. */
  readonly entries: readonly string[];
  /** Of the pods that show it; undefined if that is not known. */
  readonly node: string | undefined;
}

/** The last request for an identity that was refused, though its caller may have it. */
export interface LastRefused {
  readonly at: EpochMs;
  readonly why: string;
  readonly node: string | undefined;
}

export interface IdentityRecord {
  readonly issued: LastIssued | undefined;
  /** Undefined also once a certificate has left since, whichever node it was for. */
  readonly refused: LastRefused | undefined;
}

/** What became of the last requests for each identity. In memory only. */
export class IdentityRecords {
  readonly #records = new LRUCache<string, IdentityRecord>({ max: IDENTITIES_MAX });

  /** The one that was asked for last comes first. */
  entries(): Iterable<readonly [string, IdentityRecord]> {
    return this.#records.entries();
  }

  issued(identity: string, issued: LastIssued): void {
    this.#records.set(identity, { issued, refused: undefined });
  }

  refused(identity: string, refused: LastRefused): void {
    this.#records.set(identity, { issued: this.#records.peek(identity)?.issued, refused });
  }
}
