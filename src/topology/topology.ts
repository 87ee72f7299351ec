/**
 * One mesh as one of its control planes sees it, for people: what `/debug/topologyz` says and the page shows (contract
 * peering.md 6.6). Times are RFC 3339, empty if there is none; ages are for the reader to count from `at`, so that what has
 * not changed reads the same.
 */
export interface Topology {
  readonly schema: "causeway.dev/topology/v1";
  /** When it was made, by the clock of the control plane. */
  readonly at: string;
  /** The replica that says so. */
  readonly controlPlane: string;
  readonly version: string;
  /** Its own cluster. */
  readonly cluster: string;
  /** Our own first, then by name. */
  readonly clusters: readonly TopologyCluster[];
  /** By cluster, then direction. */
  readonly links: readonly TopologyLink[];
  readonly services: Shown<TopologyService>;
  /** Peers and services that are to get no new calls for a while; the one that ends first comes first. */
  readonly drains: Shown<TopologyDrain>;
  readonly denied: Shown<TopologyDenial>;
  /** The one that ends first comes first. */
  readonly certificates: Shown<TopologyCertificate>;
  readonly problems: Shown<TopologyProblem>;
}

/** The first of many; whoever asks for more names what they look for. */
export interface Shown<T> {
  readonly shown: readonly T[];
  /** How many there are, as far as they were counted. */
  readonly total: number;
  /** True if there may be more than `total`. */
  readonly more: boolean;
}

/** How we know of a cluster. One that reads us, and that nothing here leads to, is only a caller. */
export type TopologyRole = "own" | "peer" | "secret" | "caller";

export interface TopologyCluster {
  readonly name: string;
  readonly roles: readonly TopologyRole[];
  /** As far as it is known; else empty, as each of the following. */
  readonly network: string;
  readonly trustDomain: string;
  readonly segment: string;
  readonly domain: string;
  readonly version: string;
  /** Services that it shares with us; of our own cluster those that we share. */
  readonly services: number;
  /** Why it reads only one way, in a sentence; empty if both do, or it is no peer. */
  readonly oneWay: string;
  /** Of a peer, for callers of our own cluster; null if it is called as ever. */
  readonly drain: TopologyDrained | null;
}

/** A drain that is in time, or too far ahead to be one. */
export interface TopologyDrained {
  readonly until: string;
  /**
   * `leaving`: peers are told that nothing of a Service is ready, and calls that they had begun still end here; `spared`:
   * nobody else could take its calls, so it keeps them; `far`: its end is more than 24 hours ahead.
   */
  readonly state: "leaving" | "drained" | "spared" | "far";
}

export interface TopologyDrain extends TopologyDrained {
  /** What has the annotation, as `Service shop/cart`. */
  readonly object: string;
  /** The peer that a Gateway leads to; our own of a Service. */
  readonly cluster: string;
  /** `namespace/name`; empty for all that a peer shares. */
  readonly service: string;
  /** A sentence: what that means for calls. */
  readonly message: string;
}

export type TopologyState = "live" | "syncing" | "connecting" | "stale" | "refused";

/** One direction: who reads is who knows. */
export interface TopologyLink {
  /** The other end. */
  readonly cluster: string;
  readonly direction: "we read" | "reads us";
  readonly via: "peer" | "secret";
  readonly state: TopologyState;
  /** One word, as `DialTimeout`; empty if nothing is wrong. */
  readonly reason: string;
  /** A sentence for the person who can mend it. */
  readonly message: string;
  /** From when on `state` has held. */
  readonly since: string;
  /** What was last heard, or taken, is as old as this; empty while it is current. */
  readonly heardAt: string;
  /** What has changed and was not acknowledged yet by who reads us. */
  readonly backlog: number;
  /** From when on something is under way that is not acknowledged; empty if nothing is. */
  readonly behindSince: string;
  /** Clock of the other end less ours, in seconds with one decimal; 0 if not known. */
  readonly skewSeconds: number;
  /** Refused records of what we read. */
  readonly denied: number;
  /** As `within-grace`: what becomes of what is stale; empty for who reads us. */
  readonly staleness: string;
  /** Whether its gateway takes traffic: `open`, `closed` or `unknown`; empty for who reads us. */
  readonly dataPlane: string;
  /** What says so: a Gateway or Secret as `namespace/name`; for who reads us its identity. */
  readonly source: string;
  /** What it may read, or feed; empty for everything. */
  readonly granted: string;
}

/** A Service that is shared, by any of us. */
export interface TopologyService {
  /** `namespace/name`. */
  readonly service: string;
  /** Where its explanation is asked for; empty if no global name is known here. */
  readonly host: string;
  readonly clusters: readonly TopologyContribution[];
}

export interface TopologyContribution {
  readonly cluster: string;
  readonly ready: number;
  readonly total: number;
  /** Null if it is called as ever, or if a peer has drained its own share, which only that peer knows. */
  readonly drain: TopologyDrained | null;
}

/** Something that one end will not tell, or the other will not believe. */
export interface TopologyDenial {
  readonly cluster: string;
  readonly kind: "import refused" | "export denied" | "reader refused" | "link refused";
  /** A Service as `namespace/name`, a record's name, an identity or a Gateway. */
  readonly what: string;
  readonly reason: string;
  readonly message: string;
}

export interface TopologyCertificate {
  readonly use: "authority" | "root" | "peer root" | "gateway";
  /** A cluster, a trust domain, or a gateway; empty for a root that only peers have. */
  readonly of: string;
  readonly subject: string;
  /** The first 16 digits of the SHA-256 of its DER; empty if it is not at hand. */
  readonly sha256: string;
  /** Those that say that they trust it; the first of them. */
  readonly peers: readonly string[];
  readonly peersTotal: number;
  readonly notAfter: string;
  readonly level: "ok" | "soon" | "ended";
}

export interface TopologyProblem {
  readonly severity: "error" | "warning" | "info";
  readonly object: string;
  readonly field: string;
  readonly origin: string;
  readonly message: string;
}
