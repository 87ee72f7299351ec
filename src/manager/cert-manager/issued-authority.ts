import { type CertificateFields, pathLength, readCertificate } from "../../ca/certificate-fields.ts";
import { MeshError } from "../../errors.ts";
import type { EpochMs } from "../../host.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import type { Issued } from "./certificate-requests.ts";
import { issuedChain } from "./issued-chain.ts";

/** @param issuer what to mend, as `ClusterIssuer gloo-mesh-root`. @throws MeshError as `issuedChain`; `denied` for a leaf. */
export function issuedAuthority(issued: Issued, issuer: string): SignedIntermediate {
  const signed = issuedChain(issued, issued.title, issuer);
  const [own] = chainFields(signed);
  if (pathLength(own!).ca) return signed;
  throw new MeshError(
    "denied",
    `${issued.title}: ${issuer} signed a leaf, though isCA was asked for; with Vault behind it, let its path be one of sign-intermediate`,
  );
}

/** How many authorities may follow, by what all on the way allow. */
export function roomBelow(signed: SignedIntermediate): number {
  return Math.min(...chainFields(signed).map((fields, at) => (pathLength(fields).max ?? Infinity) - at));
}

/** When the first of what it hangs on ends. */
export const endOfAbove = (signed: SignedIntermediate): EpochMs =>
  Math.min(...chainFields(signed).map(({ notAfter }, at) => (at === 0 ? Infinity : notAfter)));

/** Whether it is of use to a cluster that asks only now: what is half over would be renewed at once. */
export function isOfUse(signed: SignedIntermediate, now: EpochMs): boolean {
  const { notBefore, notAfter } = readCertificate(signed.chain[0]!);
  return notBefore + notAfter > 2 * now && notAfter <= endOfAbove(signed);
}

const chainFields = ({ chain, root }: SignedIntermediate): readonly CertificateFields[] =>
  [...chain, root].map((der) => readCertificate(der));
