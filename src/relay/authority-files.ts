import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Authority } from "../ca/authority.ts";
import { authorityOf, type CacertsFiles, ISTIO } from "../ca/cacerts.ts";
import { pathLength, readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { CRL_FILE } from "../ca/crl-check.ts";
import type { Files } from "../ca/folder-files.ts";
import { isUnder } from "../ca/root-anchor.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { pemBlocks, toPem } from "../pem.ts";
import type { AuthorityUpdate, InstalledAuthority } from "./installed.ts";
import type { IntermediateShape, Order, SignedIntermediate } from "./messages.ts";
import { fingerprintOf, wishOf } from "./wish.ts";

/** Issuers date certificates back, and round: this much longer than asked for is no lie. */
const LIFE_TOLERANCE_MS = 3_600_000;
/** What ends sooner is of no use to anybody. */
const LIFE_MS_MIN = 60_000;

const bundle = (certificates: readonly Uint8Array[]): string =>
  certificates.map((der) => toPem("CERTIFICATE", der)).join("");

/** The same certificate and key with other roots. */
export function withRoots({ files, wish }: InstalledAuthority, roots: readonly Uint8Array[]): AuthorityUpdate {
  const { layout, text } = files;
  const [first, ...following] = pemBlocks(text.get(layout.certificate) ?? "", "CERTIFICATE");
  const chain = layout.chain === undefined ? bundle([first!, ...following]) : (text.get(layout.chain) ?? "");
  const written = new Map([
    [ISTIO.key, text.get(layout.key) ?? ""],
    [ISTIO.root, bundle(roots)],
    [ISTIO.chain!, chain],
    [ISTIO.certificate, bundle([first!])],
    ...listsOf(files),
  ]);
  return { files: written, wish, replaces: files.digest };
}

/** What was revoked stays so. */
const listsOf = (files: CacertsFiles | undefined): readonly (readonly [string, string])[] => {
  const lists = files?.text.get(CRL_FILE);
  return lists === undefined ? [] : [[CRL_FILE, lists]];
};

export interface Answered {
  readonly order: Order;
  readonly signed: SignedIntermediate;
  readonly privateKey: KeyObject;
  /** What is installed; undefined if nothing is. */
  readonly replaces: CacertsFiles | undefined;
  readonly now: EpochMs;
}

/**
 * The files of a certificate that was asked for: its chain down to the root, and all roots of the order. It is held to what
 * was asked for, and then to all that a control plane holds an authority to before use.
 * @throws MeshError `invalid`, saying what does not hold.
 */
export function filesOf(answered: Answered): AuthorityUpdate {
  const { order, signed, privateKey, replaces, now } = answered;
  const [first] = signed.chain;
  if (first === undefined) throw new MeshError("invalid", "it holds no certificate");
  if (fingerprintOf(signed.root) !== order.signingRoot)
    throw new MeshError("invalid", `it leads to root ${nameOf(signed.root)}, and not to the one that the order names`);
  const files: Files = new Map([
    [ISTIO.key, privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [ISTIO.root, bundle(order.roots)],
    // Sent after each leaf as it is: it must begin with the issuer, and end with the root (contract identity.md 3.1).
    [ISTIO.chain!, bundle([...signed.chain, signed.root])],
    [ISTIO.certificate, bundle([first])],
    ...listsOf(replaces),
  ]);
  const ownKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  if (!ownKey.equals(readCertificate(first).publicKey))
    throw new MeshError("invalid", "its certificate is for another key than the one that was made here");
  const found: CacertsFiles = { folder: "the answer", layout: ISTIO, text: files, digest: "" };
  const authority = authorityOf(found, order.trustDomain, now);
  holdTo(order.intermediate, order.trustDomain, authority, signed.root, now);
  return { files, wish: wishOf(order), replaces: replaces?.digest };
}

function holdTo(
  shape: IntermediateShape,
  trustDomain: string,
  authority: Authority,
  root: Uint8Array,
  now: EpochMs,
): void {
  const [certificate] = authority.chain;
  if (certificate === undefined) throw new MeshError("invalid", "its certificate is the root itself");
  if (!isUnder(authority, [root])) throw new MeshError("invalid", `it does not lead to ${nameOf(root)}`);
  const fields = readCertificate(certificate);
  const id = `spiffe://${trustDomain}`;
  const names = uriNames(fields);
  if (names.length !== 1 || names[0] !== id)
    throw new MeshError("invalid", `its certificate is named ${names.join(", ") || "nothing"}, and not ${id} alone`);
  const { max } = pathLength(fields);
  if (max !== undefined && max < shape.pathLength)
    throw new MeshError("invalid", `it allows ${max} authorities below it, and the order says ${shape.pathLength}`);
  if (fields.notAfter - now > shape.lifetimeMs + LIFE_TOLERANCE_MS)
    throw new MeshError("invalid", `it ends at ${new Date(fields.notAfter).toISOString()}, later than the order says`);
  if (authority.notAfter - now < LIFE_MS_MIN)
    throw new MeshError("invalid", `it ends at ${new Date(authority.notAfter).toISOString()}, which is now`);
}

/** Node has no subject, whatever its types say, where it is empty. */
function nameOf(der: Uint8Array): string {
  const { subject }: { readonly subject: string | undefined } = new X509Certificate(der);
  return `"${(subject ?? "").replace(/\n/g, ", ")}"`;
}
