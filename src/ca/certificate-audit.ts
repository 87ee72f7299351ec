import type { X509Certificate } from "node:crypto";
import type { FoundCertificate } from "./authority-folder.ts";
import { EXTENSION, pathLength, readCertificate, uriNames } from "./certificate-fields.ts";
import { contextTag, DerReader, oidText, TAG } from "./der.ts";
import { keyTypeOf } from "./key-type.ts";

const NAME_CONSTRAINTS = "2.5.29.30";
/** SHA-2 with RSA, RSA-PSS and ECDSA. */
const SIGNATURES: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.113549.1.1.10",
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
]);

/** What is wrong with a certificate; a sentence that begins with its name, and what to do. */
export type Doubt = readonly [reason: string, fix: string];

/** What some verifier refuses, though Causeway could sign with it. */
export function brokenFor({ certificate, role }: FoundCertificate): readonly Doubt[] {
  const fields = readCertificate(certificate.raw);
  const key = keyTypeOf(certificate.publicKey);
  const algorithm = oidText(new DerReader(fields.signatureAlgorithms[0]).enter(TAG.sequence).next(TAG.oid).content);
  const strange = [...fields.extensions].find(([id, { critical }]) => critical && !KNOWN.has(id))?.[0];
  const broken: Doubt[] = [];
  if (!strongEnough(key))
    broken.push([`has a key of ${key}, which verifiers refuse`, "use P-256, P-384, or RSA from 2048 bits"]);
  // Nobody verifies what a root says of itself.
  if (role !== "root" && !SIGNATURES.has(algorithm))
    broken.push([`is signed with ${algorithm}, which verifiers refuse`, "have it issued again, signed with SHA-256"]);
  if (constrainsUris(fields.extensions.get(NAME_CONSTRAINTS)?.value))
    broken.push([
      "permits only some URIs, and ztunnel then refuses every identity below it",
      "issue it without name constraints",
    ]);
  else if (strange !== undefined)
    broken.push([`has the critical extension ${strange}, which verifiers need not know`, "issue it without"]);
  return broken;
}

const KNOWN: ReadonlySet<string> = new Set([...Object.values(EXTENSION), NAME_CONSTRAINTS]);

function strongEnough(key: string): boolean {
  const [kind, size] = key.split("-");
  return kind === "rsa" ? Number(size) >= 2048 && Number(size) <= 8192 : key === "ec-p256" || key === "ec-p384";
}

/** If a subtree is of URIs (RFC 5280 4.2.1.10). */
function constrainsUris(constraints: Uint8Array | undefined): boolean {
  if (constraints === undefined) return false;
  const trees = new DerReader(constraints).enter(TAG.sequence);
  while (!trees.atEnd) {
    const subtrees = new DerReader(trees.next().content);
    while (!subtrees.atEnd) if (subtrees.enter(TAG.sequence).next().tag === contextTag(6, false)) return true;
  }
  return false;
}

/** What works, and should be otherwise. */
export function doubtsOn({ certificate, role }: FoundCertificate): readonly Doubt[] {
  const fields = readCertificate(certificate.raw);
  const doubts: Doubt[] = [];
  if (!fields.extensions.has(EXTENSION.keyUsage))
    doubts.push(["names no key usage, which RFC 5280 asks of an authority", "issue it with keyCertSign and cRLSign"]);
  if (fields.extensions.get(EXTENSION.basicConstraints)?.critical === false)
    doubts.push(["is an authority in an extension that is not critical", "issue it with critical basic constraints"]);
  if (role === "authority" && pathLength(fields).max === undefined && !selfIssued(certificate))
    doubts.push(["may make further authorities", "issue it with path length 0, unless one must follow it"]);
  if (role === "root" && !selfIssued(certificate))
    doubts.push([
      "is trusted, and not self-signed: OpenSSL and Envoy look for its issuer",
      "put the root itself there",
    ]);
  const named = uriNames(fields).find((uri) => /^spiffe:\/\/[^/]*\/./.test(uri));
  if (named !== undefined)
    doubts.push([`is named ${named}, as a workload is`, `name it ${named.split("/").slice(0, 3).join("/")}`]);
  return doubts;
}

export const selfIssued = (certificate: X509Certificate): boolean =>
  certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
