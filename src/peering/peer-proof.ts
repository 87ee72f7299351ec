import { hash, X509Certificate } from "node:crypto";
import type { Credentials } from "../caller.ts";
import type { Clock } from "../host.ts";
import type { Trust } from "../trust.ts";
import type { PeerAuthority, PeerProof } from "../xds/peer-gate.ts";

interface Judge {
  readonly trust: Pick<Trust, "verify">;
  /** As `istio-system/istiod`: what control planes are called in their trust domains. */
  readonly accounts: ReadonlySet<string>;
  readonly clock: Clock;
}

/**
 * Whether credentials are a control plane's: by its certificate alone, never a token, which the other end's API server
 * would have to be believed for. The trust domain is whichever one the certificate's root is believed for.
 * @returns undefined for everybody else, and for whose certificate proves nothing.
 */
export function peerProof(
  { certificateChain, remoteAddress }: Credentials,
  { trust, accounts, clock }: Judge,
): PeerProof | undefined {
  if (certificateChain.length === 0) return undefined;
  try {
    const { identity, expiresAt } = trust.verify(certificateChain, "client", clock.now());
    if (!accounts.has(`${identity.namespace}/${identity.serviceAccount}`)) return undefined;
    const authority = authorityOf(certificateChain);
    return authority && { identity, authority, expiresAt, chain: certificateChain, remoteAddress };
  } catch {
    // Whoever authenticates others says why.
    return undefined;
  }
}

/** Of what the leaf names as its issuer, what really signed it. */
function authorityOf(chain: readonly Uint8Array[]): PeerAuthority | undefined {
  const [leaf, ...others] = chain.map((der) => new X509Certificate(der));
  const issuer = others.find((other) => leaf!.checkIssued(other) && leaf!.verify(other.publicKey));
  return (
    issuer && {
      key: hash("sha256", issuer.publicKey.export({ type: "spki", format: "der" }), "hex"),
      subject: issuer.subject.replace(/\n/g, ", "),
      notBefore: Date.parse(issuer.validFrom),
    }
  );
}
