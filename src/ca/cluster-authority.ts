import { X509Certificate } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { readAuthorityFolder } from "./authority-folder.ts";
import { authorityOf, ISTIO } from "./cacerts.ts";
import { pathLength, readCertificate } from "./certificate-fields.ts";
import type { Files } from "./folder-files.ts";
import { isKeyType, keyTypeOf, KEY_TYPES } from "./key-type.ts";
import { BACKDATED_MS } from "./intermediate.ts";
import { type NewIntermediate, USUAL_LIFETIME_MS } from "./new-authority.ts";
import { pemBlocks } from "../pem.ts";
import { trustDomainOf } from "./root-folder.ts";

/** The authority of a cluster as its folder has it, believed as a whole. */
export interface ClusterAuthority {
  readonly folder: string;
  /** Its four files. */
  readonly text: Files;
  /** Its certificate, in DER. */
  readonly certificate: Uint8Array;
  /** The last certificate before the root; the root itself if that is what signs. */
  readonly last: X509Certificate;
  /** What the cluster trusts, in DER. */
  readonly roots: readonly Uint8Array[];
  /** When its roots were last written. */
  readonly rootsWrittenAt: EpochMs;
  /** When its certificate was made. */
  readonly issuedAt: EpochMs;
  /** Its revocation lists, in PEM; undefined if it has none. */
  readonly lists: string | undefined;
}

/**
 * Reads a folder that is to be changed. One that has just expired can still be read, as it is here to be renewed.
 * @throws MeshError if it could not be used before its end, or is not in istiod's layout.
 */
export async function readClusterAuthority(folder: string, now: EpochMs): Promise<ClusterAuthority> {
  const { layout, text, lists } = await readAuthorityFolder(folder);
  if (layout !== ISTIO)
    throw new MeshError(
      "unsupported",
      `${folder} has not the four files that "causeway ca issue" makes: whoever made it renews it`,
    );
  const [certificate] = pemBlocks(text.get(ISTIO.certificate) ?? "", "CERTIFICATE");
  const asOf = certificate === undefined ? now : Math.min(now, readCertificate(certificate).notAfter - 1000);
  const trustDomain = (certificate && trustDomainOf(certificate)) ?? "";
  const authority = authorityOf({ folder, layout, text: whole(folder, text), digest: "" }, trustDomain, asOf);
  return {
    folder,
    text,
    certificate: certificate!,
    last: new X509Certificate(authority.chain.at(-1) ?? certificate!),
    roots: authority.roots,
    rootsWrittenAt: (await stat(join(folder, ISTIO.root))).mtimeMs,
    issuedAt: readCertificate(certificate!).notBefore + BACKDATED_MS,
    lists,
  };
}

function whole(folder: string, text: Files): Files {
  const missing = Object.values(ISTIO).filter((name) => name !== undefined && !text.has(name));
  if (missing.length > 0) throw new MeshError("absent", `${folder} lacks ${missing.join(", ")}`);
  return text;
}

/** What takes the place of an authority: the same in all but its key, its serial number and its time. */
export function successorOf({ certificate }: ClusterAuthority, trustDomain: string): NewIntermediate {
  const fields = readCertificate(certificate);
  const before = new X509Certificate(certificate);
  const keyType = keyTypeOf(before.publicKey);
  // A root that signed for workloads itself lived for years, and could be followed.
  const selfSigned = before.checkIssued(before);
  return {
    trustDomain: trustDomainOf(certificate) ?? trustDomain,
    keyType: isKeyType(keyType) ? keyType : KEY_TYPES[0],
    lifetimeMs: selfSigned ? USUAL_LIFETIME_MS : fields.notAfter - fields.notBefore - BACKDATED_MS,
    subject: fields.subject,
    pathLength: selfSigned ? 0 : pathLength(fields).max,
  };
}

export const isIssuedBy = (certificate: X509Certificate, root: Uint8Array): boolean => {
  const issuer = new X509Certificate(root);
  return (
    certificate.raw.equals(issuer.raw) || (certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
  );
};
