import type { CacertsFiles } from "../ca/cacerts.ts";

/** On a Secret `cacerts` that we write: the cluster that it is for. One without it is somebody else's. */
export const CLUSTER_LABEL = "trust.causeway.dev/cluster";
/** Beside it, an annotation: the digest of the wish that its certificate was asked for by. */
export const WISH_ANNOTATION = "trust.causeway.dev/asked-for";

/** What lies where the cluster's authority is kept. */
export type Installed =
  /** Not read yet, or it cannot be. */
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "absent" }
  /** Somebody else's, which is never written. @see whyForeign */
  | { readonly kind: "foreign"; readonly why: string }
  | InstalledAuthority;

export interface InstalledAuthority {
  readonly kind: "own";
  readonly files: CacertsFiles;
  /** The wish that its certificate was asked for by; empty for what no order made, as a root of our own. */
  readonly wish: string;
}

/** What takes the place of what is installed: all of it at once, or nothing. */
export interface AuthorityUpdate {
  /** Four files by their names, as istiod has them. */
  readonly files: ReadonlyMap<string, string>;
  readonly wish: string;
  /** `digest` of the files that it replaces; undefined where there were none. */
  readonly replaces: string | undefined;
}

/** How somebody hands an authority over whose place is taken. */
export const whyForeign = (title: string, found: string, handOver: string): string =>
  `${title} ${found}, so the trust manager's authority does not take its place: ${handOver}`;
