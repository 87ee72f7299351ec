/** Where a control plane of another cluster is. */
export interface GatewayPlace {
  readonly cluster: string;
  readonly address: string;
  readonly xdsPort: number;
  readonly hbonePort: number;
}

/** A cluster that shares nothing yet, and the way in. */
export const clusterManifest = (own: GatewayPlace): string => `\
apiVersion: v1
kind: Namespace
metadata:
  name: istio-system
  labels: { topology.istio.io/network: ${own.cluster} }
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: { istio.io/dataplane-mode: ambient }
---
apiVersion: v1
kind: Namespace
metadata:
  name: istio-eastwest
---
${gateway("istio-eastwest", "istio-eastwest", own, `    istio.io/expose-istiod: "${own.xdsPort}"\n`)}`;

/** A link to another cluster. */
export const linkManifest = (peer: GatewayPlace): string =>
  gateway(`istio-remote-peer-${peer.cluster}`, "istio-remote", peer, "");

const gateway = (
  name: string,
  kind: string,
  { cluster, address, xdsPort, hbonePort }: GatewayPlace,
  label: string,
): string => `\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: ${name}
  namespace: istio-eastwest
  labels:
    topology.istio.io/cluster: ${cluster}
    topology.istio.io/network: ${cluster}
${label}spec:
  gatewayClassName: ${kind}
  addresses:
    - { type: IPAddress, value: "${address}" }
  listeners:
    - { name: cross-network, port: ${hbonePort}, protocol: HBONE, tls: { mode: Passthrough } }
    - { name: xds-tls, port: ${xdsPort}, protocol: TLS, tls: { mode: Passthrough } }
`;

/** A shared service of namespace `shop`, with so many pods. */
export const sharedService = (name: string, replicas: number): string => `\
apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  labels: { solo.io/service-scope: global }
spec:
  selector: { app: ${name} }
  ports:
    - { name: http, port: 8080, targetPort: http }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: shop }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
        - { name: app, image: "app:v1", ports: [{ name: http, containerPort: 8080 }] }
`;
