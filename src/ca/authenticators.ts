import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { ClusterId } from "../names.ts";
import { parseServiceAccountId } from "../spiffe.ts";
import { readCertificate, uriNames } from "./certificate-fields.ts";

export interface AuthenticatorsOptions {
  /** The verifier of each cluster's tokens. */
  readonly tokens: ReadonlyMap<ClusterId, Authenticator>;
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
    const fields = readCertificate(leaf);
    const [uri, ...more] = uriNames(fields);
    if (uri === undefined || more.length > 0)
      throw new MeshError("unauthenticated", "the client certificate has not exactly one URI name");
    const identity = parseServiceAccountId(uri);
    const { trustDomain, localCluster } = this.#options;
    if (identity.trustDomain !== trustDomain)
      throw new MeshError("unauthenticated", `the client certificate is of trust domain ${identity.trustDomain}`);
    return { identity, cluster: localCluster, via: "certificate", pod: undefined, expiresAt: fields.notAfter };
  }
}
