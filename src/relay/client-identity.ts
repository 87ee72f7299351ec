import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { pemBlocks } from "../pem.ts";
import type { ClientCredentials } from "./messages.ts";
import { clusterIdentity } from "./relay-identity.ts";

/** Who this cluster is to the trust manager, and how that is known. All in PEM. */
export interface ClientIdentity {
  /** Leaf first. */
  readonly chain: string;
  readonly key: string;
  /** What verifies the manager. */
  readonly roots: string;
  /** Of the bootstrap token that it was had for: one that is there anew is another. */
  readonly tokenId: string;
}

/** Where a cluster keeps it, and finds the token to have one for. */
export interface IdentityStore {
  /** As `Secret istio-system/relay-client-tls-secret`, for messages. */
  readonly title: string;
  /** As `file /run/token`. */
  readonly tokenTitle: string;
  /** Undefined if there is none. @throws MeshError if it cannot be read. */
  read(): Promise<ClientIdentity | undefined>;
  /** @throws MeshError if it cannot be written. */
  write(identity: ClientIdentity): Promise<void>;
  /** The token as it was printed; undefined if there is none. @throws MeshError if it cannot be read. */
  token(): Promise<string | undefined>;
}

/** When the client certificate began and ends. */
export function lifeOf({ chain }: ClientIdentity): { readonly notBefore: EpochMs; readonly notAfter: EpochMs } {
  return readCertificate(pemBlocks(chain, "CERTIFICATE")[0]!);
}

/**
 * What came for a key of ours, held to what was asked for.
 * @throws MeshError `invalid`, saying what does not hold.
 */
export function identityOf(
  { chain, relayRoots }: ClientCredentials,
  { key, cluster, tokenId, now }: { key: string; cluster: ClusterId; tokenId: string; now: EpochMs },
): ClientIdentity {
  const identity = { chain: chain.join(""), key, roots: relayRoots.join(""), tokenId };
  const why = whyUnfit(identity, cluster, now);
  if (why === undefined) return identity;
  throw new MeshError("invalid", `the client certificate that the trust manager made cannot be used: ${why}`);
}

/** Why an identity is none of this cluster's, now; undefined if it is. */
export function whyUnfit({ chain, key, roots }: ClientIdentity, cluster: ClusterId, now: EpochMs): string | undefined {
  try {
    const certificates = pemBlocks(chain, "CERTIFICATE").map((der) => new X509Certificate(der));
    const anchors = pemBlocks(roots, "CERTIFICATE").map((der) => new X509Certificate(der));
    const [leaf] = certificates;
    if (leaf === undefined) return "there is no certificate";
    const fields = readCertificate(leaf.raw);
    const names = uriNames(fields);
    const id = clusterIdentity(cluster);
    if (names.length !== 1 || names[0] !== id) return `it is named ${names.join(", ") || "nothing"}, and not ${id}`;
    const own = createPublicKey(createPrivateKey(key)).export({ type: "spki", format: "der" });
    if (!own.equals(fields.publicKey)) return "it is for another key";
    if (fields.notAfter <= now) return `it ended at ${new Date(fields.notAfter).toISOString()}`;
    const issued = certificates.every((certificate, at) =>
      (certificates[at + 1] === undefined ? anchors : [certificates[at + 1]!]).some(
        (issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
      ),
    );
    return issued ? undefined : "it does not lead to the relay's root";
  } catch (thrown) {
    return messageOf(thrown);
  }
}
