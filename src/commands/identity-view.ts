import type { IdentityRecord, IdentityRecords, LastIssued, LastRefused } from "../ca/identity-records.ts";
import type { EpochMs } from "../host.ts";
import { timeText } from "./sync-view.ts";

/** A page with more is of use to nobody: the rest can be asked for by name. */
const IDENTITIES_SHOWN_MAX = 100;

/**
 * The identities that were asked for last, those whose name holds `part` alone: who signed for each, what vouched for its
 * bearer, and why the last request for it was refused, if it was.
 */
export function identitiesView(identities: Pick<IdentityRecords, "entries">, part: string, now: EpochMs): unknown {
  let matching = 0;
  const shown: unknown[] = [];
  for (const [identity, record] of identities.entries()) {
    if (!identity.includes(part)) continue;
    matching += 1;
    if (shown.length < IDENTITIES_SHOWN_MAX) shown.push(identityView(identity, record, now));
  }
  return { matching, identities: shown };
}

const identityView = (identity: string, { issued, refused }: IdentityRecord, now: EpochMs): unknown => ({
  identity,
  ...(issued !== undefined && issuedView(issued, now)),
  ...(refused !== undefined && { refused: refusedView(refused) }),
});

const issuedView = ({ at, until, signer, entries, node }: LastIssued, now: EpochMs): object => ({
  signer,
  entries,
  node: node ?? "",
  issued_at: timeText(at),
  until: timeText(until),
  expires_in_seconds: Math.floor((until - now) / 1000),
});

const refusedView = ({ at, why, node }: LastRefused): object => ({ at: timeText(at), why, node: node ?? "" });
