import type { Finding } from "../inspect/finding.ts";
import type { DataPlaneServiceType } from "../registry/model/peer.ts";
import { doorFindings, namelessFindings, pendingFinding } from "./doors.ts";
import { EAST_WEST, type GatewayManifest, HBONE_PORT, remoteGateway, remoteName, XDS_PORT } from "./gateways.ts";
import { nameOf, type FoundGateway, type Pair, type Side } from "./side.ts";
import { networkFindings } from "./networks.ts";
import { trustFindings } from "./trust.ts";
import { wayInto, type WayIn } from "./way-in.ts";

export interface LinkOptions {
  /** Where the Gateways are made. */
  readonly namespace: string;
  /** How peers are to be reached; undefined for what each offers. */
  readonly via: DataPlaneServiceType | undefined;
  /** By the context of the peer: where it is reached, whatever its gateway says. */
  readonly addresses: ReadonlyMap<string, GivenAddress>;
  /** By the context of the peer. */
  readonly localities: ReadonlyMap<string, { readonly region: string; readonly zone: string | undefined }>;
  /** Clusters may share a network. */
  readonly flat: boolean;
  /** Of peers that were not read: how somebody says that they are reached. */
  readonly ways?: ReadonlyMap<Side, WayIn>;
}

export interface GivenAddress {
  readonly host: string;
  readonly xdsPort: number | undefined;
  readonly hbonePort: number | undefined;
}

/** What is to be done for one pair: a Gateway, or what is in its way. */
export interface PairPlan {
  readonly pair: Pair;
  readonly findings: readonly Finding[];
  /** Undefined if an error is in its way, or if it is linked by a Gateway of another name. */
  readonly manifest: GatewayManifest | undefined;
  /** As `manifest`, or what would be it once what is in the way were mended, to say what would come of it; its address may be nobody's. */
  readonly imagined: GatewayManifest | undefined;
  /** Its gateway has no address yet: that may come by itself. */
  readonly pending: string | undefined;
}

/** Every ordered pair of different sides. */
export const allPairs = (sides: readonly Side[]): readonly Pair[] =>
  sides.flatMap((reader) => sides.filter((peer) => peer !== reader).map((peer) => ({ reader, peer, mutual: true })));

/** Pure: what it says follows from what both sides say of themselves (contract peering.md 4.2, 6.2). */
export function planPair(pair: Pair, options: LinkOptions): PairPlan {
  const { reader, peer } = pair;
  const door = peer.doors[0];
  const given = options.addresses.get(peer.context);
  const way = options.ways?.get(peer) ?? (door && wayInto(peer, door, options.via));
  const pending = given === undefined ? way?.lack : undefined;
  const findings = [
    ...clusterFindings(pair),
    ...doorFindings(peer, door),
    ...(door !== undefined && pending !== undefined ? [pendingFinding(peer, door, pending)] : []),
    ...networkFindings(pair, options.flat),
    ...trustFindings(pair),
  ];
  const other = reader.remotes.find(
    ({ gateway: { id, leadsTo, network } }) =>
      (leadsTo ?? network) === peer.cluster &&
      !(id.namespace === options.namespace && id.name === remoteName(peer.cluster ?? "")),
  );
  if (other !== undefined) {
    const linked = [...findings, linkedFinding(pair, other)];
    return { pair, findings: linked, manifest: undefined, imagined: undefined, pending };
  }
  const wrong = findings.some(({ level }) => level === "error");
  const nameable = peer.cluster !== undefined && peer.cluster !== reader.cluster && peer.network !== undefined;
  const imagined = nameable ? wanted(pair, door, pending === undefined && way ? way : NOWHERE, options) : undefined;
  return { pair, findings, manifest: wrong ? undefined : imagined, imagined, pending };
}

/** For as long as nobody knows where: what would be shared does not depend on it. */
const NOWHERE: WayIn = {
  ...{ addresses: ["address-to-come.invalid"], xdsPort: XDS_PORT, hbonePort: HBONE_PORT, via: "loadbalancer" },
  lack: undefined,
};

function wanted(
  { reader, peer }: Pair,
  door: FoundGateway | undefined,
  way: WayIn,
  options: LinkOptions,
): GatewayManifest {
  const given = options.addresses.get(peer.context);
  const account = door === undefined ? EAST_WEST : door.gateway.serviceAccount || door.gateway.id.name;
  return remoteGateway({
    cluster: peer.cluster!,
    network: peer.network!,
    namespace: options.namespace,
    addresses: given === undefined ? way.addresses : [given.host],
    xdsPort: given?.xdsPort ?? way.xdsPort,
    hbonePort: given?.hbonePort ?? way.hbonePort,
    trustDomain: peer.trustDomain === reader.trustDomain ? undefined : peer.trustDomain,
    serviceAccount: account === EAST_WEST ? undefined : account,
    preferred: options.via ?? (way.via === "nodeport" ? "nodeport" : undefined),
    ...options.localities.get(peer.context),
  });
}

function clusterFindings({ reader, peer }: Pair): readonly Finding[] {
  const nameless = namelessFindings([reader, peer]);
  if (reader.cluster === undefined || reader.cluster !== peer.cluster) return nameless;
  return [
    {
      code: "CWY3002",
      level: "error",
      cluster: reader.cluster,
      object: `${nameOf(reader)}, ${nameOf(peer)}`,
      field: "CLUSTER_ID",
      evidence: `Both clusters say that their ID is ${reader.cluster}, so neither could be a peer of the other`,
      fix: "set another CLUSTER_ID on the control plane of one of them, unless both contexts lead to one cluster: then name it once",
    },
  ];
}

function linkedFinding({ reader, peer }: Pair, { gateway: { id } }: FoundGateway): Finding {
  return {
    code: "CWY3006",
    level: "info",
    cluster: reader.cluster,
    object: `Gateway ${id.namespace}/${id.name}`,
    field: "",
    evidence: `${nameOf(reader)} is linked to ${peer.cluster} already, by a Gateway of another name, which is left as it is`,
    fix: "",
  };
}
