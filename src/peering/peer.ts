import type { GatewayHost } from "../registry/model/address.ts";
import type { ClusterId, NetworkId } from "../names.ts";

/** Whom to dial, and whom to expect there (contract peering.md 2.2 and 2.3). */
export interface PeerTarget {
  readonly cluster: ClusterId;
  /** What the peer must say of itself; anything else is an intruder's, or a mistake. */
  readonly network: NetworkId;
  readonly trustDomain: string;
  /** In the order in which they are tried. */
  readonly hosts: readonly GatewayHost[];
  /** Of the peer's control plane, through its east-west gateway. */
  readonly xdsPort: number;
}

/** Our end of one peering. What arrives goes to the sources it was opened with. */
export interface PeerLink {
  readonly target: PeerTarget;
  readonly state: "connecting" | "syncing" | "live" | "stale";
  /** Wall time in milliseconds; undefined until the peer has spoken. */
  readonly heardAt: number | undefined;
  /** Drops the stream, and what came by it only if `withdraw`: a Gateway that was deleted, not a process that ends. */
  close(withdraw: boolean): Promise<void>;
}
