/** What somebody should know of a mesh, whoever looked: a check, an analysis of manifests, or a dry run. */
export interface Finding {
  /** As `CWY0604`; stays the same for good. The documentation has a section for each. */
  readonly code: string;
  readonly level: FindingLevel;
  /** The name of the cluster that it is of; undefined if it is of several. */
  readonly cluster: string | undefined;
  /** As `Gateway istio-eastwest/istio-eastwest`. */
  readonly object: string;
  /** Of the object, as `spec.listeners[0].port`; empty if the whole object, or no object. */
  readonly field: string;
  /** Where the object was read, as `east/cart.yaml:12`; undefined if an API server told it, or if there is no object. */
  readonly origin?: string;
  /** What was seen: one sentence without a full stop. */
  readonly evidence: string;
  /**
   * What mends it; empty if nothing is to be done. Its parts stand apart by "; " or ": ", and one that begins with a program
   * can be pasted as it stands, but for what is in angle brackets.
   */
  readonly fix: string;
}

/** `ok` was looked at and is so; `info` needs no action; only `error` makes a command end with 1. */
export type FindingLevel = "ok" | "info" | "warning" | "error";

/** The part of the documentation that a finding links to, from the root of the repository. */
export const documentationOf = (page: string, { code }: Pick<Finding, "code">): string =>
  `docs/${page}.md#${code.toLowerCase()}`;
