import { explain } from "../../src/explain/explain.ts";
import type { Contribution, Explanation, ExplainFacts } from "../../src/explain/explanation.ts";
import type { Registry } from "../../src/registry/registry.ts";

/** What `registry` says of a host, read by nobody unless `over` has it. */
export function explained(
  registry: Registry,
  host: string,
  over: Partial<ExplainFacts & { readonly from: string; readonly principal: string }> = {},
): Explanation {
  const { from = "", principal = "", ...facts } = over;
  const problems = Array.from(registry.problems.entries(), ([, problem]) => problem);
  const manifests: ExplainFacts["manifests"] = new Map();
  const all = { registry, peers: [], readers: [], refused: [], problems, manifests, ...facts };
  return explain({ host, from, principal }, all);
}

/** What it says of one cluster. */
export const about = ({ contributions }: Explanation, cluster: string, via?: string): Contribution | undefined =>
  contributions.find((each) => each.cluster === cluster && (via === undefined || each.via === via));

export const reader = (cluster: string, granted: ExplainFacts["readers"][number]["granted"] = []) => ({
  cluster,
  identity: "spiffe://cluster.local/ns/istio-system/sa/istiod",
  granted,
  acknowledged: true,
  ackedAt: 1_000,
});
