import type { Config } from "../config.ts";
import type { ClusterId, ObjectKey } from "../names.ts";
import type { Collection, Lookup } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { Index } from "../registry/collection/index-by.ts";
import { MESH_TEMPLATE, type ClusterSpiffeId } from "../registry/kube/cluster-spiffe-id.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import type { TemplatePlace } from "../registry/kube/entry-template.ts";
import { spiffeIdSelections } from "../registry/spiffe-id-matches.ts";
import { judgeSpiffeId, uncoveredPods, type UncoveredPod } from "../registry/spire-coverage.ts";
import { union } from "../registry/union.ts";
import { isJudged } from "../spire/entries.ts";
import { countOf, inFew } from "../spire/status/check.ts";

/** A ClusterSPIFFEID, or a template of ours, as an operator sees it. */
export interface SpiffeIdView {
  readonly name: string;
  readonly template: string;
  /** A controller of SPIRE has written its status. */
  readonly handled: boolean;
  /** Why it gives no identities of the mesh; empty if it does, undefined if only SPIRE's controller can tell. */
  readonly whyNotMesh: string | undefined;
}

/** Which pods of the mesh SPIRE is told of by ClusterSPIFFEIDs, those of the cluster and our own templates alike. */
export class SpireCoverage {
  readonly #spiffeIds: Lookup<string, readonly ClusterSpiffeId[]>;
  readonly #localCluster: ClusterId;
  readonly #place: TemplatePlace;
  readonly #judges: (selector: string) => boolean;
  /** Whose identity nobody gives them, as far as ClusterSPIFFEIDs tell. */
  readonly uncovered: Collection<ObjectKey, UncoveredPod>;

  /** Before the graph's first flush. @param own templates that we register after. */
  constructor(
    graph: Graph,
    registry: Registry,
    config: Pick<Config, "spire" | "trustedNodeAccounts">,
    at: TemplatePlace & { readonly localCluster: ClusterId },
    own: Collection<ObjectKey, ClusterSpiffeId>,
  ) {
    const all = union(graph, "all-spiffe-ids", [registry.objects.clusterSpiffeIds, own]);
    this.#spiffeIds = new Index(graph, all, "cluster", ({ id }) => [id.cluster]);
    this.#localCluster = at.localCluster;
    this.#place = at;
    // Elsewhere ztunnels prove themselves by tokens.
    const ztunnelAccounts = config.spire.identity === "external" ? config.trustedNodeAccounts : new Set<string>();
    this.#judges = config.spire.identity === "spire" ? isJudged : () => true;
    const inputs = { objects: registry.objects, spiffeIds: this.#spiffeIds };
    const selections = spiffeIdSelections(graph, "all-spiffe-ids-selecting", inputs, at.localCluster);
    const options = { ...at, ztunnelAccounts, judges: this.#judges };
    this.uncovered = uncoveredPods(graph, { ...inputs, selections }, options);
  }

  /** Undefined unless a controller of SPIRE makes entries here: one of those that it has handled. */
  get controller(): string | undefined {
    return this.#all.find(({ handled }) => handled)?.id.name;
  }

  views(): readonly SpiffeIdView[] {
    return this.#all.map((spiffeId) => ({
      name: spiffeId.id.name,
      template: spiffeId.spiffeId.text,
      handled: spiffeId.handled,
      whyNotMesh: judgeSpiffeId(spiffeId, this.#place, this.#judges),
    }));
  }

  problems(): readonly Problem[] {
    const uncovered = Array.from(this.uncovered.entries(), ([, pod]) => pod);
    const unselected = uncovered.filter(({ selectedBy }) => selectedBy.length === 0);
    return [...(unselected.length === 0 ? [] : [passedBy(unselected)]), ...misnamed(uncovered)];
  }

  get #all(): readonly ClusterSpiffeId[] {
    return this.#spiffeIds.get(this.#localCluster);
  }
}

const NAMED_MAX = 5;

/** As `shop/cart-0, shop/cart-1 and 8 more`. */
export const namesOf = (pods: readonly { readonly namespace: string; readonly name: string }[]): string =>
  inFew(
    pods.map(({ namespace, name }) => `${namespace}/${name}`),
    NAMED_MAX,
  );

const FIXES: Readonly<Record<UncoveredPod["role"], string>> = {
  ztunnel: "ztunnels by podSelector app: ztunnel",
  gateway: "gateways by the label gateway.networking.k8s.io/gateway-name",
  captured: "captured pods by a namespaceSelector istio.io/dataplane-mode: ambient, as few have that label themselves",
};

function passedBy(pods: readonly UncoveredPod[]): Problem {
  const roles = [...new Set(pods.map(({ role }) => role))].sort();
  const fix = roles.map((role) => FIXES[role]).join("; ");
  return {
    ...{ object: "ClusterSPIFFEIDs", origin: "", field: "spec.podSelector", severity: "warning" },
    message:
      `None of them selects ${countOf(pods.length, "pod")} of the mesh: ${namesOf(pods)}. Unless SPIRE knows them in ` +
      `another way, they get no certificate. Select ${fix}.`,
  };
}

/** One for each ClusterSPIFFEID that is all that a pod has. */
function misnamed(uncovered: readonly UncoveredPod[]): readonly Problem[] {
  const byName = new Map<string, { readonly why: string; readonly pods: UncoveredPod[] }>();
  for (const pod of uncovered)
    for (const { name, why } of pod.selectedBy) {
      const known = byName.get(name) ?? { why, pods: [] };
      known.pods.push(pod);
      byName.set(name, known);
    }
  return Array.from(byName, ([name, { why, pods }]) => ({
    ...{ object: `ClusterSPIFFEID ${name}`, origin: "", field: "spec.spiffeIDTemplate", severity: "warning" as const },
    message:
      `For ${countOf(pods.length, "pod")} of the mesh (${namesOf(pods)}) it is not what they need: of ${pods[0]!.name} ` +
      `${why}, where the mesh knows ${pods[0]!.spiffeId}. Use ${MESH_TEMPLATE}, or have another one select them.`,
  }));
}
