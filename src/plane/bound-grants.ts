import { createHash } from "node:crypto";
import type { KubeMetadata, KubeObject } from "../kube/object.ts";
import { PEER_GRANTS } from "../kube/resource-types.ts";
import { MANAGED_BY, MANAGER } from "../registry/kube/generated.ts";
import { BOUND_LABEL, EVERY_OTHER, PATTERNS_MAX } from "../registry/model/peer-grant.ts";
import type { Bound, RelayedScope } from "../relay/messages.ts";

/** What is labelled so, in the system namespace, is ours to change and to remove. */
export const BOUND_GRANT_LABELS = { [BOUND_LABEL]: "true", [MANAGED_BY]: MANAGER } as const;

/** A PeerGrant as it is to be written. */
export interface BoundGrant extends KubeObject {
  readonly metadata: KubeMetadata & { readonly namespace: string };
  readonly spec: { readonly cluster: string; readonly export?: WrittenScope; readonly import?: WrittenScope };
}

interface WrittenScope {
  readonly namespaces: readonly string[];
  readonly services?: readonly string[];
}

const NOBODY_ELSE: Bound = { cluster: undefined, exports: [], imports: [] };

/**
 * What Workspaces leave, as PeerGrants that bound, sorted by name: the same for the same bounds.
 * @param bounds undefined if nothing bounds what is shared: then there are to be none. An empty list shares with nobody.
 */
export function peerGrantObjects(bounds: readonly Bound[] | undefined, systemNamespace: string): readonly BoundGrant[] {
  if (bounds === undefined) return [];
  // Without one for the rest, who has none of its own would be bound by nothing.
  const whole = bounds.some(({ cluster }) => cluster === undefined) ? bounds : [...bounds, NOBODY_ELSE];
  return whole
    .flatMap((bound) => grantsOf(bound, systemNamespace))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** Several where one cannot say it: a PeerGrant has one scope for each direction, and bounds add up. */
function grantsOf(bound: Bound, namespace: string): readonly BoundGrant[] {
  const [exports, imports] = [writtenScopes(bound.exports), writtenScopes(bound.imports)];
  return Array.from({ length: Math.max(exports.length, imports.length) }, (_, at) => ({
    apiVersion: `${PEER_GRANTS.group}/${PEER_GRANTS.versions[0]}`,
    kind: PEER_GRANTS.kind,
    metadata: { name: nameOf(bound.cluster, at), namespace, labels: BOUND_GRANT_LABELS },
    spec: {
      cluster: bound.cluster ?? EVERY_OTHER,
      ...(at < exports.length && { export: exports[at]! }),
      ...(at < imports.length && { import: imports[at]! }),
    },
  }));
}

/** At least one, as a direction of which nothing is said is not bound. */
function writtenScopes(scopes: readonly RelayedScope[]): readonly WrittenScope[] {
  const written = scopes.flatMap(({ namespaces, services }) =>
    piecesOf(namespaces).flatMap((some): readonly WrittenScope[] =>
      services === undefined
        ? [{ namespaces: some }]
        : piecesOf(services).map((names) => ({ namespaces: some, services: names })),
    ),
  );
  return written.length === 0 ? [{ namespaces: [] }] : written;
}

/** As many as a PeerGrant may list; nothing of an empty list. */
const piecesOf = (patterns: readonly string[]): readonly (readonly string[])[] =>
  Array.from({ length: Math.ceil(patterns.length / PATTERNS_MAX) }, (_, at) =>
    patterns.slice(at * PATTERNS_MAX, (at + 1) * PATTERNS_MAX),
  );

/** Clusters can be called what no object can: such a name is cut, and ends in digits that tell it apart. */
function nameOf(cluster: string | undefined, at: number): string {
  if (cluster === undefined) return `workspace-bound.${at}`;
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(cluster)) return `workspace-bound.${cluster}.${at}`;
  const digits = createHash("sha256").update(cluster).digest("hex").slice(0, 16);
  return `workspace-bound.${cluster
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "-")
    .slice(0, 63)}-${digits}.other.${at}`;
}
