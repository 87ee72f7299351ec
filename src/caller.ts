import type { EpochMs } from "./host.ts";
import type { ClusterId } from "./names.ts";
import type { ServiceAccountId } from "./spiffe.ts";

/** What a connection shows of itself. Nothing here is proven yet. */
export interface Credentials {
  /** The `authorization` header, whole. */
  readonly authorization: string | undefined;
  /** The `clusterid` header: only ever selects a verifier. */
  readonly clusterId: string | undefined;
  /** The client certificate that the TLS layer has verified, in DER, leaf first; empty if none was. */
  readonly certificateChain: readonly Uint8Array[];
  /** For logs. */
  readonly remoteAddress: string;
}

/** Who is on the other end, proven. */
export interface Caller {
  readonly identity: ServiceAccountId;
  /** The cluster whose authority verified the caller, not the one the caller named. */
  readonly cluster: ClusterId;
  readonly via: "token" | "certificate";
  /** The pod that the token is bound to; undefined for a certificate or an unbound token. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
  /** After this the proof no longer holds. */
  readonly expiresAt: EpochMs;
}

/** Turns credentials into a caller: a token issuer, a TokenReview, a client certificate check. */
export interface Authenticator {
  /** @throws MeshError `unauthenticated` if nothing was proven, `unavailable` if the authority could not be asked. */
  authenticate(credentials: Credentials): Promise<Caller>;
}
