import type { Caller, Credentials } from "../caller.ts";
import type { EpochMs } from "../host.ts";
import type { MeshError } from "../errors.ts";
import type { ServiceAccountId } from "../spiffe.ts";
import type { ClientNode, Resource, TypeUrl } from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";

/** A control plane that has proven who it is, and not said yet of which cluster it is. */
export interface PeerProof {
  readonly identity: ServiceAccountId;
  readonly authority: PeerAuthority;
  readonly expiresAt: EpochMs;
  /** What it showed, in DER, leaf first: looked at again when roots change. */
  readonly chain: readonly Uint8Array[];
  readonly remoteAddress: string;
}

/** What issued a peer's certificate: its own cluster has it. */
export interface PeerAuthority {
  /** SHA-256, in hexadecimal, of its public key. */
  readonly key: string;
  /** Of its certificate, as `CN=west`. */
  readonly subject: string;
  readonly notBefore: EpochMs;
}

/** Who may read what we share, as another control plane (contract peering.md 2.3). */
export interface PeerGate {
  /** Undefined for everybody who is no control plane; only a certificate makes one. */
  recognise(credentials: Credentials): PeerProof | undefined;
  /**
   * Lets a peer in that has said who it is.
   * @throws MeshError `denied`, `exhausted` or `unavailable`, with `reason` in its detail: it must end the stream.
   */
  enter(proof: PeerProof, node: ClientNode, visitor: PeerVisitor): PeerVisit;
}

/** A stream of a peer. */
export interface PeerVisitor {
  /** What it may read has changed. */
  follow(logs: PeerLogs): void;
  /** It may read nothing any more. */
  expel(error: MeshError): void;
}

/** Of all types that a peer may subscribe to. */
export type PeerLogs = ReadonlyMap<TypeUrl, ResourceLog>;

export interface PeerVisit {
  /** Of the peer's own cluster. */
  readonly caller: Caller;
  readonly logs: PeerLogs;
  /** Ends the first state of a subscription, which has this digest. */
  marker(digest: string): Resource;
  /** For how many milliseconds nothing more may be sent; 0 if something may. */
  waitMs(): number;
  sent(bytes: number): void;
  /** Idempotent. */
  leave(): void;
}
