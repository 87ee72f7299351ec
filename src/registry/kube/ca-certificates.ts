import { X509Certificate } from "node:crypto";
import { isTrustDomain } from "../../spiffe.ts";
import { describe, FieldError, isAbsent, listOf, textOf, textsOf } from "./fields.ts";
import { onlyFieldsOf } from "./service-scope.ts";

/** Roots besides our own authority's, as the mesh config names them. */
export interface CaCertificate {
  /** In DER; empty if they are to be had at `spiffeBundleUrl`. */
  readonly roots: readonly Uint8Array[];
  /** Begins with https://; what is there is read again and again. */
  readonly spiffeBundleUrl: string | undefined;
  /** Whose identities they may vouch for; empty if that is not said. */
  readonly trustDomains: readonly string[];
  /** Signers of Kubernetes that use them; empty if they are not for one. */
  readonly certSigners: readonly string[];
}

const ITEMS_MAX = 100;
const PEM_CHARS_MAX = 256 * 1024;
const CERTIFICATES_MAX = 100;
const [BEGIN, END] = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"];

/** `caCertificates` of the mesh config. @throws FieldError */
export function caCertificatesOf(value: unknown, field: string): readonly CaCertificate[] {
  return listOf(value, field, ITEMS_MAX).map((item, at) => {
    const path = `${field}[${at}]`;
    const fields = onlyFieldsOf(item, path, ["pem", "spiffeBundleUrl", "trustDomains", "certSigners"]);
    const { pem, spiffeBundleUrl: url, trustDomains, certSigners } = fields;
    if (isAbsent(pem) === isAbsent(url))
      throw new FieldError(path, "must have one of pem and spiffeBundleUrl, and not both");
    return {
      roots: isAbsent(pem) ? [] : rootsOf(textOf(pem, `${path}.pem`, PEM_CHARS_MAX), `${path}.pem`),
      spiffeBundleUrl: isAbsent(url) ? undefined : urlOf(url, `${path}.spiffeBundleUrl`),
      trustDomains: trustDomainsOf(trustDomains, `${path}.trustDomains`),
      certSigners: textsOf(certSigners, `${path}.certSigners`),
    };
  });
}

/**
 * Why nobody trusts these roots; undefined if the trust domains do that they name. Whom a root may vouch for is never
 * guessed (contract identity.md 1.6, and 6 number 12): not even our own trust domain's.
 */
export function whyTrustedByNobody({ trustDomains, certSigners }: CaCertificate): string | undefined {
  if (certSigners.length > 0)
    return "is trusted by nobody: it is for signers of Kubernetes, which are not asked here; remove certSigners";
  if (trustDomains.length > 0) return undefined;
  return "is trusted by nobody, as it does not say for whom its roots vouch: name the trust domains in trustDomains";
}

/** @throws FieldError naming the first that is none. */
export function trustDomainsOf(value: unknown, field: string): readonly string[] {
  return textsOf(value, field).map((text, at) => trustDomainOf(text, `${field}[${at}]`));
}

/** @throws FieldError */
export function trustDomainOf(value: unknown, field: string): string {
  const text = textOf(value, field);
  if (isTrustDomain(text)) return text;
  throw new FieldError(field, `is ${describe(text)}; use 1 to 255 of a-z, 0-9, '.', '-' and '_', as cluster.local`);
}

/** Authorities in PEM, in DER; at most 100. @throws FieldError for what is none, or holds none or a private key. */
export function rootsOf(pem: string, field: string): readonly Uint8Array[] {
  const roots: Uint8Array[] = [];
  let rest = pem;
  for (let begin = rest.indexOf(BEGIN); begin >= 0; begin = rest.indexOf(BEGIN)) {
    const end = rest.indexOf(END, begin);
    const which = `certificate ${roots.length + 1}`;
    if (end < 0) throw new FieldError(field, `ends in the middle of ${which}; give all of it`);
    if (roots.length === CERTIFICATES_MAX)
      throw new FieldError(field, `holds more than ${CERTIFICATES_MAX} certificates; split it`);
    roots.push(rootOf(rest.slice(begin, end + END.length), field, which));
    rest = rest.slice(0, begin) + rest.slice(end + END.length);
  }
  if (roots.length === 0) throw new FieldError(field, `holds no certificate; it must begin with ${BEGIN}`);
  if (rest.includes("PRIVATE KEY"))
    throw new FieldError(field, "holds a private key. Take it out and make another: many can read what is here");
  return roots;
}

function rootOf(pem: string, field: string, which: string): Uint8Array {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    throw new FieldError(field, `has a ${which} that cannot be read; copy it again, in PEM`);
  }
  if (!certificate.ca) throw new FieldError(field, `has a ${which} that is no authority's (CA:TRUE); give the root`);
  return certificate.raw;
}

function urlOf(value: unknown, field: string): string {
  const text = textOf(value, field, 2048);
  const right = "must be a URL that begins with https://";
  if (!URL.canParse(text) || new URL(text).protocol !== "https:")
    throw new FieldError(field, `${right}, not ${describe(text)}`);
  return text;
}
