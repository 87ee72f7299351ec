import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Trust } from "../trust.ts";
import type { OidcAuthenticators } from "./oidc-authenticator.ts";

/** Who verifies each cluster's tokens, now: clusters come and go. A Map is one. */
export interface TokenAuthenticators {
  get(cluster: ClusterId): Authenticator | undefined;
  keys(): Iterable<ClusterId>;
}

export interface AuthenticatorsOptions {
  readonly clock: Clock;
  readonly tokens: TokenAuthenticators;
  readonly localCluster: ClusterId;
  readonly trustDomain: string;
  /** Looks again at what TLS has verified. */
  readonly trust: Trust;
  /** Other names of our trust domain, now. */
  readonly aliases?: ReadonlySet<string>;
  /** Issuers of tokens outside of Kubernetes. */
  readonly oidc?: OidcAuthenticators;
}

/**
 * A client certificate if one was shown, else a token. The `clusterid` header, or the issuer that a token names, only selects
 * who verifies the token: the caller belongs to the cluster that did (contract operations.md 4.3).
 */
export class Authenticators implements Authenticator {
  readonly #options: AuthenticatorsOptions;

  constructor(options: AuthenticatorsOptions) {
    this.#options = options;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const { certificateChain } = credentials;
    if (certificateChain.length > 0) return this.#byCertificate(certificateChain);
    const { tokens, localCluster, oidc } = this.#options;
    const issuer = oidc?.for(credentials);
    if (issuer !== undefined) return issuer.authenticate(credentials);
    const named = credentials.clusterId ?? "";
    const verifier = tokens.get(named === "" ? localCluster : (named as ClusterId));
    if (verifier !== undefined) return verifier.authenticate(credentials);
    const known = [...tokens.keys()].join(", ");
    const message = `no cluster ${JSON.stringify(named.slice(0, 80))} is known here to verify its tokens; known are ${known}`;
    throw new MeshError("unauthenticated", message);
  }

  #byCertificate(chain: readonly Uint8Array[]): Caller {
    const { trust, trustDomain, aliases, localCluster, clock } = this.#options;
    // TLS looked at this once, when the connection began; that can be days ago.
    const { identity, expiresAt } = trust.verify(chain, "client", clock.now());
    const ours = identity.trustDomain === trustDomain || aliases?.has(identity.trustDomain) === true;
    if (!ours)
      throw new MeshError(
        "unauthenticated",
        `the client certificate is ${formatServiceAccountId(identity)}'s; only callers of trust domain ${trustDomain} are served`,
      );
    return { identity, cluster: localCluster, via: "certificate", pod: undefined, expiresAt };
  }
}
