import { MeshError, messageOf } from "../../errors.ts";
import { type OpenedCertificate, openedCertificate } from "../../ca/path.ts";
import { wholePemBlocks } from "../../pem.ts";
import { printable } from "../../printable.ts";

/** The way from a certificate to its root, as far as it is known. */
export interface Ladder {
  /** The first, then each one's issuer, the root among them. */
  readonly steps: readonly [OpenedCertificate, ...OpenedCertificate[]];
  /** The last of them, signed by itself; undefined if nothing here issued that one. */
  readonly root: OpenedCertificate | undefined;
}

/** A longer way is none (contract identity.md 2.3). */
const STEPS_MAX = 8;
const CERTIFICATES_MAX = 32;

/**
 * Finds each issuer by its signature, as engines differ in what their chain begins with and whether its root is in it; of
 * two, the one that ends last.
 */
export function ladder(first: OpenedCertificate, pool: readonly OpenedCertificate[]): Ladder {
  const byEnd = [...pool].sort((a, b) => b.fields.notAfter - a.fields.notAfter);
  const steps: [OpenedCertificate, ...OpenedCertificate[]] = [first];
  for (let top: OpenedCertificate | undefined = first; top !== undefined && steps.length <= STEPS_MAX;) {
    if (issued(top, top)) return { steps, root: top };
    const below: OpenedCertificate = top;
    top = byEnd.find((candidate) => !steps.includes(candidate) && issued(candidate, below));
    if (top !== undefined) steps.push(top);
  }
  return { steps, root: undefined };
}

const issued = (issuer: OpenedCertificate, certificate: OpenedCertificate): boolean =>
  certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey);

/** All certificates of texts in PEM, in order. @param where for the message. @throws MeshError `invalid` */
export function openedPem(where: string, texts: readonly string[]): readonly OpenedCertificate[] {
  try {
    const ders = texts.flatMap((text) => wholePemBlocks(text, "CERTIFICATE"));
    if (ders.length > CERTIFICATES_MAX) throw new Error(`it has over ${CERTIFICATES_MAX} certificates`);
    return ders.map(openedCertificate);
  } catch (thrown) {
    throw new MeshError(
      "invalid",
      `${where} holds a certificate that cannot be read: ${messageOf(thrown)}`,
      {},
      { cause: thrown },
    );
  }
}

export const subjectOf = ({ x509 }: OpenedCertificate): string => oneLine(x509.subject);
export const issuerOf = ({ x509 }: OpenedCertificate): string => oneLine(x509.issuer);
/** Node gives undefined for an empty name. */
const oneLine = (name: string | undefined): string => `"${printable((name ?? "").replace(/\n/g, ", "), 200)}"`;
