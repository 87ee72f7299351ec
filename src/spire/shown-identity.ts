import type { PeerCertificate } from "node:tls";
import { pathLength, readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { messageOf } from "../errors.ts";
import { printable } from "../printable.ts";

/**
 * Why a server that shows this is not `id`. TLS has verified the chain, and SPIFFE names no host, so the name is all that
 * is left to look at (contract identity.md 2.3). Never throws: Node.js does not expect it, and the process would end.
 */
export function whyNotIdentity({ raw }: PeerCertificate, id: string): Error | undefined {
  try {
    const fields = readCertificate(raw);
    if (pathLength(fields).ca) return new Error("its certificate is an authority's, which proves nobody");
    const names = uriNames(fields);
    if (names.length === 1 && names[0] === id) return undefined;
    const shown = names.length === 0 ? "nobody of SPIFFE" : printable(names.join(" and "), 512);
    return new Error(`it proves to be ${shown}, and must be ${id}: does the address lead there?`);
  } catch (thrown) {
    return new Error(`its certificate cannot be read: ${messageOf(thrown)}`);
  }
}
