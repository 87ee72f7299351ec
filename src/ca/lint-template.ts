import { MeshError } from "../errors.ts";
import { isTrustDomain } from "../spiffe.ts";
import type { CheckedTemplate, OwnPurpose, UnlintedCertificate } from "./certificate.ts";
import { alternativeNames, type CertificateFields, EXTENSION, NAME_TAG, pathLength } from "./certificate-fields.ts";
import { der, TAG } from "./der.ts";
import {
  brokenRule,
  extensionRules,
  frame,
  type IssuerContext,
  issuerRules,
  leafUse,
  leafUseAs,
  ownKey,
  readWhole,
  type Rule,
  rule,
  same,
  USAGE,
} from "./lint-rules.ts";

/** What a certificate was to be, and who signed it. */
interface TemplateContext extends Required<IssuerContext> {
  readonly template: CheckedTemplate;
}

type TemplateRule = Rule<TemplateContext>;

/**
 * The last look at a certificate that we made for ourselves: a control plane's own, or an authority's. It is read again
 * from its bytes and held to its template and to the rules of its kind; its signature is verified each time.
 * @throws MeshError `internal`, with the rule that it breaks.
 */
export function lintTemplate(
  bytes: UnlintedCertificate,
  template: CheckedTemplate & { readonly purpose: OwnPurpose },
  issuer: Required<IssuerContext>,
): Uint8Array {
  const { purpose } = template;
  const broken = brokenRule(bytes, RULES[purpose], { ...issuer, template });
  if (broken === undefined) return bytes;
  throw new MeshError("internal", `a certificate for a ${purpose} was not let out: ${broken}`);
}

const seconds = (ms: number): number => Math.floor(ms / 1000);

const asMade: readonly TemplateRule[] = [
  rule("its serial number is another", ({ serial }, { template }) => hex(serial) === hex(template.serial)),
  rule("its key is another", ({ publicKey }, { template }) => same(publicKey, template.publicKey)),
  rule("its subject is another", ({ subject }, { template }) => same(subject, template.subject)),
  rule(
    "its life is another",
    ({ notBefore, notAfter }, { template }) =>
      seconds(notBefore) === seconds(template.notBefore) && seconds(notAfter) === seconds(template.notAfter),
  ),
  rule("its names are others", (fields, { template: { names } }) => {
    const wanted = [
      ...(names.uris ?? []).map((uri) => `${NAME_TAG.uri} ${hex(Buffer.from(uri, "latin1"))}`),
      ...(names.dns ?? []).map((name) => `${NAME_TAG.dns} ${hex(Buffer.from(name, "latin1"))}`),
      ...(names.ips ?? []).map((ip) => `${NAME_TAG.ip} ${hex(ip)}`),
    ];
    const found = alternativeNames(fields).map(({ tag, content }) => `${tag} ${hex(content)}`);
    return found.length === wanted.length && wanted.every((name, at) => name === found[at]);
  }),
];

/** Without leading zeros, which an INTEGER may need and a template may have. */
const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("hex")
    .replace(/^(00)+(?=..)/, "");

const namedLeaf: readonly TemplateRule[] = [
  ownKey,
  rule("it has a subject beside its names", ({ subject }) => subject.length === 2),
  rule(
    "RFC 5280 4.2.1.6: its names are not critical, though it has no subject",
    ({ extensions }) => extensions.get(EXTENSION.subjectAltName)?.critical === true,
  ),
  rule("X509-SVID 2: it has not exactly one URI name", (fields) => urisOf(fields).length === 1),
];

const authority: readonly TemplateRule[] = [
  rule("RFC 5280 4.1.2.6: it has no subject", ({ subject }) => subject.length > 2),
  rule("RFC 5280 4.2.1.9: it does not say, as critical, that it is an authority", (fields) => {
    return fields.extensions.get(EXTENSION.basicConstraints)?.critical === true && pathLength(fields).ca;
  }),
  rule("RFC 5280 4.2.1.9: its path length is another", (fields, { template }) => {
    return pathLength(fields).max === template.pathLength;
  }),
  rule("X509-SVID 4.3: its key usage is not, as critical, keyCertSign and cRLSign alone", ({ extensions }) => {
    const usage = extensions.get(EXTENSION.keyUsage);
    if (usage?.critical !== true) return false;
    const bits = readWhole(usage.value, TAG.bitString);
    return bits.length === 2 && bits[1] === (USAGE.keyCertSign | USAGE.cRLSign);
  }),
  rule("some verifiers take its purposes for those of all below it", ({ extensions }) => {
    return !extensions.has(EXTENSION.extendedKeyUsage);
  }),
  rule("RFC 5280 4.2.1.2: it does not name its own key", ({ extensions }, { template: { keyId } }) => {
    const own = extensions.get(EXTENSION.subjectKeyId);
    // A root that is renewed keeps the identifier that others know it by.
    return own?.critical === false && (keyId === undefined || same(own.value, der(TAG.octetString, keyId)));
  }),
  (fields, context) => (context.template.keyId === undefined ? ownKey(fields, context) : undefined),
  rule("X509-SVID 3: it is named otherwise than after a trust domain", (fields) => {
    return urisOf(fields).every((uri) => uri.startsWith("spiffe://") && isTrustDomain(uri.slice("spiffe://".length)));
  }),
];

const urisOf = (fields: CertificateFields): readonly string[] =>
  alternativeNames(fields).flatMap(({ tag, content }) =>
    tag === NAME_TAG.uri ? [Buffer.from(content).toString("latin1")] : [],
  );

const COMMON: readonly TemplateRule[] = [...frame, ...asMade, ...extensionRules, ...issuerRules];
const RULES = {
  "control-plane": [...COMMON, ...leafUse, ...namedLeaf],
  server: [...COMMON, ...leafUseAs("server"), ...namedLeaf],
  client: [...COMMON, ...leafUseAs("client"), ...namedLeaf],
  authority: [...COMMON, ...authority],
} as const;
