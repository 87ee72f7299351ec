/** What a seed may have of a world: few names, so that clusters meet in them. */
export const NAMESPACES = ["shop", "bank"] as const;
export const SERVICES = ["shop/cart", "shop/till", "bank/cart", "bank/till"] as const;
export const SEGMENT_DOMAIN = "blue.example";

export interface ModelService {
  /** Of its label; empty for none. */
  readonly scope: string;
  readonly takeover: boolean;
  readonly ports: readonly number[];
  readonly headless: boolean;
  readonly usesWaypoint: boolean;
}

export interface ModelPod {
  /** The name of the Service that selects it, in its own namespace. */
  readonly app: string;
  readonly ready: boolean;
  readonly account: string;
}

/** A Gateway of class istio-remote. */
export interface ModelGateway {
  /** How many of the peer's addresses it has. */
  readonly doors: 1 | 2;
  readonly region: string;
  /** Set while somebody has written the wrong network or trust domain into it. */
  readonly mistaken: "network" | "trustDomain" | undefined;
}

/** Namespaces, or undefined if the grant does not speak of that direction. */
export interface ModelGrant {
  readonly exports: readonly string[] | undefined;
  readonly imports: readonly string[] | undefined;
}

/** One cluster, as its own objects say; keys of services and pods are `namespace/name`, of the rest a peer's name. */
export interface ModelCluster {
  readonly name: string;
  /** Tells its addresses from others'. */
  readonly index: number;
  readonly network: string;
  readonly trustDomain: string;
  readonly services: Map<string, ModelService>;
  readonly pods: Map<string, ModelPod>;
  /** The scope label of a namespace. */
  readonly scopes: Map<string, string>;
  readonly waypoints: Set<string>;
  readonly gateways: Map<string, ModelGateway>;
  readonly grants: Map<string, ModelGrant>;
  inSegment: boolean;
  /** The service account of its east-west gateway; undefined if it has none. */
  eastWest: string | undefined;
}

export type ModelWorld = ReadonlyMap<string, ModelCluster>;

export const namespaceOf = (key: string): string => key.slice(0, key.indexOf("/"));
export const nameOf = (key: string): string => key.slice(key.indexOf("/") + 1);
/** Where a cluster's east-west gateway is; what leads there leads to its control plane, too. */
export const doorsOf = ({ index }: Pick<ModelCluster, "index">): readonly string[] => [
  `192.0.2.${index * 2 + 1}`,
  `192.0.2.${index * 2 + 2}`,
];
export const waypointIp = ({ index }: ModelCluster, namespace: string): string =>
  `10.20${index}.${NAMESPACES.indexOf(namespace as "shop")}.9`;
export const podIp = ({ index }: ModelCluster, key: string): string =>
  `10.${index}.${NAMESPACES.indexOf(namespaceOf(key) as "shop")}.${nameOf(key).slice(1)}`;
export const targetOf = (port: number): number => port + 8000;
