import type { ClusterId } from "../../names.ts";
import { matchesPattern } from "../../registry/model/peer-grant.ts";
import { byAge } from "../objects/trust-object-id.ts";
import type { SharingRule, Workspace, WorkspaceSettings } from "../objects/workspace-model.ts";
import { common, type Patterns, simplified } from "./patterns.ts";
import { ScopeSet } from "./scope-set.ts";

/** Younger ones do not count. */
export const WORKSPACES_MAX = 1_024;

/** One Workspace offers what others ask for. */
export interface Agreement {
  readonly exported: SharingRule;
  readonly imported: SharingRule;
  /** All whose rule says the same as `imported`. */
  readonly importers: Set<Workspace>;
}

/** The Workspaces that count, with what each of them agreed to share with others. */
export class Tenancy {
  /** Oldest first, each name once. */
  readonly workspaces: readonly Workspace[];
  /** Of Workspaces that count, and of each the one that counts. */
  readonly settings: ReadonlyMap<string, WorkspaceSettings>;
  // As many pairs of clusters ask for the same.
  readonly #namespaces = new Map<ClusterId, Map<Workspace, Patterns>>();
  readonly #words = new Map<SharingRule, string>();
  readonly #agreements = new Map<Workspace, readonly Agreement[]>();
  readonly #agreed = new Map<Agreement, Map<ClusterId, ScopeSet | undefined>>();

  constructor(workspaces: Iterable<Workspace>, settings: Iterable<WorkspaceSettings>) {
    const named = new Map<string, Workspace>();
    for (const workspace of [...workspaces].sort((a, b) => byAge(a.id, b.id)))
      if (!named.has(workspace.name) && named.size < WORKSPACES_MAX) named.set(workspace.name, workspace);
    this.workspaces = [...named.values()];
    const counting = new Map<string, WorkspaceSettings>();
    for (const each of [...settings].sort((a, b) => byAge(a.id, b.id)))
      if (named.has(each.workspace) && !counting.has(each.workspace)) counting.set(each.workspace, each);
    this.settings = counting;
  }

  /** The namespaces of a cluster that a Workspace takes in; empty if it has nothing there. */
  namespacesIn(workspace: Workspace, cluster: ClusterId): Patterns {
    const ofCluster = remembered(this.#namespaces, cluster, () => new Map<Workspace, Patterns>());
    return remembered(ofCluster, workspace, () =>
      simplified(
        workspace.workloadClusters.flatMap(({ name, namespaces }) => (matchesPattern(name, cluster) ? namespaces : [])),
      ),
    );
  }

  #agreementsOf(exporter: Workspace): readonly Agreement[] {
    const { exportTo = [] } = this.settings.get(exporter.name) ?? {};
    const found = new Map<string, Agreement>();
    for (const importer of exportTo.length === 0 ? [] : this.workspaces) {
      if (importer === exporter) continue;
      const wanted = this.settings.get(importer.name)?.importFrom.filter((rule) => names(rule, exporter)) ?? [];
      for (const exported of wanted.length === 0 ? [] : exportTo.filter((rule) => names(rule, importer)))
        for (const imported of wanted) {
          const key = `${this.#wordsOf(exported)} ${this.#wordsOf(imported)}`;
          remembered(found, key, () => ({ exported, imported, importers: new Set() })).importers.add(importer);
        }
    }
    return [...found.values()];
  }

  #wordsOf(rule: SharingRule): string {
    return remembered(this.#words, rule, () => JSON.stringify(rule.resources ?? null));
  }

  /**
   * What of a Workspace cluster `from` may tell cluster `to`.
   * @param unsaid told of agreements that take more patterns than are said: nothing is shared by them.
   */
  sharedBy(
    workspace: Workspace,
    from: ClusterId,
    to: ClusterId,
    unsaid: (agreement: Agreement) => void = () => {},
  ): ScopeSet {
    const shared = new ScopeSet();
    const home = this.namespacesIn(workspace, from);
    if (home.length === 0) return shared;
    if (this.namespacesIn(workspace, to).length > 0) {
      shared.add({ namespaces: home, services: undefined });
      return shared;
    }
    for (const agreement of remembered(this.#agreements, workspace, () => this.#agreementsOf(workspace))) {
      if (![...agreement.importers].some((importer) => this.namespacesIn(importer, to).length > 0)) continue;
      const ofCluster = remembered(this.#agreed, agreement, () => new Map<ClusterId, ScopeSet | undefined>());
      const agreed = remembered(ofCluster, from, () => agreedScopes(agreement, home, from));
      if (agreed === undefined) unsaid(agreement);
      else shared.addAll(agreed);
    }
    return shared;
  }
}

const names = ({ workspaces }: SharingRule, { name }: Workspace): boolean =>
  workspaces.some((pattern) => matchesPattern(pattern, name));

function remembered<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  if (!known.has(key)) known.set(key, make());
  return known.get(key) as V;
}

const EVERYTHING = [{ clusters: undefined, namespaces: undefined, services: undefined }];
const ANY: Patterns = ["*"];

/** What both rules take in of the namespaces; undefined if that takes more patterns than are said. */
function agreedScopes({ exported, imported }: Agreement, home: Patterns, from: ClusterId): ScopeSet | undefined {
  const agreed = new ScopeSet();
  const ofCluster = ({ resources = EVERYTHING }: SharingRule) =>
    resources.filter(({ clusters = ANY }) => clusters.some((pattern) => matchesPattern(pattern, from)));
  for (const offer of ofCluster(exported))
    for (const wish of ofCluster(imported)) {
      const offered = common(home, offer.namespaces ?? ANY);
      const namespaces = offered && common(offered, wish.namespaces ?? ANY);
      const services = common(offer.services ?? ANY, wish.services ?? ANY);
      if (namespaces === undefined || services === undefined) return undefined;
      agreed.add({ namespaces, services });
    }
  return agreed;
}
