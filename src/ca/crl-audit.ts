import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { AuthorityFolder, FoundCertificate } from "./authority-folder.ts";
import { readCertificate } from "./certificate-fields.ts";
import { CRL_FILE, checkedLists } from "./crl-check.ts";
import type { RevocationList } from "./crl.ts";
import type { Finding } from "./finding.ts";
import { Revocations } from "./revocations.ts";

/** What Causeway, or istiod without a word, makes of the revocation lists of a folder (contract identity.md 3.4). */
export function auditLists(
  { folder, lists: text }: AuthorityFolder,
  certificates: readonly FoundCertificate[],
  now: EpochMs,
): readonly Finding[] {
  if (text === undefined) return [];
  const file = join(folder, CRL_FILE);
  try {
    const known = certificates.map(({ certificate }) => certificate);
    const lists = checkedLists(text, known, now);
    return [
      ...revoked(lists, certificates, file),
      ...overdue(lists, file, now),
      ...unlisted(lists, certificates, file),
    ];
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    const at = thrown.message.lastIndexOf("; ");
    const [reason, fix] =
      at < 0 ? [thrown.message, "make it anew"] : [thrown.message.slice(0, at), thrown.message.slice(at + 2)];
    return [{ severity: "error", file, reason, fix }];
  }
}

/** Whoever has the list refuses what such a one signs, and signed. */
function revoked(
  lists: readonly RevocationList[],
  certificates: readonly FoundCertificate[],
  file: string,
): readonly Finding[] {
  const revocations = new Revocations(lists);
  return certificates.flatMap(({ certificate }) => {
    const reason = revocations.whyRevoked(certificate);
    return reason === undefined
      ? []
      : [{ severity: "error", file, reason, fix: "put another authority there" } as const];
  });
}

const overdue = (lists: readonly RevocationList[], file: string, now: EpochMs): readonly Finding[] =>
  lists.flatMap(({ issuerName, nextUpdate }) => {
    if (nextUpdate === undefined || nextUpdate > now) return [];
    const reason = `a newer list of "${issuerName}" was due at ${new Date(nextUpdate).toISOString()}`;
    return [{ severity: "warning", file, reason, fix: "put it there; until then this one stays in force" } as const];
  });

function unlisted(
  lists: readonly RevocationList[],
  certificates: readonly FoundCertificate[],
  file: string,
): readonly Finding[] {
  const listing = new Set(lists.map(({ issuer }) => Buffer.from(issuer).toString("base64")));
  return certificates.flatMap(({ certificate }) => {
    if (listing.has(Buffer.from(readCertificate(certificate.raw).subject).toString("base64"))) return [];
    const reason = `it has no list of "${certificate.subject.replace(/\n/g, ", ")}", and istiod then loads nothing of the folder`;
    return [
      { severity: "warning", file, reason, fix: "add an empty one of it, unless only Causeway reads this" } as const,
    ];
  });
}
