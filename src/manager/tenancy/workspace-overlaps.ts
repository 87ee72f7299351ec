import type { ClusterId } from "../../names.ts";
import type { Workspace } from "../objects/workspace-model.ts";
import { common, type Patterns } from "./patterns.ts";
import type { Tenancy } from "./tenancy.ts";

/** For each two Workspaces that have namespaces of one cluster in common, a sentence for either: two tenants share these. */
export function* overlaps(
  tenancy: Tenancy,
  clusters: Iterable<ClusterId>,
): Iterable<{ readonly workspace: Workspace; readonly message: string }> {
  // Most have the same namespaces in all of their clusters.
  const known = new Map<string, Patterns>();
  const commonOf = (some: Patterns, others: Patterns): Patterns => {
    const key = `${some.join()} ${others.join()}`;
    const found = known.get(key) ?? common(some, others) ?? ["some namespaces"];
    known.set(key, found);
    return found;
  };
  const told = new Set<string>();
  for (const cluster of clusters) {
    const here = tenancy.workspaces.filter((workspace) => tenancy.namespacesIn(workspace, cluster).length > 0);
    for (const [at, one] of here.entries())
      for (const other of here.slice(at + 1)) {
        const pair = `${one.name}/${other.name}`;
        if (told.has(pair)) continue;
        const [both] = commonOf(tenancy.namespacesIn(one, cluster), tenancy.namespacesIn(other, cluster));
        if (both === undefined) continue;
        told.add(pair);
        yield { workspace: one, message: overlapText(both, cluster, other) };
        yield { workspace: other, message: overlapText(both, cluster, one) };
      }
  }
}

const overlapText = (namespaces: string, cluster: ClusterId, other: Workspace): string =>
  `spec.workloadClusters takes in ${namespaces} of cluster ${cluster}, and so does Workspace ${other.name}: both share what ` +
  "is there; narrow one of them unless that is meant.";
