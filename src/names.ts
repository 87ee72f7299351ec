declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** The cluster an object came from, as `east`; never empty. */
export type ClusterId = Branded<"ClusterId">;
/** A network whose addresses are distinct and reach each other directly; empty is the default network. */
export type NetworkId = Branded<"NetworkId">;
/** A DNS name, possibly with a leading `*.`. */
export type Hostname = Branded<"Hostname">;
/** The resource name of a workload (contract ztunnel.md 2.9), as `east//Pod/shop/cart-0`. */
export type WorkloadUid = Branded<"WorkloadUid">;
/** The resource name of a service: `namespace/hostname`. */
export type ServiceName = Branded<"ServiceName">;
/** The resource name of an authorization policy: `namespace/name`. */
export type PolicyName = Branded<"PolicyName">;
/** Where a Kubernetes object is: `cluster/namespace/name`, with an empty namespace if it has none. */
export type ObjectKey = Branded<"ObjectKey">;

export const clusterId = (text: string): ClusterId => text as ClusterId;
/** What a cluster can be called: it stands in names of resources, in paths and in metrics. */
export const isClusterId = (text: string): text is ClusterId =>
  /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/.test(text);
export const networkId = (text: string): NetworkId => text as NetworkId;
export const hostname = (text: string): Hostname => text as Hostname;
export const serviceName = (namespace: string, host: string): ServiceName => `${namespace}/${host}` as ServiceName;
export const policyName = (namespace: string, name: string): PolicyName => `${namespace}/${name}` as PolicyName;

// Joined, not a template: V8 keeps the tree of a template's parts beside the flat text, 32 bytes for each of a hundred
// thousand pods' names.
export const objectKey = (cluster: ClusterId, namespace: string, name: string): ObjectKey =>
  [cluster, namespace, name].join("/") as ObjectKey;

/** Everything of one cluster lies under this prefix. */
export const clusterPrefix = (cluster: ClusterId): string => `${cluster}/`;

export const podUid = (cluster: ClusterId, namespace: string, name: string): WorkloadUid =>
  [cluster, "/Pod", namespace, name].join("/") as WorkloadUid;

export const workloadEntryUid = (cluster: ClusterId, namespace: string, name: string): WorkloadUid =>
  `${cluster}/networking.istio.io/WorkloadEntry/${namespace}/${name}` as WorkloadUid;

export const serviceEntryEndpointUid = (
  cluster: ClusterId,
  namespace: string,
  name: string,
  address: string,
): WorkloadUid => `${cluster}/networking.istio.io/ServiceEntry/${namespace}/${name}/${address}` as WorkloadUid;

export const endpointSliceUid = (cluster: ClusterId, namespace: string, slice: string, address: string): WorkloadUid =>
  `${cluster}/discovery.k8s.io/EndpointSlice/${namespace}/${slice}/${address}` as WorkloadUid;

export const networkGatewayUid = (network: NetworkId, address: string, hbonePort: number): WorkloadUid =>
  `NetworkGateway/${network}/${address}/${hbonePort}` as WorkloadUid;

/** All endpoints of `service` that one gateway of their network leads to; `address` is the gateway's. */
export const coalescedUid = (
  network: NetworkId,
  gatewayNamespace: string,
  gatewayName: string,
  address: string,
  service: ServiceName,
): WorkloadUid =>
  `${network}/SplitHorizonWorkload/${gatewayNamespace}/${gatewayName}/${address}/${service}` as WorkloadUid;

/** All endpoints of a peer's service that one of its gateways leads to; `address` is the gateway's. */
export const aggregateUid = (
  cluster: ClusterId,
  namespace: string,
  service: string,
  network: NetworkId,
  address: string,
): WorkloadUid => [cluster, "SplitHorizonWorkload", namespace, service, network, address].join("/") as WorkloadUid;

/** A node of a peer that takes tunnels. */
export const peerNodeUid = (cluster: ClusterId, network: NetworkId, ip: string, hbonePort: number): WorkloadUid =>
  `${cluster}/Node/${network}/${ip}/${hbonePort}` as WorkloadUid;

/** A workload of a peer on our own network, which the peer itself calls `uid`. */
export const flatUid = (cluster: ClusterId, uid: WorkloadUid): WorkloadUid =>
  `${cluster}/autogenflat/${uid.slice(cluster.length + 1)}` as WorkloadUid;
