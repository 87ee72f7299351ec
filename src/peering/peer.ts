import type { ClusterId, NetworkId } from "../names.ts";
import type { GatewayHost } from "../registry/model/address.ts";
import type { DataPlaneServiceType, PeerGateway } from "../registry/model/peer.ts";

/** Whom to dial, and whom to expect there (contract peering.md 2.2 and 2.3). */
export interface PeerTarget {
  readonly cluster: ClusterId;
  /** The Gateway that says so, as `namespace/name`. */
  readonly gateway: string;
  /** What the peer must say of itself; anything else is an intruder's, or a mistake. */
  readonly network: NetworkId;
  readonly trustDomain: string;
  /** In the order in which they are tried. */
  readonly hosts: readonly GatewayHost[];
  /** Of the peer's control plane, through its east-west gateway. */
  readonly xdsPort: number;
  /** Where the peer takes traffic; undefined if that is for the peer to say. */
  readonly hbonePort: number | undefined;
  /** How traffic is to reach it; undefined if that is as the peer offers. */
  readonly preferred: DataPlaneServiceType | undefined;
}

/** Where a Gateway leads; undefined if it is refused, or leads nowhere. */
export function targetOf({ cluster, refused, ...gateway }: PeerGateway): PeerTarget | undefined {
  if (cluster === undefined || refused !== undefined) return undefined;
  const { namespace, name, network, trustDomain, hosts, xdsPort, hbonePort, preferred } = gateway;
  return { cluster, gateway: `${namespace}/${name}`, network, trustDomain, hosts, xdsPort, hbonePort, preferred };
}

/** As logs and errors name it. */
export const linkName = (cluster: ClusterId): string => `peering-${cluster}`;
