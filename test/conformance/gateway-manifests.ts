/** A namespace of the mesh, whose services go through its waypoint if it is named. */
export const ambientNamespace = (name: string, network: string, waypoint = ""): string => `
apiVersion: v1
kind: Namespace
metadata:
  name: ${name}
  labels: {istio.io/dataplane-mode: ambient, topology.istio.io/network: ${network}${waypoint && `, istio.io/use-waypoint: ${waypoint}`}}
`;

/** The system namespace of a cluster, and its way in, as guide 001 has it. */
export const clusterManifest = (network: string, door: string): string => `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: ${network}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-eastwest
  namespace: istio-eastwest
  labels: {topology.istio.io/network: ${network}, istio.io/expose-istiod: "15012"}
spec:
  gatewayClassName: istio-eastwest
  addresses: [{type: IPAddress, value: ${door}}]
  listeners:
    - {name: cross-network, port: 15008, protocol: HBONE, tls: {mode: Passthrough}}
    - {name: xds-tls, port: 15012, protocol: TLS, tls: {mode: Passthrough}}
---
${gatewayPod("istio-eastwest", "istio-eastwest", door)}`;

/** A Gateway `waypoint`, which is at its only pod. */
export const waypointManifest = (namespace: string, address: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: ${namespace}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
status: {addresses: [{type: IPAddress, value: ${address}}]}
---
${gatewayPod(namespace, "waypoint", address)}`;

const gatewayPod = (namespace: string, gateway: string, address: string): string => `
apiVersion: v1
kind: Pod
metadata:
  name: ${gateway}-1
  namespace: ${namespace}
  labels: {gateway.networking.k8s.io/gateway-name: ${gateway}}
spec: {nodeName: node-2, serviceAccountName: ${gateway}, containers: [{name: proxy, image: envoy}]}
status: {phase: Running, podIPs: [{ip: ${address}}], podIP: ${address}}
`;
