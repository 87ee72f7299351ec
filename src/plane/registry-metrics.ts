import type { Metrics } from "../host.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { Registry } from "../registry/registry.ts";

/** Counts what settles. @param onProblems called after each flush that changed the registry's problems. */
export function countChanges(
  metrics: Metrics,
  graph: Graph,
  { services, problems }: Registry,
  onProblems: () => void,
): void {
  const known = metrics.gauge("pilot_services", "Services in the mesh.");
  const settled = metrics.counter("pilot_inbound_updates", "Settled changes of the registry.", ["type"]);
  graph.onSettled(() => {
    known.set(services.size);
    settled.add(1, { type: "registry" });
    if (problems.batch.length > 0) onProblems();
  });
}
