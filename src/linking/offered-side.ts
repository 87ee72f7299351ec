import { type ClusterFacts, type KindFacts, kindName } from "../inspect/cluster-facts.ts";
import type { ResourceType } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { toPem } from "../pem.ts";
import { parseIp } from "../registry/ip.ts";
import { SEGMENT_LABEL } from "../registry/kube/segment.ts";
import { EAST_WEST, eastWestGateway, NETWORK_LABEL, SERVICE_ACCOUNT } from "./gateways.ts";
import type { Offer } from "./offer.ts";
import { sideOf, type Side } from "./side.ts";
import type { WayIn } from "./way-in.ts";

/** What an offer does not say is not known: neither what is there nor that nothing is. */
const UNSAID: readonly ResourceType[] = [
  ...[types.SERVICES, types.PODS, types.ENDPOINT_SLICES, types.NODES, types.PEER_GRANTS],
  ...[types.SERVICE_ENTRIES, types.WORKLOAD_ENTRIES, types.GATEWAY_CLASSES],
];

/**
 * The cluster that an offer is about, as if as much of it had been read: so it is judged by the same rules as one that
 * was. Fixes name its context by its ID.
 */
export function offeredSide(offer: Offer, readAt: number, system: string): Side {
  const kinds = new Map<string, KindFacts>(
    UNSAID.map((type) => [kindName(type), { why: "its offer does not say that", absent: false }]),
  );
  for (const [type, object] of objectsOf(offer, system)) kinds.set(kindName(type), { objects: [object] });
  const named = objectsOf(offer, system).filter(([type]) => type === types.CONFIG_MAPS);
  kinds.set(kindName(types.CONFIG_MAPS), { objects: named.map(([, object]) => object) });
  if (offer.segment === "") kinds.set(kindName(types.SEGMENTS), { objects: [] });
  const { cluster } = offer;
  const facts: ClusterFacts = {
    ...{ cluster: "", source: `the offer of cluster ${cluster}`, context: cluster, readAt, kinds, planes: [] },
    measured: { clockSkewMs: undefined, rights: undefined },
  };
  return { ...sideOf(facts, { system, cluster }), offered: true };
}

/** How the offer has the cluster reached. */
export const offeredWay = ({ addresses, xdsPort, hbonePort, via }: Offer): WayIn => ({
  ...{ addresses, xdsPort, hbonePort, via },
  lack: undefined,
});

function objectsOf(offer: Offer, system: string): readonly (readonly [ResourceType, KubeObject])[] {
  const { network, trustDomain, segment, domain, roots, chain } = offer;
  const pem = (all: readonly Uint8Array[]): string => all.map((der) => toPem("CERTIFICATE", der)).join("");
  const labels = { [NETWORK_LABEL]: network, ...(segment !== "" && { [SEGMENT_LABEL]: segment }) };
  const data = { "cert-chain.pem": Buffer.from(pem(chain)).toString("base64") };
  return [
    [types.NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: system, labels } }],
    [types.GATEWAYS, doorOf(offer)],
    [types.CONFIG_MAPS, configMap(system, "istio", { mesh: `trustDomain: ${JSON.stringify(trustDomain)}\n` })],
    [types.CONFIG_MAPS, configMap(system, "istio-ca-root-cert", { "root-cert.pem": pem(roots) })],
    [types.SECRETS, { apiVersion: "v1", kind: "Secret", metadata: { name: "cacerts", namespace: system }, data }],
    ...(segment === "" ? [] : [[types.SEGMENTS, segmentOf(system, segment, domain)] as const]),
  ];
}

const configMap = (namespace: string, name: string, data: Readonly<Record<string, string>>): KubeObject => ({
  ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data },
});

const segmentOf = (namespace: string, name: string, domain: string): KubeObject => ({
  ...{ apiVersion: "admin.solo.io/v1alpha1", kind: "Segment", metadata: { name, namespace }, spec: { domain } },
});

/** As the other team's `expose` made it, at the addresses that it offers. */
function doorOf({ cluster, network, addresses, serviceAccount }: Offer): KubeObject {
  const { metadata, ...gateway } = eastWestGateway({ cluster, network });
  const annotations = serviceAccount === EAST_WEST ? {} : { [SERVICE_ACCOUNT]: serviceAccount };
  const status = {
    addresses: addresses.map((value) => ({ type: parseIp(value) === undefined ? "Hostname" : "IPAddress", value })),
  };
  return { ...gateway, metadata: { ...metadata, annotations }, status } as unknown as KubeObject;
}
