import { createPublicKey } from "node:crypto";
import {
  type CertificateTemplate,
  type IssuingKey,
  type OwnPurpose,
  signatureOf,
  signCertificate,
} from "./certificate.ts";
import { lintTemplate } from "./lint-template.ts";
import { checkTemplate } from "./template-check.ts";

/**
 * A certificate that we make for ourselves, in the four steps that those of workloads take: template, check, sign, lint.
 * @param issuerNotAfter undefined for a root, which signs itself.
 * @returns DER. @throws MeshError `internal`, with the rule that it would break or breaks.
 */
export function ownCertificate(
  template: CertificateTemplate & { readonly purpose: OwnPurpose },
  issuer: IssuingKey,
  issuerNotAfter?: number,
): Uint8Array {
  const { purpose } = template;
  const checked = { ...checkTemplate(template, issuerNotAfter), purpose };
  const { subject, keyId, privateKey } = issuer;
  return lintTemplate(signCertificate(checked, issuer), checked, {
    issuer: subject,
    issuerKeyId: keyId,
    signature: signatureOf(privateKey),
    issuerKey: createPublicKey(privateKey),
  });
}
