/** Why something is not as it was expected to be: what is wrong, where it is written, and what mends it. */
export interface Cause {
  /** A few words, as `not exported`. */
  readonly reason: string;
  readonly message: string;
  /** As `Service shop/cart`; of another cluster if `cluster` is. */
  readonly object: string;
  readonly cluster: string;
  /** As `metadata.labels[solo.io/service-scope]`; empty if the whole object. */
  readonly field: string;
  /** A command, or a line of YAML; a sentence where it takes more. */
  readonly fix: string;
}

/** Where a cause lies, and what mends it. */
export type Place = Omit<Cause, "reason" | "message">;

/** What one cluster adds to the name, or why it adds nothing. */
export interface Contribution {
  readonly cluster: string;
  readonly via: "local" | "secret" | "peer";
  readonly endpoints: number;
  readonly healthy: number;
  /** How its endpoints are reached; empty if they are not. */
  readonly through: readonly string[];
  /** Undefined if calls end there. */
  readonly cause: Cause | undefined;
  /** The state of the link to a peer, as `live`; empty if it is none. */
  readonly link: string;
  /** For how long a peer has not confirmed what it said; 0 while it is live, and for others. */
  readonly ageMs: number;
}

/** What the name is to ztunnels of this cluster. */
export interface NameView {
  readonly host: string;
  readonly kind: "global" | "alias" | "local" | "taken over" | "other" | "unknown";
  /** `namespace/name` of the Services that it is made of. */
  readonly service: string;
  /** What has the name here, as `Service east/shop/cart`; empty if nothing has. */
  readonly owner: string;
  /** As `network/ip`. */
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
  readonly distribution: string;
  readonly segment: string;
  /** Whom callers expect behind gateways of other networks, as `spiffe://…`. */
  readonly identities: readonly string[];
  /** Other names of the same service here. */
  readonly others: readonly string[];
}

/** One box that a call goes through, and what it may enforce (contract peering.md 1.1, A21). */
export interface Hop {
  readonly cluster: string;
  readonly what: string;
  readonly enforces: "nothing" | "L4" | "L7" | "L4 and L7";
  readonly note: string;
  /** True of a box that one might expect here, and that calls do not go through. */
  readonly offPath?: boolean;
}

export interface Path {
  readonly to: string;
  readonly hops: readonly Hop[];
}

export interface WaypointView {
  /** Of this cluster, as `namespace/name`; empty if none takes the calls. */
  readonly here: string;
  /** Why the one that is asked for does not; empty if there is none such. */
  readonly refused: string;
  /** Of each peer that has one, as `namespace/name`. */
  readonly there: readonly { readonly cluster: string; readonly waypoint: string }[];
  readonly policy: string;
  /** Who enforces L7, in a sentence. */
  readonly rule: string;
}

/** A policy that is about calls to the name. */
export interface PolicyView {
  /** As `AuthorizationPolicy shop/guard`. */
  readonly object: string;
  readonly does: "allows" | "denies" | "checks tokens" | "is tried" | "does nothing";
  /** Who enforces it, as `waypoint shop/wp`; empty if nobody does. */
  readonly at: string;
  /** What its status says, if it does not do all that one would think; else empty. */
  readonly note: string;
}

/** Who calls, and what the L4 policies of this cluster make of it. */
export interface CallerView {
  /** The pod as `namespace/name`, or the identity that was asked about. */
  readonly caller: string;
  /** Empty in plain text. */
  readonly identity: string;
  /** Whom the endpoint's ztunnel sees: the caller, or the waypoint that calls for it. */
  readonly seen: string;
  readonly verdicts: readonly Verdict[];
  readonly note: string;
}

/** What ztunnels of this cluster decide for one endpoint and port. */
export interface Verdict {
  /** As `namespace/name`. */
  readonly endpoint: string;
  readonly port: number;
  readonly allowed: boolean;
  /** The policies that settled it, as `namespace/name`. */
  readonly policies: readonly string[];
  readonly message: string;
}

/** The other direction: what this cluster tells peers of its own Service of that name. */
export interface SharingView {
  readonly service: string;
  /** As `global`; `cluster` if it is not shared. */
  readonly scope: string;
  /** What says so, as `label solo.io/service-scope of Namespace shop`. */
  readonly saidBy: string;
  readonly hosts: readonly string[];
  readonly ready: number;
  readonly total: number;
  /** Why nobody is told. */
  readonly cause: Cause | undefined;
  readonly readers: readonly ReaderView[];
}

export interface ReaderView {
  readonly cluster: string;
  /** Whether it has what we say of the Service, as far as we know. */
  readonly state: "acknowledged" | "under way" | "withheld" | "refused" | "not connected";
  /** When it last acknowledged anything of services, by the clock of this cluster; empty if it did not, or has none. */
  readonly acknowledgedAt: string;
  readonly cause: Cause | undefined;
}

export interface Explanation {
  /** Who explains. */
  readonly cluster: string;
  readonly asked: string;
  readonly name: NameView;
  readonly contributions: readonly Contribution[];
  readonly waypoint: WaypointView;
  readonly paths: readonly Path[];
  /** Of the cluster that explains. */
  readonly policies: readonly PolicyView[];
  readonly caller: CallerView | undefined;
  readonly sharing: SharingView;
  readonly warnings: readonly Cause[];
  /** Endpoints that calls end at. */
  readonly reachable: number;
  /** The whole, in one sentence. */
  readonly answer: string;
}
