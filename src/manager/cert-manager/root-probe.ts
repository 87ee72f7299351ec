import { authorityName, signedRequest } from "../../ca/authority-request.ts";
import { makeKeyPair } from "../../ca/key-type.ts";

/**
 * A request for a certificate that nobody will use, in PEM, and whose key is gone with this call: what comes back shows
 * under which root its issuer signs.
 */
export async function rootProbe(): Promise<string> {
  const { privateKey } = await makeKeyPair("ec-p256");
  return signedRequest(privateKey, authorityName("causeway", "root probe"), Buffer.alloc(0));
}
