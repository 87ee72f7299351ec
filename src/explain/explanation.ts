import type { EpochMs } from "../host.ts";
import type { Registry } from "../registry/registry.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { Granted } from "../registry/model/granted.ts";
import type { Problem } from "../registry/model/problem.ts";

// What browsers read as well is apart: it knows nothing of a control plane.
export type * from "./answer.ts";

/** What an explanation is made of: nothing else is looked at, so that gathered facts do as well as a live mesh. */
export interface ExplainFacts {
  readonly registry: Registry;
  /** The control planes that we read. */
  readonly peers: readonly PeerView[];
  /** Those that read us. */
  readonly readers: readonly PeerReader[];
  /** Those that may not. */
  readonly refused: readonly RefusedReader[];
  readonly problems: readonly Problem[];
  /** Clusters that are folders of manifests, by their names; empty where clusters have API servers. */
  readonly manifests: ReadonlyMap<string, Manifests>;
}

/** Where a cluster's manifests lie. */
export interface Manifests {
  readonly folder: string;
  /** More of the same cluster, as they stand before the names of their files. */
  readonly furtherFolders?: readonly string[];
}

/** A stream of a peer that reads what we share. */
export interface PeerReader {
  readonly cluster: string;
  readonly identity: string;
  readonly granted: Granted;
  /** Whether it has taken all that it was sent of services. */
  readonly acknowledged: boolean;
  /** When it last did; 0 if never. */
  readonly ackedAt: EpochMs;
}

export interface RefusedReader {
  readonly cluster: string;
  readonly reason: string;
  readonly message: string;
}
