import { createPrivateKey, hash, type KeyObject, X509Certificate } from "node:crypto";
import { type IssuingKey, keyIdOf } from "../ca/certificate.ts";
import { EXTENSION, readCertificate } from "../ca/certificate-fields.ts";
import { DerReader, TAG } from "../ca/der.ts";
import type { OwnRoot } from "../ca/own-root.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { pemBlocks, toPem, wholePemBlocks } from "../pem.ts";
import type { Fingerprint } from "./messages.ts";

/** Keys of the document: a Secret of type kubernetes.io/tls has the same. */
const CERTIFICATE = "tls.crt";
const KEY = "tls.key";
/** All that verifies what the key signed: the certificate above, then those before it that live yet. */
const ROOTS = "ca.crt";

/** The relay's own root, read. */
export interface RelayRoot {
  readonly own: OwnRoot;
  readonly issuer: IssuingKey;
  readonly notAfter: EpochMs;
  /** In DER, its own first; all with its key. */
  readonly roots: readonly Uint8Array[];
}

/** @param former in DER: those before it that live yet. */
export function relayRoot(own: OwnRoot, former: readonly Uint8Array[] = []): RelayRoot {
  const [bytes] = pemBlocks(own.certificate, "CERTIFICATE");
  if (bytes === undefined) throw new MeshError("invalid", `${CERTIFICATE} has no certificate`);
  const { subject, extensions, publicKey, notAfter } = readCertificate(bytes);
  const named = extensions.get(EXTENSION.subjectKeyId);
  const keyId = named === undefined ? keyIdOf(publicKey) : new DerReader(named.value).next(TAG.octetString).content;
  const privateKey = privateKeyOf(own.key);
  if (!new X509Certificate(bytes).checkPrivateKey(privateKey))
    throw new MeshError("invalid", `${KEY} is not the key of ${CERTIFICATE}`);
  const others = former.filter((other) => !bytes.equals(other));
  return { own, issuer: { subject, keyId, privateKey }, notAfter, roots: [bytes, ...others] };
}

/** OpenSSL's words on a key are no help, and must not show any of it. */
function privateKeyOf(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new MeshError("invalid", `${KEY} is no private key in PEM`);
  }
}

/** What a bootstrap token says of it. */
export const fingerprintOf = ({ roots }: RelayRoot): Fingerprint => hash("sha256", roots[0]!, "hex");

export const relayRootDocument = ({ own, roots }: RelayRoot): ReadonlyMap<string, string> =>
  new Map([
    [CERTIFICATE, own.certificate],
    [KEY, own.key],
    [ROOTS, roots.map((bytes) => toPem("CERTIFICATE", bytes)).join("")],
  ]);

/** @throws MeshError `invalid`, naming the document and the fix. */
export function readRelayRoot(title: string, data: ReadonlyMap<string, string>, now: EpochMs): RelayRoot {
  try {
    const former = wholePemBlocks(data.get(ROOTS) ?? "", "CERTIFICATE");
    const root = relayRoot({ certificate: data.get(CERTIFICATE) ?? "", key: data.get(KEY) ?? "" }, former);
    if (!new X509Certificate(root.roots[0]!).ca) throw new MeshError("invalid", `${CERTIFICATE} is no authority's`);
    if (root.notAfter <= now) throw new MeshError("invalid", `it ended at ${new Date(root.notAfter).toISOString()}`);
    return root;
  } catch (thrown) {
    throw new MeshError(
      "invalid",
      `${title} holds no authority for the relay: ${messageOf(thrown)}; restore it, or remove it to have a new one made, after which every cluster has to enroll again`,
      {},
      { cause: thrown },
    );
  }
}
