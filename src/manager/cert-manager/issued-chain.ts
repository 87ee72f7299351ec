import { X509Certificate } from "node:crypto";
import { openCertificate } from "../../ca/cacerts.ts";
import { MeshError, messageOf } from "../../errors.ts";
import { wholePemBlocks } from "../../pem.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";

/** ztunnel takes no more between a leaf and its root (contract identity.md 2.3), and more is no chain. */
const CERTIFICATES_MAX = 16;

/** What an issued CertificateRequest has in its status, in PEM. */
export interface IssuedPems {
  readonly certificate: string;
  readonly ca: string;
}

/**
 * Climbs from the certificate that was asked for to its root. cert-manager leaves roots out of `status.certificate`, and
 * `status.ca` has the topmost that the issuer knows of, which need not be a root.
 * @param title of what was asked, for messages.
 * @param issuer what to mend.
 * @throws MeshError `invalid` if it leads to no root, or is not to be read.
 */
export function issuedChain(pems: IssuedPems, title: string, issuer: string): SignedIntermediate {
  const [first, ...others] = [
    ...opened(pems.certificate, `${title}: status.certificate`),
    ...opened(pems.ca, `${title}: status.ca`),
  ];
  if (first === undefined) throw new MeshError("invalid", `${title}: status.certificate holds no certificate in PEM`);
  const chain = [first];
  for (let top = first; !isRoot(top);) {
    const above = others.filter((other) => !chain.includes(other) && issued(other, top));
    // The root itself rather than a certificate of its key by another root.
    const next = above.find(isRoot) ?? above[0];
    if (next === undefined || chain.length >= CERTIFICATES_MAX) throw rootless(top, title, issuer);
    chain.push((top = next));
  }
  if (chain.length === 1)
    throw new MeshError(
      "invalid",
      `${title}: its certificate signed itself; ${issuer} must be one that signs with an authority of its own`,
    );
  const ders = chain.map(({ raw }) => raw);
  return { chain: ders.slice(0, -1), root: ders.at(-1)! };
}

function rootless(top: X509Certificate, title: string, issuer: string): MeshError {
  return new MeshError(
    "invalid",
    `${title} leads to no root: ${nameOf(top.subject)} is the last, which ${nameOf(top.issuer)} issued. Let ${issuer} ` +
      "give its root in status.ca: with a CA issuer, put the root into ca.crt of the Secret that its spec.ca.secretName names",
  );
}

function opened(pem: string, what: string): readonly X509Certificate[] {
  try {
    const blocks = wholePemBlocks(pem, "CERTIFICATE");
    if (blocks.length > CERTIFICATES_MAX) throw new Error(`${blocks.length} certificates are in it`);
    return blocks.map((der) => openCertificate(der));
  } catch (thrown) {
    throw new MeshError("invalid", `${what} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

const isRoot = (certificate: X509Certificate): boolean => issued(certificate, certificate);

const issued = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

const nameOf = (name: string): string => `"${name.replace(/\n/g, ", ")}"`;
