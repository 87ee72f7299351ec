import type { ClusterId, NetworkId, ObjectKey } from "../../names.ts";
import type { GatewayHost, Locality } from "./address.ts";

/** The domain of global names of a cluster that is in no segment. */
export const DEFAULT_GLOBAL_DOMAIN = "mesh.internal";

/** What a cluster says of itself to its peers (SGDS; contract peering.md 2.4). */
export interface ClusterFacts {
  readonly cluster: ClusterId;
  readonly network: NetworkId;
  readonly trustDomain: string;
  /** Empty if it is in none. */
  readonly segment: string;
  /** Of its global names, as `mesh.internal`. */
  readonly domain: string;
  /** SHA-256 of its segment's alias patterns, in hexadecimal; empty if there are none. */
  readonly aliasesDigest: string;
  readonly doors: readonly Door[];
  readonly version: string;
  readonly features: readonly string[];
  /** What it trusts for its own trust domain, by SHA-256 of the DER in hexadecimal. */
  readonly roots: readonly { readonly sha256: string; readonly notAfterMs: number }[];
}

/** A way into a cluster's network. */
export interface Door {
  readonly serviceType: DataPlaneServiceType;
  readonly host: GatewayHost;
  readonly hbonePort: number;
  /** The gateway's, as `spiffe://…`. */
  readonly identity: string;
}

export type DataPlaneServiceType = "loadbalancer" | "nodeport";

/** A Gateway of class `istio-remote` of the local cluster: where a peer is (contract peering.md 2.2). */
export interface PeerGateway {
  readonly gateway: ObjectKey;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** Whom it leads to; undefined only if it is refused. */
  readonly cluster: ClusterId | undefined;
  readonly network: NetworkId;
  readonly trustDomain: string;
  /** In the order of its spec. */
  readonly hosts: readonly GatewayHost[];
  /** Where the peer's control plane is reached through its east-west gateway. */
  readonly xdsPort: number;
  /** Undefined if it is the peer's to say, or else 15008. */
  readonly hbonePort: number | undefined;
  /** Of the peer's east-west gateway. */
  readonly serviceAccount: string;
  /** Stamped on all that is behind it. */
  readonly locality: Locality | undefined;
  readonly preferred: DataPlaneServiceType | undefined;
  /** Why there is no link; undefined if there is to be one. */
  readonly refused: { readonly reason: PeerGatewayReason; readonly message: string } | undefined;
}

export type PeerGatewayReason =
  "InvalidListener" | "MissingNetwork" | "MissingCluster" | "MissingAddress" | "SelfPeer" | "Conflicted";

/** How a link is, as far as others must know: written only when something of it changes (contract peering.md 2.13, 2.14). */
export interface PeerStatus {
  readonly cluster: ClusterId;
  readonly state: "connecting" | "syncing" | "live" | "stale";
  /** True from the first whole snapshot on, one that was kept from an earlier run included. */
  readonly everSynced: boolean;
  /** Why it is not connected, or not in sync; undefined if it is. */
  readonly reason: PeerReason | undefined;
  /** One sentence for the person who can mend it; empty if nothing is wrong. */
  readonly message: string;
  /** Why the link was last lost, or not made; stays when it is there again. */
  readonly lastError: PeerError | undefined;
  /** Wall time in milliseconds from which `state` has held. */
  readonly sinceMs: number;
  /** Whether the peer's HBONE port takes connections from here; unknown until it was tried. */
  readonly dataPlane: "unknown" | "open" | "closed";
  /** What to do with what a peer said that has been stale for longer than its grace: nothing within it. */
  readonly staleness: "fresh" | "within-grace" | "retain" | "unhealthy" | "remove";
}

export interface PeerError {
  readonly reason: PeerReason;
  readonly message: string;
  /** Wall time in milliseconds at which it came first: what is tried again and fails alike is one error. */
  readonly atMs: number;
}

export type PeerReason =
  | "AddressUnresolved"
  | "DialTimeout"
  | "ConnectionRefused"
  | "TLSUnknownAuthority"
  | "TLSBadCertificate"
  | "TrustDomainUnknown"
  | "IdentityMismatch"
  | "PermissionDenied"
  | "VersionSkew"
  | "SyncPending"
  | "ResourceRejected"
  | "Stale"
  | "Disconnected";

/** Why something that a peer said is not believed, for those who ask where it is. */
export interface ImportDenial {
  readonly reason: string;
  /** What follows the name of the record, without a full stop. */
  readonly message: string;
}
