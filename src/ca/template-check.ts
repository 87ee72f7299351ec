import { MeshError, messageOf } from "../errors.ts";
import { isTrustDomain, parseServiceAccountId } from "../spiffe.ts";
import { type CertificateTemplate, type CheckedTemplate, EMPTY_NAME, keyBitsOf } from "./certificate.ts";

/** RFC 5280 4.1.2.5: the last second that a certificate can name. */
const LAST_MOMENT = Date.parse("9999-12-31T23:59:59Z");

/**
 * Looks at a certificate before it is signed: what an authority has signed cannot be taken back.
 * @param issuerNotAfter when the issuer ends; undefined for a root, which signs itself.
 * @throws MeshError `internal`, with the rule that it breaks: whoever made the template is wrong, not whoever asked.
 */
export function checkTemplate(template: CertificateTemplate, issuerNotAfter = LAST_MOMENT): CheckedTemplate {
  const broken = brokenFrame(template, issuerNotAfter) ?? brokenNames[template.purpose](template);
  if (broken !== undefined)
    throw new MeshError("internal", `a certificate for a ${template.purpose} was not signed: ${broken}`);
  return template as CheckedTemplate;
}

function brokenFrame(template: CertificateTemplate, issuerNotAfter: number): string | undefined {
  const { serial, notBefore, notAfter, publicKey } = template;
  if (serial.length === 0 || serial.length > 20 || (serial.length === 20 && serial[0]! >= 0x80))
    return "RFC 5280 4.1.2.2: its serial number has no bytes, or over 20";
  if (serial.every((byte) => byte === 0)) return "RFC 5280 4.1.2.2: its serial number is not positive";
  // Not "<": what is no number is refused, too.
  if (!(notBefore >= 0 && notBefore < notAfter && notAfter <= LAST_MOMENT))
    return "RFC 5280 4.1.2.5: its life ends before it begins";
  if (notAfter > issuerNotAfter) return "X509-SVID 2: it outlasts its issuer";
  try {
    keyBitsOf(publicKey);
  } catch (thrown) {
    return `RFC 5280 4.1.2.7: its key is no SubjectPublicKeyInfo: ${messageOf(thrown)}`;
  }
  return undefined;
}

const brokenNames: Readonly<
  Record<CertificateTemplate["purpose"], (template: CertificateTemplate) => string | undefined>
> = {
  workload: ({ subject, names: { uris = [], dns = [], ips = [] } }) => {
    const [uri] = uris;
    if (uri === undefined || uris.length + dns.length + ips.length !== 1)
      return "X509-SVID 2: it has not exactly one name, a URI";
    if (subject.length !== EMPTY_NAME.length) return "it has a subject beside its name";
    return whyNoIdentity(uri);
  },
  // X509-SVID 2 allows one URI, and other names beside it.
  "control-plane": (template) => brokenIdentity(template) ?? brokenServerNames(template),
  server: (template) => brokenOwnName(template) ?? brokenServerNames(template),
  client: (template) => {
    const { dns = [], ips = [] } = template.names;
    return brokenOwnName(template) ?? (dns.length + ips.length > 0 ? "a client has one name, a URI" : undefined);
  },
  authority: ({ subject, pathLength = 0, names: { uris = [] } }) => {
    if (subject.length <= EMPTY_NAME.length) return "RFC 5280 4.1.2.6: an authority has a subject";
    if (!(pathLength >= 0 && pathLength <= 127 && Number.isInteger(pathLength)))
      return "RFC 5280 4.2.1.9: its path length is no count";
    return uris.every((uri) => uri.startsWith("spiffe://") && isTrustDomain(uri.slice("spiffe://".length)))
      ? undefined
      : "X509-SVID 3: an authority is named after a trust domain, with no path";
  },
};

function brokenServerNames({ names: { dns = [], ips = [] } }: CertificateTemplate): string | undefined {
  if (dns.length + ips.length === 0) return "a server has DNS names or addresses";
  if (ips.some(({ length }) => length !== 4 && length !== 16)) return "RFC 5280 4.2.1.6: an address has 4 or 16 bytes";
  const odd = dns.find((name) => !/^[\x21-\x7e]{1,253}$/.test(name));
  return odd === undefined ? undefined : `RFC 5280 4.2.1.6: ${JSON.stringify(odd.slice(0, 80))} is no DNS name`;
}

function brokenIdentity({ names: { uris = [] } }: CertificateTemplate): string | undefined {
  const [uri, ...more] = uris;
  return uri === undefined || more.length > 0 ? "X509-SVID 2: it has not exactly one URI" : whyNoIdentity(uri);
}

/** SPIFFE-ID 2, with a path of any form. */
const OWN_NAME = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[a-zA-Z0-9._-]+)+$/;

function brokenOwnName({ subject, names: { uris = [] } }: CertificateTemplate): string | undefined {
  const [uri, ...more] = uris;
  if (subject.length !== EMPTY_NAME.length) return "it has a subject beside its names";
  if (uri === undefined || more.length > 0) return "X509-SVID 2: it has not exactly one URI";
  return OWN_NAME.test(uri) ? undefined : "SPIFFE-ID 2: its name is no SPIFFE ID with a path";
}

function whyNoIdentity(uri: string): string | undefined {
  try {
    parseServiceAccountId(uri);
    return undefined;
  } catch (thrown) {
    return `SPIFFE-ID 2: ${messageOf(thrown)}`;
  }
}
