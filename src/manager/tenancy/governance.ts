import type { ClusterId } from "../../names.ts";
import { byCodeUnit } from "../../registry/collection/collection.ts";
import type { Bound } from "../../relay/messages.ts";
import type { Workspace, WorkspaceSettings } from "../objects/workspace-model.ts";
import { ScopeSet } from "./scope-set.ts";
import { type Agreement, Tenancy } from "./tenancy.ts";

/** Of the bounds of one cluster, as `ScopeSet.size`: an order has to fit a message of the relay. The youngest are left out. */
export const BOUNDS_SIZE_MAX = 3_000_000;
/** Likewise; of more, those whose names come last have nothing. */
const OTHERS_MAX = 1_999;

/** What keeps a Workspace from sharing at a cluster what it says. */
export interface Omission {
  readonly workspace: Workspace;
  /** Undefined if there is no more room in the bounds of the cluster for anything of the Workspace. */
  readonly agreement: Agreement | undefined;
}

/**
 * What Workspaces leave of what one cluster and each other may share (contract peering.md B22, B23): a service may be read
 * where its Workspace has namespaces, or one that its own exports to and that imports from it. Both ends are bound. Sorted,
 * and the same whatever the order of what is given; the last is for whoever is not among `clusters`, and leaves nothing.
 * @param clusters all that are registered, with or without this one.
 * @returns undefined if there is no Workspace at all: nothing is bound.
 */
export function boundsOf(
  cluster: ClusterId,
  clusters: Iterable<ClusterId>,
  workspaces: Iterable<Workspace>,
  settings: Iterable<WorkspaceSettings>,
): readonly Bound[] | undefined {
  const tenancy = new Tenancy(workspaces, settings);
  return tenancy.workspaces.length === 0 ? undefined : boundsIn(tenancy, cluster, clusters);
}

/** @param omitted told of what is not in them for want of room, once for each other cluster. */
export function boundsIn(
  tenancy: Tenancy,
  cluster: ClusterId,
  clusters: Iterable<ClusterId>,
  omitted: (omission: Omission) => void = () => {},
): readonly Bound[] {
  const others = [...new Set(clusters)]
    .filter((other) => other !== cluster)
    .sort(byCodeUnit)
    .slice(0, OTHERS_MAX);
  const both = others.map((other) => ({ other, exports: new ScopeSet(), imports: new ScopeSet() }));
  let room = BOUNDS_SIZE_MAX;
  for (const workspace of tenancy.workspaces) {
    const unsaid = (agreement: Agreement): void => omitted({ workspace, agreement });
    const shares = both.map(({ other, exports, imports }) => [
      { into: exports, shared: tenancy.sharedBy(workspace, cluster, other, unsaid) },
      { into: imports, shared: tenancy.sharedBy(workspace, other, cluster, unsaid) },
    ]);
    const needed = shares.flat().reduce((sum, { shared }) => sum + shared.size, 0);
    if (needed > room) omitted({ workspace, agreement: undefined });
    else for (const { into, shared } of shares.flat()) into.addAll(shared);
    room -= needed > room ? 0 : needed;
  }
  const bounds = both.map(({ other, exports, imports }) => ({
    cluster: other,
    exports: exports.scopes(),
    imports: imports.scopes(),
  }));
  const sharing = bounds.filter(({ exports, imports }) => exports.length + imports.length > 0);
  return [...sharing, { cluster: undefined, exports: [], imports: [] }];
}
