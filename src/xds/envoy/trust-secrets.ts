import { X509Certificate } from "node:crypto";
import { anyOf, envoy } from "./message.ts";
import { TRUST, trustName } from "./resource-names.ts";

type Secret = envoy.extensions.transport_sockets.tls.v3.Secret.$Properties;

const Tls = envoy.extensions.transport_sockets.tls.v3;

/** Who vouches for the identities of one trust domain. */
export interface TrustedDomain {
  readonly trustDomain: string;
  /** In DER, each once, sorted; never none. */
  readonly roots: readonly Uint8Array[];
}

/** For callers, whoever they say they are: each domain is believed under its own roots, and no other under them. */
export function encodeTrust(domains: readonly TrustedDomain[]): Uint8Array {
  const validator = anyOf(Tls.SPIFFECertValidatorConfig, {
    trustDomains: domains.map(({ trustDomain, roots }) => ({ name: trustDomain, trustBundle: pemOf(roots) })),
  });
  const customValidatorConfig = { name: "envoy.tls.cert_validator.spiffe", typedConfig: validator };
  return encode({ name: TRUST, validationContext: { customValidatorConfig } });
}

/**
 * For servers, which must be of this domain and have one of the names that are expected. By Envoy's usual validator, as
 * only that one is documented to look for names that a connection brings.
 */
export function encodeDomainTrust({ trustDomain, roots }: TrustedDomain): Uint8Array {
  const { URI } = Tls.SubjectAltNameMatcher.SanType;
  return encode({
    name: trustName(trustDomain),
    validationContext: {
      trustedCa: pemOf(roots),
      matchTypedSubjectAltNames: [{ sanType: URI, matcher: { prefix: `spiffe://${trustDomain}/` } }],
    },
  });
}

const encode = (secret: Secret): Uint8Array => Tls.Secret.encode(secret).finish();

const pemOf = (roots: readonly Uint8Array[]): envoy.config.core.v3.DataSource.$Properties => ({
  inlineString: roots.map((root) => new X509Certificate(root).toString()).join(""),
});
