import { openedCertificate, type OpenedCertificate, pathTo } from "../ca/path.ts";
import { uriNames } from "../ca/certificate-fields.ts";
import { Revocations } from "../ca/revocations.ts";
import type { Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock, EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { refusal } from "./enrollment.ts";
import { issuedAtOf, type RelayAuthority } from "./relay-authority.ts";
import { parseClusterIdentity } from "./relay-identity.ts";

/** From when client certificates count, by cluster: those from before are void. */
export interface CertificateBook {
  /** What is in force now; 0 if nothing is void. @throws MeshError `unavailable` */
  voidBefore(cluster: ClusterId): Promise<EpochMs>;
  /** The same as it was last known, which is some seconds old; undefined until it was ever read. */
  lastVoidBefore(cluster: ClusterId): EpochMs | undefined;
  /**
   * Makes all that were issued until now void.
   * @param cause in one word; the same one twice in a row does nothing the second time.
   * @param since nothing is done if another cause made something void after it.
   * @returns the moment from which the next counts, in whole seconds.
   * @throws MeshError `unavailable`, or `denied` for what came after `since`.
   */
  renounce(cluster: ClusterId, cause: string, since?: EpochMs): Promise<EpochMs>;
  /** Calls `observer` after what is known of any cluster has changed. */
  observe(observer: () => void): Disposable;
}

/** A cluster, as its client certificate proves it. */
export interface ProvenCluster {
  readonly cluster: ClusterId;
  readonly issuedAt: EpochMs;
  readonly expiresAt: EpochMs;
}

/**
 * Whose call it is. That nothing of it is void is for the caller to look at.
 * @throws MeshError `unauthenticated`
 */
export function provenCluster(
  { certificateChain, remoteAddress }: Credentials,
  authority: Pick<RelayAuthority, "roots">,
  clock: Clock,
): ProvenCluster {
  const [leaf] = certificateChain;
  const fix =
    "a cluster needs the client certificate that it enrolled for; make a token with causeway trust token --cluster NAME to have it enroll";
  const unproven = (why: string): MeshError =>
    refusal(
      "unauthenticated",
      "NoCertificate",
      `the caller at ${remoteAddress} has not proven who it is: ${why}; ${fix}`,
    );
  if (leaf === undefined) throw unproven("it showed no certificate that the relay's root issued");
  try {
    const opened = certificateChain.map(openedCertificate);
    const anchors = authority.roots.map(openedCertificate);
    const path = pathTo(anchors, opened, { role: "client", now: clock.now(), revocations: new Revocations() });
    if (path.why !== undefined) throw unproven(path.why);
    return { cluster: nameOf(opened[0]!), issuedAt: issuedAtOf(leaf), expiresAt: path.expiresAt };
  } catch (thrown) {
    throw thrown instanceof MeshError && thrown.code === "unauthenticated" ? thrown : unproven(messageOf(thrown));
  }
}

function nameOf({ fields }: OpenedCertificate): ClusterId {
  const [uri = "", ...more] = uriNames(fields);
  if (more.length > 0) throw new MeshError("invalid", "its certificate has several names");
  return parseClusterIdentity(uri);
}

/** A certificate that somebody has since enrolled past, or revoked. */
export function whyVoid({ cluster, issuedAt }: ProvenCluster, voidBefore: EpochMs): MeshError | undefined {
  if (issuedAt >= voidBefore) return undefined;
  const since = new Date(voidBefore).toISOString();
  return refusal(
    "unauthenticated",
    "CertificateVoid",
    `the client certificate of cluster ${cluster} is void: it was revoked, or the cluster enrolled anew, at ${since}; make a token with causeway trust token --cluster ${cluster} to have it enroll again`,
  );
}
