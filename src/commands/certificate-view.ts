import { X509Certificate } from "node:crypto";
import type { IssuanceLog, Refusal } from "../ca/issuance-log.ts";
import { fingerprintOf } from "../ca/issued-list.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { RevocationList } from "../ca/crl.ts";
import type { SignerDescription, TrustBundle } from "../ca/signer.ts";
import type { EpochMs } from "../host.ts";
import { spiffeIdsOf, subjectOf } from "./ca-description.ts";
import { identitiesView } from "./identity-view.ts";
import { timeText } from "./sync-view.ts";

/** What there is to say of certificates. */
export interface CertificatesViewed {
  readonly issuances: Pick<IssuanceLog, "issuedCount" | "refusedCounts" | "lastRefusals" | "identities">;
  /** Undefined until there is an authority. */
  signer(): SignerDescription | undefined;
  /** What is trusted, for each trust domain. */
  trustBundles(): readonly TrustBundle[];
  /** Those in force. */
  revocations(): readonly RevocationList[];
}

/**
 * Who signs, what verifies it and until when, what was revoked, and what was issued and refused since the start; for
 * `?identity=` only what became of the identities whose name holds that.
 */
export function certificateView(viewed: CertificatesViewed, now: EpochMs, query = new URLSearchParams()): unknown {
  const part = query.get("identity");
  if (part !== null) return identitiesView(viewed.issuances.identities, part, now);
  const { issuances, signer, trustBundles, revocations } = viewed;
  const trusted = trustBundles().map(({ trustDomain, roots }) => [trustDomain, roots] as const);
  const { issuedCount, refusedCounts, lastRefusals } = issuances;
  return {
    signer: signerView(signer(), now),
    trusted: Object.fromEntries(trusted.map(([name, roots]) => [name, roots.map((root) => oneCertificate(root, now))])),
    revocation_lists: revocations().map((list) => listView(list, now)),
    issued: issuedCount,
    refused: Object.fromEntries(refusedCounts),
    last_refusals: lastRefusals.map(refusalView).reverse(),
    last_identities: identitiesView(issuances.identities, "", now),
  };
}

function signerView(described: SignerDescription | undefined, now: EpochMs): unknown {
  if (described === undefined) return undefined;
  const { kind, key, trustDomain, notAfter, chain, roots } = described;
  return {
    kind,
    key,
    trust_domain: trustDomain,
    ...(notAfter !== undefined && {
      expires_at: timeText(notAfter),
      expires_in_seconds: Math.floor((notAfter - now) / 1000),
    }),
    chain: chain.map((bytes) => oneCertificate(bytes, now)),
    roots: roots.map((bytes) => oneCertificate(bytes, now)),
  };
}

function oneCertificate(bytes: Uint8Array, now: EpochMs): unknown {
  const certificate = new X509Certificate(bytes);
  const { notBefore, notAfter } = readCertificate(bytes);
  return {
    subject: subjectOf(certificate),
    issuer: certificate.issuer.replace(/\n/g, ", "),
    spiffe_id: spiffeIdsOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
    sha256: fingerprintOf(certificate.raw),
    not_before: timeText(notBefore),
    not_after: timeText(notAfter),
    expires_in_seconds: Math.floor((notAfter - now) / 1000),
    pem: certificate.toString(),
  };
}

function listView({ issuerName, number, thisUpdate, nextUpdate, revoked }: RevocationList, now: EpochMs): unknown {
  return {
    issuer: issuerName,
    number: number?.toString(),
    revoked: revoked.size,
    this_update: timeText(thisUpdate),
    age_seconds: Math.floor((now - thisUpdate) / 1000),
    ...(nextUpdate !== undefined && { next_update: timeText(nextUpdate), overdue: nextUpdate <= now }),
  };
}

const refusalView = ({ at, fields }: Refusal): unknown => ({ at: timeText(at), ...fields });
