import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { parseServiceAccountId } from "../spiffe.ts";
import { pathLength, readCertificate, uriNames } from "./certificate-fields.ts";

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
}

/**
 * A client certificate if one was verified, else a token. The `clusterid` header only selects who verifies the token:
 * the caller belongs to the cluster that did (contract operations.md 4.3).
 */
export class Authenticators implements Authenticator {
  readonly #options: AuthenticatorsOptions;

  constructor(options: AuthenticatorsOptions) {
    this.#options = options;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const [leaf] = credentials.certificateChain;
    if (leaf !== undefined) return this.#byCertificate(leaf);
    const { tokens, localCluster } = this.#options;
    const named = credentials.clusterId ?? "";
    const verifier = tokens.get(named === "" ? localCluster : (named as ClusterId));
    if (verifier !== undefined) return verifier.authenticate(credentials);
    const known = [...tokens.keys()].join(", ");
    const message = `no cluster ${JSON.stringify(named.slice(0, 80))} is known here to verify its tokens; known are ${known}`;
    throw new MeshError("unauthenticated", message);
  }

  #byCertificate(leaf: Uint8Array): Caller {
    try {
      return this.#holderOf(leaf);
    } catch (thrown) {
      throw new MeshError(
        "unauthenticated",
        `the client certificate proves nobody: ${messageOf(thrown)}`,
        {},
        { cause: thrown },
      );
    }
  }

  #holderOf(leaf: Uint8Array): Caller {
    const { trustDomain, localCluster, clock } = this.#options;
    const refuse = (why: string): MeshError => new MeshError("unauthenticated", why);
    const fields = readCertificate(leaf);
    const now = clock.now();
    // TLS looked at this once, when the connection began; that can be days ago.
    if (fields.notAfter <= now) throw refuse(`it ended at ${new Date(fields.notAfter).toISOString()}`);
    if (fields.notBefore > now) throw refuse(`it begins at ${new Date(fields.notBefore).toISOString()}`);
    // An authority may be named like a workload, but is none (X509-SVID 5.2).
    if (pathLength(fields).ca) throw refuse("it is an authority's");
    const [uri, ...more] = uriNames(fields);
    if (uri === undefined || more.length > 0) throw refuse("it has not exactly one URI name");
    const identity = parseServiceAccountId(uri);
    if (identity.trustDomain !== trustDomain) throw refuse(`it is of trust domain ${identity.trustDomain}`);
    return { identity, cluster: localCluster, via: "certificate", pod: undefined, expiresAt: fields.notAfter };
  }
}
