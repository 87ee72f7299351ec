import type { ClusterFacts } from "../cluster-facts.ts";

/** A cluster, or a control plane, of which a report is made. */
export interface ReportSource {
  /** As `context east`. */
  readonly title: string;
  /** Never throws: what could not be read says so. */
  facts(options: GatheringOptions): Promise<ClusterFacts>;
  /** What facts do not hold. Never throws. */
  pieces(facts: ClusterFacts, options: GatheringOptions): AsyncIterable<Piece>;
  /** What `pieces` would be, a line for each kind of thing. */
  plan(facts: ClusterFacts, options: GatheringOptions): readonly string[];
  close(): Promise<void>;
}

export interface GatheringOptions {
  /** How far back logs go, in seconds. */
  readonly sinceSeconds: number;
  /** Beside those of the mesh: whose logs and events are wanted, too. */
  readonly namespaces: readonly string[];
  readonly signal: AbortSignal;
  readonly progress: (doing: string) => void;
}

/** One file below the folder of its cluster, as it was read; or why there is none. */
export type Piece = { readonly path: string; readonly text: string } | { readonly path: string; readonly why: string };

/** A name of a file that any system takes; what is long keeps its beginning. */
export const fileName = (name: string): string =>
  name
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .replace(/^\.+/, "_")
    .slice(0, 120) || "_";
