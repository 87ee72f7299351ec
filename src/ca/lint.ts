import type { KeyObject } from "node:crypto";
import { MeshError, messageOf } from "../errors.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";
import type { UnlintedCertificate } from "./certificate.ts";
import { alternativeNames, EXTENSION, NAME_TAG } from "./certificate-fields.ts";
import {
  brokenRule,
  extensionRules,
  frame,
  type IssuerContext,
  issuerRules,
  leafUse,
  ownKey,
  type Rule,
  rule,
  same,
} from "./lint-rules.ts";
import type { LintedCertificate, SigningRequest } from "./signer.ts";

/** A leaf may say that it began this long ago (contract ztunnel.md 4.5). */
export const BACKDATE_MS_MAX = 120_000;

/** What a certificate must agree with, besides the standards. */
export interface LintContext extends IssuerContext {
  readonly request: SigningRequest;
  /** The one that the issuer signs for. */
  readonly trustDomain: string;
  readonly issuerNotAfter: number;
  readonly now: number;
}

type SvidRule = Rule<LintContext>;

/**
 * The last look before a certificate leaves: it is read again from its bytes and held to the request, to X509-SVID 2 to
 * 5 and to RFC 5280 4. Whatever made it, no other identity, no authority and no longer life gets out.
 * @throws MeshError `internal`, with the rule that it breaks.
 */
export function lintSvid(bytes: UnlintedCertificate, context: LintContext): LintedCertificate {
  return linted(bytes, RULES, context);
}

/** SPIRE back-dates its own by this much (contract identity.md 2.1): clocks that differ by less are no fault. */
const SKEW_MS = 10_000;

/**
 * The same look at what somebody else made, who may give it a subject, a shorter life, a key identifier of another kind
 * and uses for key agreement. Its signature is verified each time.
 * @throws MeshError `internal`, with the rule that it breaks.
 */
export function lintForeignSvid(
  bytes: Uint8Array,
  context: LintContext & { readonly issuerKey: KeyObject },
): LintedCertificate {
  return linted(bytes, FOREIGN_RULES, context);
}

function linted(bytes: Uint8Array, rules: readonly SvidRule[], context: LintContext): LintedCertificate {
  const broken = brokenRule(bytes, rules, context);
  if (broken === undefined) return bytes as LintedCertificate;
  const name = formatServiceAccountId(context.request.identity);
  throw new MeshError("internal", `a certificate for ${name} was not let out: ${broken}`);
}

const asked: SvidRule = rule("its key is not the one that was asked for", ({ publicKey }, { request }) =>
  same(publicKey, request.publicKey),
);

const life: readonly SvidRule[] = [
  rule("its issuer has ended", (_, { issuerNotAfter, now }) => issuerNotAfter > now),
  rule("RFC 5280 4.1.2.5: its life ends before it begins", ({ notBefore, notAfter }) => notBefore < notAfter),
  rule("its life is over", ({ notAfter }, { now }) => notAfter > now),
  rule("its life has not begun; compare its issuer's clock with ours", ({ notBefore }, { now }) => notBefore <= now),
  // A certificate counts seconds.
  rule(
    "its life began over 120 s ago; compare its issuer's clock with ours",
    ({ notBefore }, { now }) => notBefore > now - BACKDATE_MS_MAX - 1000,
  ),
  rule("X509-SVID 2: it outlasts its issuer", ({ notAfter }, { issuerNotAfter }) => notAfter <= issuerNotAfter),
];

const endsWithin = (skewMs: number): SvidRule =>
  rule(
    "it lives longer than was asked for",
    ({ notAfter }, { now, request }) => notAfter <= now + request.ttlSeconds * 1000 + skewMs,
  );

const name: SvidRule = (fields, { request, trustDomain }) => {
  const names = alternativeNames(fields);
  const [only] = names;
  if (only === undefined || names.length > 1 || only.tag !== NAME_TAG.uri)
    return "X509-SVID 2: it has not exactly one URI name, and no other";
  const uri = Buffer.from(only.content).toString("latin1");
  if (uri !== formatServiceAccountId(request.identity)) return "its name is not the identity that was asked for";
  // A text can agree with an identity whose parts hold what none may, as a slash.
  try {
    const { trustDomain: named } = parseServiceAccountId(uri);
    return named === trustDomain ? undefined : "X509-SVID 3: its trust domain is not its issuer's";
  } catch (thrown) {
    return `SPIFFE-ID 2: ${messageOf(thrown)}`;
  }
};

const noSubject: SvidRule = rule("it has a subject beside its name", ({ subject }) => subject.length === 2);
const namedAsNeeded: SvidRule = rule(
  "RFC 5280 4.2.1.6: its name is not critical, though it has no subject",
  ({ subject, extensions }) => subject.length > 2 || extensions.get(EXTENSION.subjectAltName)?.critical === true,
);

const RULES: readonly SvidRule[] = [
  ...frame,
  asked,
  ...life,
  endsWithin(0),
  name,
  noSubject,
  namedAsNeeded,
  ...extensionRules,
  ...leafUse,
  ...issuerRules,
  ownKey,
];

const FOREIGN_RULES: readonly SvidRule[] = [
  ...frame,
  asked,
  ...life,
  endsWithin(SKEW_MS),
  // ztunnel asks again at half of a life (contract ztunnel.md 4.2), and would do so without pause.
  rule(
    "half of its life is over; its issuer ends too soon",
    ({ notBefore, notAfter }, { now }) => notBefore + notAfter > 2 * now,
  ),
  name,
  namedAsNeeded,
  ...extensionRules,
  ...leafUse,
  ...issuerRules,
];
