import type { X509Certificate } from "node:crypto";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { pathLength, readCertificate } from "./certificate-fields.ts";
import { isSignedBy, readRevocationList, type RevocationList, type UnverifiedList } from "./crl.ts";
import { wholePemBlocks } from "../pem.ts";

/** Beside the other files, in each of their layouts (contract identity.md 3.4). */
export const CRL_FILE = "ca-crl.pem";
/** As much as a ConfigMap can hold: lists are handed on in one. */
const CRL_BYTES_MAX = 1_000_000;
/** Clocks differ by this much (contract identity.md 6, number 7). */
const SKEW_MS = 120_000;

/**
 * The lists of a text, several one after the other, each signed by an authority of ours. One that is overdue counts: what
 * it revokes stays revoked.
 * @param authorities our chain and our roots.
 * @throws MeshError `invalid`, with what is wrong and what to do.
 */
export function checkedLists(
  text: string,
  authorities: readonly X509Certificate[],
  now: EpochMs,
): readonly RevocationList[] {
  if (text.length > CRL_BYTES_MAX)
    throw new MeshError(
      "invalid",
      `it has ${text.length} bytes, and ${CRL_BYTES_MAX} fit; leave out what ended, and issue shorter lives`,
    );
  const blocks = wholePemBlocks(text, "X509 CRL");
  if (blocks.length === 0)
    throw new MeshError("invalid", "it holds no X509 CRL in PEM; put a list there, or remove it");
  return blocks.map((bytes, at) => {
    try {
      return checkedList(readRevocationList(bytes), authorities, now);
    } catch (thrown) {
      throw new MeshError("invalid", `list ${at + 1}: ${messageOf(thrown)}`, {}, { cause: thrown });
    }
  });
}

function checkedList(list: UnverifiedList, authorities: readonly X509Certificate[], now: EpochMs): RevocationList {
  const signer = authorities.find((one) => pathLength(readCertificate(one.raw)).ca && isSignedBy(list, one));
  if (signer === undefined) throw new MeshError("invalid", UNKNOWN_SIGNER);
  if (list.thisUpdate > now + SKEW_MS) {
    const from = new Date(list.thisUpdate).toISOString();
    throw new MeshError("invalid", `it is from the future, ${from}; check the clocks here and where it was made`);
  }
  const { algorithm: _algorithm, signed: _signed, signature: _signature, ...verified } = list;
  return { ...verified, issuerName: signer.subject.replace(/\n/g, ", ") };
}

const UNKNOWN_SIGNER =
  "no authority of our chain or our roots that may sign lists (key usage cRLSign) has signed it; " +
  "put the list of one of them there, or remove it";

/**
 * Who could put an older list in the place of a newer one could undo what was revoked since.
 * @throws MeshError `conflict` if a list is older than the one of its issuer before.
 */
export function refuseOlder(before: readonly RevocationList[], next: readonly RevocationList[]): void {
  for (const list of next) {
    const held = before.filter(({ issuer }) => Buffer.from(issuer).equals(list.issuer));
    const newer = held.find(
      (other) => isOlder(list, other) && !held.some((one) => Buffer.from(one.der).equals(list.der)),
    );
    if (newer === undefined) continue;
    throw new MeshError(
      "conflict",
      `${CRL_FILE}: the list of ${new Date(list.thisUpdate).toISOString()} is older than the one in force, of ` +
        `${new Date(newer.thisUpdate).toISOString()}; put a newer one there, or remove ${CRL_FILE} before`,
    );
  }
}

function isOlder(one: RevocationList, other: RevocationList): boolean {
  if (one.number !== undefined && other.number !== undefined && one.number !== other.number)
    return one.number < other.number;
  return one.thisUpdate < other.thisUpdate;
}
