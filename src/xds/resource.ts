declare const brand: unique symbol;

/** As `type.googleapis.com/istio.workload.Address`. */
export type TypeUrl = string & { readonly [brand]: "TypeUrl" };
/** A place in a ResourceLog; larger is later. */
export type Position = number;

export const ADDRESS_TYPE = "type.googleapis.com/istio.workload.Address" as TypeUrl;
export const AUTHORIZATION_TYPE = "type.googleapis.com/istio.security.Authorization" as TypeUrl;
/** What control planes tell each other; never a ztunnel (contract peering.md 2.4). */
export const FSDS_TYPE = "type.googleapis.com/causeway.peering.FederatedService" as TypeUrl;
export const SGDS_TYPE = "type.googleapis.com/causeway.peering.ClusterFacts" as TypeUrl;
/** What Envoy asks for: the proxies of our gateways, each for its own. */
export const LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener" as TypeUrl;
export const CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster" as TypeUrl;
export const ROUTE_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration" as TypeUrl;
export const ENDPOINT_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment" as TypeUrl;
export const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret" as TypeUrl;
/** All that a proxy may subscribe to. */
export const PROXY_TYPES: readonly TypeUrl[] = [CLUSTER_TYPE, ENDPOINT_TYPE, SECRET_TYPE, LISTENER_TYPE, ROUTE_TYPE];
/** Without a name, Envoy asks for all listeners and clusters, and for nothing of these (xDS protocol, "Wildcard"). */
export const ONLY_BY_NAME: ReadonlySet<TypeUrl> = new Set([ENDPOINT_TYPE, ROUTE_TYPE, SECRET_TYPE]);
/**
 * Who returns and holds the current one need not get it again, though it asks for it by name. Not so endpoints: Envoy
 * may wait for those of a cluster that changed before it was gone.
 */
export const RESUMED: ReadonlySet<TypeUrl> = new Set([ROUTE_TYPE, SECRET_TYPE]);
/** istioctl's view of the control plane itself; never a mesh resource. */
export const DEBUG_TYPE = "istio.io/debug" as TypeUrl;

/** What the field calls the types, as `proxy-status` shows them. */
export const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  [ADDRESS_TYPE, "WDS"],
  [AUTHORIZATION_TYPE, "WADS"],
  [FSDS_TYPE, "FSDS"],
  [SGDS_TYPE, "SGDS"],
  [LISTENER_TYPE, "LDS"],
  [CLUSTER_TYPE, "CDS"],
  [ROUTE_TYPE, "RDS"],
  [ENDPOINT_TYPE, "EDS"],
  [SECRET_TYPE, "SDS"],
]);

/** One resource, encoded once and sent unchanged to every client. */
export interface Resource {
  readonly name: string;
  /** A hash of the content: the same on every replica and after every restart. */
  readonly version: string;
  /** One whole `resources` record of a DeltaDiscoveryResponse: tag, length and Resource message. */
  readonly record: Uint8Array;
}

/** One name's step in a log; a delete has no `after`. */
export interface ResourceChange {
  readonly name: string;
  readonly after: Resource | undefined;
  /** True if clients need its companions again although it is not new: its health policy changed, either way. */
  readonly bringCompanions?: boolean;
}

/** What a type knows of its resources beyond their bytes. All answers are about the settled present. */
export interface ResourceRelations {
  /** Other names a client may ask for `name` by, as `<network>/<ip>` (contract ztunnel.md 2.9). */
  aliases(name: string): readonly string[];
  /** The name that an alias stands for; several if workloads share an address. */
  resolve(alias: string): readonly string[];
  /** Names a client needs again whenever it gets `name` anew: the workloads of a service (pitfalls 4 and 5). */
  companions(name: string): Iterable<string>;
  /** Names whose subscribers also follow `name`: the services of a workload. */
  followedThrough(name: string): readonly string[];
  /** Names that an on-demand client on `node` gets unasked: the workloads of its node. */
  onNode(node: string): Iterable<string>;
}

/** What one client asked, whatever it was encoded in. */
export interface DeltaRequest {
  readonly typeUrl: TypeUrl;
  /** Present at least on the first request of a stream. */
  readonly node: ClientNode | undefined;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** On the first request of a type: what the client still holds, name to version. */
  readonly initialVersions: ReadonlyMap<string, string>;
  readonly nonce: string;
  /** Present, even if empty, on a NACK (pitfall 14: its code stays 0). */
  readonly rejection: string | undefined;
}

/** Who the client says it is (contract ztunnel.md 2.2). */
export interface ClientNode {
  /** As `ztunnel~10.0.0.1~ztunnel-abc.istio-system~istio-system.svc.cluster.local`. */
  readonly id: string;
  /** Only the string values of the metadata. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** What to send to one client: its own head, and records that all clients share. */
export interface DeltaResponse {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  /** Concatenated `resources` records, never copied per client. */
  readonly records: readonly Uint8Array[];
  readonly recordsBytes: number;
  /** How many resources the records hold. */
  readonly resources: number;
  readonly removed: readonly string[];
}

/** What a client has got, or is about to. */
export interface Holding {
  readonly name: string;
  /** Of the resource now; empty for one that is gone, as the client is about to hear. */
  readonly version: string;
}

/** What one client holds of one type, for syncz. Times are wall time in milliseconds, 0 if never. */
export interface SubscriptionStatus {
  readonly typeUrl: TypeUrl;
  readonly wildcard: boolean;
  readonly subscribed: number;
  readonly sentNonce: string;
  readonly ackedNonce: string;
  readonly sentAt: number;
  readonly ackedAt: number;
  /** The text of the last NACK, escaped and shortened; empty if none since the last ACK. */
  readonly lastRejection: string;
  readonly rejections: number;
  /** Names changed but not sent yet. */
  readonly backlog: number;
  /** Of these, by the mean size of a resource, and of the response that was not answered yet. */
  readonly backlogBytes: number;
}
