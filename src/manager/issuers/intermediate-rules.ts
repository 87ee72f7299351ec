import { authorityUri, boundedName } from "../../ca/authority-request.ts";
import {
  alternativeNames,
  type CertificateFields,
  EXTENSION,
  pathLength,
  uriNames,
} from "../../ca/certificate-fields.ts";
import { nameText } from "../../ca/csr-names.ts";
import { DerReader, TAG } from "../../ca/der.ts";
import { brokenRule, frame, readWhole, same, USAGE } from "../../ca/lint-rules.ts";
import { type OpenedCertificate, pathBelow } from "../../ca/path.ts";
import { Revocations } from "../../ca/revocations.ts";
import { formatDuration } from "../../duration.ts";
import type { EpochMs } from "../../host.ts";
import { printable } from "../../printable.ts";
import type { IntermediateOrder } from "../issuer.ts";

/** What an issuer gave, and what it is held to. */
export interface Given {
  readonly order: IntermediateOrder;
  /** As of the issuer. */
  readonly title: string;
  /** What to do about an issuer that gives leaves. */
  readonly leafFix: string;
  /** As of the issuer. */
  readonly setsNoPathLength?: boolean | undefined;
  readonly own: OpenedCertificate;
  /** Each the issuer of the one before it, by what the issuer says; the root last. */
  readonly above: readonly [OpenedCertificate, ...OpenedCertificate[]];
  /** What the issuer's roots are, in DER. */
  readonly roots: readonly Uint8Array[];
  readonly now: EpochMs;
}

/** What is wrong, and what to do; undefined if nothing is. */
type IntermediateRule = (given: Given) => string | undefined;

/** Clocks differ, and a certificate may live a little longer than was ordered by ours. */
const LONGER_MS_MAX = 300_000;

const authority: IntermediateRule = ({ own, leafFix }) =>
  pathLength(own.fields).ca ? undefined : `it is a leaf (CA:FALSE), which can sign for nobody; ${leafFix}`;

const key: IntermediateRule = ({ own, order }) =>
  same(own.fields.publicKey, order.publicKey)
    ? undefined
    : "its key is another than that of the request; let the issuer sign the request that it is given";

/** What every certificate is held to, ours too: version, serial number, algorithms, times. */
const wellFormed: IntermediateRule = ({ own, above: [issuer] }) => {
  const { signatureAlgorithms, extensions } = own.fields;
  const context = {
    issuer: issuer.fields.subject,
    issuerKeyId: Buffer.alloc(0),
    // Which algorithms may be is seen on its way to the root.
    signature: { digest: "sha256" as const, identifier: Buffer.from(signatureAlgorithms[0]) },
    issuerKey: undefined,
  };
  const broken = brokenRule(own.x509.raw, frame, context);
  if (broken !== undefined) return broken;
  const [id] = [...extensions].find(([, { saysFalse }]) => saysFalse) ?? [];
  return id && `X.690 11.5: its extension ${id} says that it is not critical`;
};

const names: IntermediateRule = ({ own, order: { trustDomain } }) => {
  const found = alternativeNames(own.fields).map(nameText);
  const uri = `URI:${authorityUri(trustDomain)}`;
  if (found.length === 1 && found[0] === uri) return undefined;
  const shown = printable(found.join(", ") || "none", 200);
  return `its alternative names are ${shown}, where ${uri} alone was ordered; let the issuer write no others`;
};

const subject: IntermediateRule = ({ own, order: { commonName } }) => {
  if (same(own.fields.subject, own.fields.issuer))
    return "its subject is its issuer's, so it passes for a root; let the issuer take the common name of the order";
  const found = commonNames(own.fields);
  if (found.length === 1 && found[0] === boundedName(commonName)) return undefined;
  const shown = printable(found.join(", ") || "none", 100);
  return `its common name is ${shown}, not ${printable(commonName, 100)}; let the issuer take that of the order`;
};

const usage: IntermediateRule = ({ own }) => {
  const found = own.fields.extensions.get(EXTENSION.keyUsage);
  const first = found === undefined ? 0 : (readWhole(found.value, TAG.bitString)[1] ?? 0);
  if ((first & USAGE.keyCertSign) !== 0) return undefined;
  return 'it may not sign certificates; let the issuer give it the key usage keyCertSign ("cert sign")';
};

/** How many authorities may follow is what all on the way allow, not what it says itself. */
const room: IntermediateRule = ({ own, above, order, setsNoPathLength = false }) => {
  const allowed = [own, ...above].map(({ fields }, at) => (pathLength(fields).max ?? Infinity) - at);
  const most = Math.min(...allowed);
  const ordered = order.pathLength;
  if (most === ordered || (most > ordered && setsNoPathLength)) return undefined;
  if (most > ordered)
    return `${most === Infinity ? "any number of" : most} authorities may follow it, where ${ordered} may by the order; let the issuer set the path length`;
  const at = allowed.indexOf(most);
  const who = at === 0 ? "it" : nameOf([own, ...above][at]!);
  return `${who} leaves no room for the ${ordered} authorities that may follow by the order (path length ${most + at}); use an authority with a longer path, or lower the policy's path length`;
};

const life: IntermediateRule = ({ own, title, order, now }) => {
  const { notBefore, notAfter } = own.fields;
  const clocks = `compare the clock of ${title} with the trust manager's, which shows ${moment(now)}`;
  if (notBefore > now)
    return `it begins only at ${moment(notBefore)}, in ${formatDuration(notBefore - now)}: one clock is wrong; ${clocks}`;
  if (notAfter <= now)
    return `it ended at ${moment(notAfter)}, before it came: its issuer is at its end, or one clock is wrong; ${clocks}`;
  if (notAfter > now + order.lifetimeMs + LONGER_MS_MAX)
    return `it lives until ${moment(notAfter)}, where ${formatDuration(order.lifetimeMs)} were ordered; let the issuer obey the duration, or ${clocks}`;
  // Whoever renews in the last part of a life would ask again at once, without end.
  if (notBefore + notAfter <= 2 * now)
    return `over half of its life, from ${moment(notBefore)} to ${moment(notAfter)}, was over when it came; renew its issuer, or ${clocks}`;
  return undefined;
};

const outlasts: IntermediateRule = ({ own, above }) => {
  const first = above.find(({ fields }) => fields.notAfter < own.fields.notAfter);
  if (first === undefined) return undefined;
  const ends = `it outlasts ${nameOf(first)}, which ends at ${moment(first.fields.notAfter)}`;
  return `${ends}; renew that authority, or order intermediates of a shorter life`;
};

const links: IntermediateRule = ({ own, above }) => {
  const chain = [own, ...above];
  const twice = chain.find((one, at) => chain.findIndex(({ x509 }) => same(x509.raw, one.x509.raw)) < at);
  if (twice !== undefined) return `${nameOf(twice)} is in its chain twice; let the issuer give each certificate once`;
  const at = above.findIndex((issuer, below) => !issued(issuer, chain[below]!));
  if (at < 0) return undefined;
  const fix = "let the issuer give each certificate before its own issuer, and the root that they lead to";
  return `${nameOf(above[at]!)} did not issue ${nameOf(chain[at]!)}, "${oneLine(chain[at]!.x509.issuer)}" did; ${fix}`;
};

const root: IntermediateRule = ({ above, roots }) => {
  const last = above.at(-1)!;
  if (!issued(last, last)) return `${nameOf(last)} is no root, as it did not sign itself; let the issuer give its root`;
  return roots.some((one) => same(one, last.x509.raw))
    ? undefined
    : `it leads to ${nameOf(last)}, which is none of the issuer's roots; ask again, as it may have changed just now`;
};

/** What a cluster refuses in its chain, as it would verify nobody of its own. */
const foreign: IntermediateRule = ({ above, order: { trustDomain } }) => {
  for (const one of above.slice(0, -1)) {
    const uri = uriNames(one.fields).find((name) => name.startsWith("spiffe://") && name.split("/")[2] !== trustDomain);
    if (uri !== undefined)
      return `its issuer ${nameOf(one)} is named ${printable(uri, 100)}, which is not of trust domain ${trustDomain}; use an authority of that one, or one without such a name`;
  }
  return undefined;
};

/** As those who meet a leaf below it will look at it; without its key no leaf can be signed to try. */
const path: IntermediateRule = ({ own, above, order, now }) => {
  const anchor = above.at(-1)!;
  for (const role of ["server", "client"] as const) {
    const check = { role, now, revocations: NOTHING_REVOKED };
    const { why } = pathBelow([anchor], [own, ...above.slice(0, -1)], order.pathLength, check);
    if (why !== undefined) return `nobody would take what it signs: ${why}; have that authority issued otherwise`;
  }
  return undefined;
};

const NOTHING_REVOKED = new Revocations([]);

/** In this order: what says best what is wrong comes first. */
export const INTERMEDIATE_RULES: readonly IntermediateRule[] = [
  authority,
  key,
  links,
  root,
  wellFormed,
  names,
  subject,
  usage,
  room,
  life,
  outlasts,
  foreign,
  path,
];

function commonNames({ subject: name }: CertificateFields): readonly string[] {
  const found: string[] = [];
  const parts = new DerReader(name).enter(TAG.sequence);
  while (!parts.atEnd) {
    const part = parts.enter(TAG.set);
    while (!part.atEnd) {
      const attribute = part.enter(TAG.sequence);
      if (same(attribute.next(TAG.oid).whole, COMMON_NAME))
        found.push(Buffer.from(attribute.next().content).toString());
    }
  }
  return found;
}

/** 2.5.4.3 */
const COMMON_NAME = Buffer.from("0603550403", "hex");

const issued = (issuer: OpenedCertificate, certificate: OpenedCertificate): boolean =>
  certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey);
const moment = (time: EpochMs): string => new Date(time).toISOString();
/** Node gives undefined for an empty name. */
const oneLine = (name: string | undefined): string => printable((name ?? "").replace(/\n/g, ", "), 200);
const nameOf = ({ x509 }: OpenedCertificate): string => `"${oneLine(x509.subject)}"`;
