import { parseIp } from "../registry/ip.ts";
import { EXPOSE_ISTIOD, NODE_PORTS } from "../registry/kube/gateway-deployment.ts";
import { REMOTE_CLASS } from "../registry/kube/gateway.ts";
import type { DataPlaneServiceType } from "../registry/model/peer.ts";

/** What `expose` and `link` call things where nobody says otherwise (contract peering.md 4.1, 4.2). */
export const EAST_WEST = "istio-eastwest";
export const XDS_PORT = 15_012;
export const HBONE_PORT = 15_008;
export const remoteName = (cluster: string): string => `istio-remote-peer-${cluster}`;

export const CLUSTER_LABEL = "topology.istio.io/cluster";
export const NETWORK_LABEL = "topology.istio.io/network";
export const REGION_LABEL = "topology.kubernetes.io/region";
export const ZONE_LABEL = "topology.kubernetes.io/zone";
export const TRUST_DOMAIN = "gateway.istio.io/trust-domain";
export const SERVICE_ACCOUNT = "gateway.istio.io/service-account";
export const PREFERRED_TYPE = "peering.solo.io/preferred-data-plane-service-type";
export const SERVICE_TYPE = "peering.solo.io/data-plane-service-type";

type Texts = Readonly<Record<string, string>>;

/** As much of a Gateway as is ours to say: what `kubectl apply` would be given. */
export interface GatewayManifest {
  readonly apiVersion: "gateway.networking.k8s.io/v1";
  readonly kind: "Gateway";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Texts;
    readonly annotations?: Texts;
  };
  readonly spec: GatewaySpec;
}

export interface GatewaySpec {
  readonly gatewayClassName: string;
  readonly addresses?: readonly GatewayAddress[];
  readonly infrastructure?: {
    readonly annotations?: Texts;
    readonly parametersRef?: { readonly group: ""; readonly kind: "ConfigMap"; readonly name: string };
  };
  readonly listeners: readonly GatewayListener[];
}

export interface GatewayAddress {
  readonly type: "IPAddress" | "Hostname";
  readonly value: string;
}

export interface GatewayListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: "HBONE" | "TLS";
  readonly tls: { readonly mode: "Passthrough" | "Terminate"; readonly options?: Texts };
  readonly allowedRoutes: { readonly namespaces: { readonly from: "Same" } };
}

/** The way into a cluster from others. */
export interface EastWest {
  readonly cluster: string;
  readonly network: string;
  /** `istio-eastwest` by default, and so is `name`. */
  readonly namespace?: string;
  readonly name?: string;
  /** `istio-eastwest` (by default) or `istio-east-west`. */
  readonly className?: string;
  /** How peers can reach it; where nothing is said, by a load balancer. */
  readonly serviceTypes?: readonly DataPlaneServiceType[];
  /** Of every node; undefined to take what Kubernetes gives. */
  readonly hboneNodePort?: number | undefined;
  readonly xdsNodePort?: number | undefined;
  /** For the load balancer of a cloud: they come to be on the Service. */
  readonly serviceAnnotations?: Texts;
  /** A ConfigMap beside it that says more of what is deployed; undefined if nothing is to be said. */
  readonly parameters?: string | undefined;
}

/** The Gateway that `causeway multicluster expose` makes, and the chart's `eastwest` (contract peering.md B02, B08, 4.1). */
export function eastWestGateway(options: EastWest): GatewayManifest {
  const { cluster, network, namespace = EAST_WEST, name = EAST_WEST, className = EAST_WEST } = options;
  const annotations = eastWestAnnotations(options);
  const infrastructure = infrastructureOf(options);
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: {
      name,
      namespace,
      labels: { [EXPOSE_ISTIOD]: `${XDS_PORT}`, [CLUSTER_LABEL]: cluster, [NETWORK_LABEL]: network },
      ...unlessEmpty("annotations", annotations),
    },
    spec: {
      gatewayClassName: className,
      ...unlessEmpty("infrastructure", infrastructure),
      listeners: [hboneListener(HBONE_PORT, className), xdsListener(XDS_PORT)],
    },
  };
}

function eastWestAnnotations({ serviceTypes = [], hboneNodePort, xdsNodePort }: EastWest): Texts {
  const ports = [
    [HBONE_PORT, hboneNodePort],
    [XDS_PORT, xdsNodePort],
  ].flatMap(([port, nodePort]) => (nodePort === undefined ? [] : [`${port}=${nodePort}`]));
  return {
    // A load balancer is what there is anyway.
    ...(serviceTypes.includes("nodeport") && { [SERVICE_TYPE]: serviceTypes.join(",") }),
    ...(ports.length > 0 && { [NODE_PORTS]: ports.join(",") }),
  };
}

function infrastructureOf({ serviceAnnotations = {}, parameters }: EastWest): GatewaySpec["infrastructure"] & object {
  return {
    ...unlessEmpty("annotations", serviceAnnotations),
    ...(parameters !== undefined && { parametersRef: { group: "", kind: "ConfigMap", name: parameters } }),
  };
}

/** Where a peer is, for one that reads it. */
export interface Remote {
  readonly cluster: string;
  readonly network: string;
  /** Of the peer's east-west gateway; the first is dialled first. An IP address has no brackets. */
  readonly addresses: readonly string[];
  readonly namespace?: string;
  /** `istio-remote-peer-<cluster>` by default. */
  readonly name?: string;
  /** 15012 by default; the peer's node port where it is reached by its nodes. */
  readonly xdsPort?: number | undefined;
  /** Undefined to have the peer say it, which is the only way with node ports. */
  readonly hbonePort?: number | undefined;
  /** Undefined if it is the reader's own. */
  readonly trustDomain?: string | undefined;
  /** Of the peer's east-west gateway; undefined for `istio-eastwest`. */
  readonly serviceAccount?: string | undefined;
  /** Undefined to take what the peer offers. */
  readonly preferred?: DataPlaneServiceType | undefined;
  /** Where all that the peer has is; undefined to have the peer say it. */
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
}

/** The Gateway that `causeway multicluster link` makes, and each of the chart's `remote.items` (contract peering.md 2.2, B09, 4.2). */
export function remoteGateway(remote: Remote): GatewayManifest {
  const { cluster, network, namespace = EAST_WEST, name = remoteName(cluster), addresses } = remote;
  const { xdsPort = XDS_PORT, hbonePort, region, zone } = remote;
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: {
      name,
      namespace,
      labels: {
        [CLUSTER_LABEL]: cluster,
        [NETWORK_LABEL]: network,
        ...(region !== undefined && { [REGION_LABEL]: region }),
        ...(zone !== undefined && { [ZONE_LABEL]: zone }),
      },
      ...unlessEmpty("annotations", remoteAnnotations(remote)),
    },
    spec: {
      gatewayClassName: REMOTE_CLASS,
      addresses: addresses.map(gatewayAddress),
      listeners: [...(hbonePort === undefined ? [] : [hboneListener(hbonePort)]), xdsListener(xdsPort)],
    },
  };
}

const remoteAnnotations = ({ trustDomain, serviceAccount, preferred }: Remote): Texts => ({
  ...(serviceAccount !== undefined && { [SERVICE_ACCOUNT]: serviceAccount }),
  ...(trustDomain !== undefined && { [TRUST_DOMAIN]: trustDomain }),
  ...(preferred !== undefined && { [PREFERRED_TYPE]: preferred }),
});

const gatewayAddress = (value: string): GatewayAddress => ({
  type: parseIp(value) === undefined ? "Hostname" : "IPAddress",
  value,
});

/** Upstream's gateway ends tunnels, and says so; the product's does as well, and says that it passes them on. */
function hboneListener(port: number, className = EAST_WEST): GatewayListener {
  const ends = className === "istio-east-west";
  return listener("cross-network", port, "HBONE", {
    mode: ends ? "Terminate" : "Passthrough",
    ...(ends && { options: { "gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL" } }),
  });
}

const xdsListener = (port: number): GatewayListener => listener("xds-tls", port, "TLS", { mode: "Passthrough" });

const listener = (
  name: string,
  port: number,
  protocol: GatewayListener["protocol"],
  tls: GatewayListener["tls"],
): GatewayListener => ({ name, port, protocol, tls, allowedRoutes: { namespaces: { from: "Same" } } });

const unlessEmpty = <K extends string, T extends object>(key: K, value: T): Partial<Record<K, T>> =>
  Object.keys(value).length === 0 ? {} : ({ [key]: value } as Record<K, T>);
