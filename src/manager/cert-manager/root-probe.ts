import { sign } from "node:crypto";
import { bitString, contextTag, der, integer, sequence } from "../../ca/der.ts";
import { organizationName, signatureOf } from "../../ca/certificate.ts";
import { makeKeyPair } from "../../ca/key-type.ts";
import { toPem } from "../../pem.ts";

/**
 * A request for a certificate that nobody will use, in PEM, and whose key is gone with this call: what comes back shows
 * under which root its issuer signs (PKCS#10, RFC 2986).
 */
export async function rootProbe(): Promise<string> {
  const { publicKey, privateKey } = await makeKeyPair("ec-p256");
  const info = sequence(
    integer(Buffer.of(0)),
    organizationName("causeway", "root probe"),
    publicKey.export({ type: "spki", format: "der" }),
    der(contextTag(0, true)),
  );
  const { digest, identifier } = signatureOf(privateKey);
  return toPem("CERTIFICATE REQUEST", sequence(info, identifier, bitString(sign(digest, info, privateKey))));
}
