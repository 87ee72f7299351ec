import { X509Certificate } from "node:crypto";
import type { EpochMs } from "../host.ts";
import type { HandshakeRole } from "../trust.ts";
import {
  type CertificateFields,
  EXTENSION,
  pathLength,
  purposes,
  PURPOSE,
  readCertificate,
} from "./certificate-fields.ts";
import { DerReader, oidText, TAG } from "./der.ts";
import { weaknessOf } from "./key-strength.ts";
import type { Revocations } from "./revocations.ts";

/** A certificate, read by us and by OpenSSL. */
export interface OpenedCertificate {
  readonly x509: X509Certificate;
  readonly fields: CertificateFields;
}

/** @throws MeshError or Error with what says that it is no certificate. */
export function openedCertificate(der: Uint8Array): OpenedCertificate {
  return { fields: readCertificate(der), x509: new X509Certificate(der) };
}

/** ztunnel, too, takes no more authorities between a leaf and its root (contract identity.md 2.3). */
const BETWEEN_MAX = 6;
/** What somebody may show: more is no chain. */
const SHOWN_MAX = 16;

/** What we look at: a certificate with another critical extension limits what it is for in a way that we do not see. */
const LOOKED_AT: ReadonlySet<string> = new Set(Object.values(EXTENSION));
const NAME_CONSTRAINTS = "2.5.29.30";

/** SHA-2 with RSA, RSA-PSS and ECDSA. */
const SIGNATURES = /^(1\.2\.840\.113549\.1\.1\.1[0-3]|1\.2\.840\.10045\.4\.3\.[2-4])$/;

const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;

/** The way from a leaf to a root, or why there is none. */
export type Path = { readonly expiresAt: EpochMs; readonly why: undefined } | { readonly why: string };

/** What certificates are to be good for. */
export interface PathCheck {
  readonly role: HandshakeRole;
  readonly now: EpochMs;
  readonly revocations: Revocations;
}

/**
 * Looks for a way from the first of `shown` over any of the others to one of `anchors` (RFC 5280 6.1). OpenSSL verifies
 * each signature; TLS has verified one way already, perhaps to a root that vouches for others.
 */
export function pathTo(
  anchors: readonly OpenedCertificate[],
  shown: readonly OpenedCertificate[],
  check: PathCheck,
): Path {
  const [leaf, ...others] = shown;
  if (leaf === undefined || shown.length > SHOWN_MAX) return { why: `${shown.length} certificates were shown` };
  const why = whyNoLeaf(leaf, check);
  return why === undefined ? climb(leaf, { ...check, anchors, others: new Set(others) }, 0) : { why };
}

/**
 * The same for leaves that an authority has yet to sign.
 * @param shown the authority first.
 * @param following how many more authorities there may be between it and them.
 */
export function pathBelow(
  anchors: readonly OpenedCertificate[],
  shown: readonly [OpenedCertificate, ...OpenedCertificate[]],
  following: number,
  check: PathCheck,
): Path {
  const [own, ...others] = shown;
  const context = { ...check, anchors, others: new Set(others) };
  const why = whyNoIssuer(own, context, following) ?? whyWeak(own);
  return why === undefined ? climb(own, context, following + 1) : { why };
}

interface Climb extends PathCheck {
  readonly anchors: readonly OpenedCertificate[];
  /** Each is tried once, by whichever way it is reached first: cross-signed ones would make ways without number. */
  readonly others: Set<OpenedCertificate>;
}

/** @param between how many authorities are below the issuer that is looked for. */
function climb(below: OpenedCertificate, context: Climb, between: number): Path {
  let why = unanchored(below);
  for (const anchor of context.anchors) {
    if (!issued(anchor, below)) continue;
    const unfit = whyNoIssuer(anchor, context, between);
    if (unfit === undefined)
      return { expiresAt: Math.min(below.fields.notAfter, anchor.fields.notAfter), why: undefined };
    why = unfit;
  }
  if (between >= BETWEEN_MAX) return { why: `over ${BETWEEN_MAX} authorities lead to its root` };
  for (const next of context.others) {
    if (!issued(next, below)) continue;
    context.others.delete(next);
    const unfit = whyNoIssuer(next, context, between) ?? whyWeak(next) ?? context.revocations.whyRevoked(next.x509);
    const path: Path = unfit === undefined ? climb(next, context, between + 1) : { why: unfit };
    if (path.why === undefined) return { ...path, expiresAt: Math.min(path.expiresAt, below.fields.notAfter) };
    why = path.why;
  }
  return { why };
}

function issued(issuer: OpenedCertificate, certificate: OpenedCertificate): boolean {
  return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey);
}

function whyNoLeaf(leaf: OpenedCertificate, { role, now, revocations }: PathCheck): string | undefined {
  // An authority may be named like a workload, but is none (X509-SVID 5.2).
  if (pathLength(leaf.fields).ca) return "it is an authority's";
  if ((keyUsageOf(leaf.fields) & (KEY_CERT_SIGN | CRL_SIGN)) !== 0) return "it may sign certificates or lists";
  const unfit = whyNotNow("it", leaf.fields, now) ?? whyNotFor("it", leaf.fields, role) ?? whyWeak(leaf);
  return unfit ?? revocations.whyRevoked(leaf.x509);
}

function whyNoIssuer(issuer: OpenedCertificate, { role, now }: Climb, between: number): string | undefined {
  const name = nameOf(issuer);
  const { ca, max } = pathLength(issuer.fields);
  if (!ca) return `its issuer ${name} is no authority`;
  if (max !== undefined && max < between) return `${name} allows ${max} authorities below it, and there are ${between}`;
  return whyNotNow(name, issuer.fields, now) ?? whyNotFor(name, issuer.fields, role);
}

function whyNotNow(name: string, { notBefore, notAfter }: CertificateFields, now: EpochMs): string | undefined {
  if (notAfter <= now) return `${name} ended at ${new Date(notAfter).toISOString()}`;
  return notBefore > now ? `${name} begins at ${new Date(notBefore).toISOString()}` : undefined;
}

function whyNotFor(name: string, fields: CertificateFields, role: HandshakeRole): string | undefined {
  const uses = purposes(fields);
  const fits = uses?.some((use) => use === PURPOSE.any || use === PURPOSE[`${role}Auth`]) ?? true;
  if (!fits) return `${name} is not for ${role}s`;
  const odd = [...fields.extensions].find(
    ([id, { critical }]) => id === NAME_CONSTRAINTS || (critical && !LOOKED_AT.has(id)),
  );
  return odd && `${name} has the extension ${odd[0]}, which is not understood here`;
}

function whyWeak(certificate: OpenedCertificate): string | undefined {
  const { fields } = certificate;
  const name = nameOf(certificate);
  const algorithm = oidText(new DerReader(fields.signatureAlgorithms[1]).enter(TAG.sequence).next(TAG.oid).content);
  if (!SIGNATURES.test(algorithm)) return `the signature of ${name} is of the kind ${algorithm}, not SHA-2`;
  const weak = weaknessOf(fields.publicKey);
  return weak && `the key of ${name} is ${weak}`;
}

/** Of a leaf: the first byte of KeyUsage, 0 if it does not say. That an issuer may sign is OpenSSL's to see. */
function keyUsageOf({ extensions }: CertificateFields): number {
  const usage = extensions.get(EXTENSION.keyUsage);
  return usage === undefined ? 0 : (new DerReader(usage.value).next(TAG.bitString).content[1] ?? 0);
}

const oneLine = (name: string | undefined): string => `"${(name ?? "").replace(/\n/g, ", ")}"`;
const nameOf = ({ x509 }: OpenedCertificate): string =>
  (x509.subject as string | undefined) ? oneLine(x509.subject) : "it";

function unanchored(top: OpenedCertificate): string {
  if (top.x509.checkIssued(top.x509)) return `${nameOf(top)} is no root of its trust domain`;
  return `no root of its trust domain issued ${nameOf(top)}, ${oneLine(top.x509.issuer)} did`;
}
