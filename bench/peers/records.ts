import { clusterId, networkId } from "../../src/names.ts";
import type { ClusterFacts } from "../../src/registry/model/peer.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import { SYSTEM_NAMESPACE, TRUST_DOMAIN } from "./authority.ts";

/** Endpoints of each service; so many of them are ready as the last change says. */
const ENDPOINTS = 10;

/** Half of what a peer shares has a name that all peers share, half one of its own. */
export const serviceNameOf = (cluster: string, at: number): string =>
  at % 2 === 0 ? `common-${at}` : `own-${cluster}-${at}`;

/** What a peer tells of one service; each `revision` has another count of ready endpoints than the one before. */
export function federatedService(cluster: string, at: number, revision: number): FederatedService {
  const name = serviceNameOf(cluster, at);
  const ready = 1 + (revision % (ENDPOINTS - 1));
  return {
    cluster: clusterId(cluster),
    namespace: "shop",
    name,
    scope: "global",
    segment: "",
    ports: [
      { number: 80, name: "http", protocol: "HTTP", targetPort: 8080 },
      { number: 443, name: "https", protocol: "TCP", targetPort: 8443 },
    ],
    ready,
    total: ENDPOINTS,
    identities: [`spiffe://${TRUST_DOMAIN}/ns/shop/sa/${name}`],
    localities: [{ region: "eu-central-1", zone: "eu-central-1a", ready }],
    waypoint: undefined,
    waypointPolicy: "once",
    takeover: false,
    distribution: undefined,
    labels: [],
    annotations: [],
    createdMs: 1_700_000_000_000,
  };
}

/** What a peer says of itself. */
export function clusterFacts(cluster: string, address: string, hbonePort: number): ClusterFacts {
  const identity = `spiffe://${TRUST_DOMAIN}/ns/istio-eastwest/sa/istio-eastwest`;
  return {
    cluster: clusterId(cluster),
    network: networkId(cluster),
    trustDomain: TRUST_DOMAIN,
    segment: "",
    domain: "mesh.internal",
    aliasesDigest: "",
    doors: [{ serviceType: "loadbalancer", host: { kind: "ip", ip: address }, hbonePort, identity }],
    version: "bench",
    features: [],
    roots: [],
  };
}

/** How a control plane of `cluster` introduces itself. */
export const peerNode = (cluster: string) => ({
  id: `istiod~127.0.0.1~istiod.${SYSTEM_NAMESPACE}~${SYSTEM_NAMESPACE}.svc.cluster.local`,
  metadata: new Map([
    ["CLUSTER_ID", cluster],
    ["NAMESPACE", SYSTEM_NAMESPACE],
    ["INSTANCE_IPS", "127.0.0.1"],
  ]),
});
