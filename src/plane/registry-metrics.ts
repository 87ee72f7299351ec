import type { ClientBehind } from "../change-watch.ts";
import type { Host } from "../host.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { Registry } from "../registry/registry.ts";
import { type GaugedPlane, MeshGauges } from "./mesh-gauges.ts";
import { PodlessEndpoints } from "./podless-endpoints.ts";

/** Upstream's buckets (contract operations.md 1.4). */
const DEBOUNCE_BUCKETS = [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];

export interface CountedPlane extends GaugedPlane {
  readonly graph: Graph;
  readonly registry: Registry;
}

export interface FlushedPlane {
  readonly graph: Graph;
  readonly discovery: { behind(): Iterable<ClientBehind> };
}

/**
 * Counts what settles, and looks at the rest.
 * @param onProblems called after each flush that changed the registry's problems.
 * @returns what ends the looking.
 */
export function countChanges(host: Host, plane: CountedPlane, onProblems: () => void): () => void {
  const { services, problems } = plane.registry;
  const known = host.metrics.gauge("pilot_services", "Services in the mesh.");
  const settled = host.metrics.counter("pilot_inbound_updates", "Settled changes of the registry.", ["type"]);
  plane.graph.onSettled(() => {
    known.set(services.size);
    settled.add(1, { type: "registry" });
    if (problems.batch.length > 0) onProblems();
  });
  const looking = [new MeshGauges(host, plane), new PodlessEndpoints(host, plane.registry.objects)];
  return () => looking.forEach((gauges) => gauges[Symbol.dispose]());
}

/** Has a graph flush a turn after the first write, so that what comes together settles together; and times that. */
export function flushByTurns({ clock, metrics, changes }: Host, { graph, discovery }: FlushedPlane): void {
  const waited = metrics.histogram(
    "pilot_debounce_time",
    "Seconds from the first of the writes that settle together until they do.",
    DEBOUNCE_BUCKETS,
  );
  graph.onDirty = () => {
    const writtenMs = clock.elapsedMs();
    clock.after(0, () => {
      waited.observe((clock.elapsedMs() - writtenMs) / 1000);
      changes?.settling();
      graph.flush();
      changes?.flushed(discovery.behind());
    });
  };
}
