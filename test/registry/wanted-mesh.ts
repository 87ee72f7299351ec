import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import type { WantedCondition, WantedObject } from "../../src/kube/wanted-object.ts";
import { clusterId } from "../../src/names.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { Registry } from "../../src/registry/registry.ts";
import { wantedObjects } from "../../src/registry/wanted/wanted-objects.ts";

/** A registry of cluster `east`, and what it wants written there. */
export function wantedMesh(objects: readonly KubeObject[] = [], options: Partial<RegistryOptions> = {}) {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("east"), ...options });
  const roots = new Source<"roots", string>(graph, "roots");
  const wanted = wantedObjects(graph, registry.statusInputs, { roots });
  const intake = registry.intake(clusterId("east"));
  const apply = (...written: readonly KubeObject[]): void => {
    for (const object of written) intake.set(object, "");
    graph.flush();
  };
  const remove = (...gone: readonly ObjectReference[]): void => {
    for (const object of gone) intake.delete(object);
    graph.flush();
  };
  apply(...objects);
  const conditions = (key: string): readonly WantedCondition[] => wanted.get(key)?.conditions ?? [];
  /** As `ZtunnelAccepted=True Accepted`. */
  const verdicts = (key: string): readonly string[] =>
    conditions(key).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  /** For those who read lists: what the last one held. */
  const known = new Map<ResourceType, readonly KubeObject[]>();
  return { graph, registry, roots, wanted, apply, remove, conditions, verdicts, known };
}

/** The object with the identity that an API server gives it, and this status. */
export function stored(object: KubeObject, status: unknown = undefined, generation?: number): KubeObject {
  const { namespace = "", name } = object.metadata;
  const metadata = {
    ...object.metadata,
    uid: `uid-of-${namespace}-${name}`,
    resourceVersion: "77",
    ...(generation !== undefined && { generation }),
  };
  return { ...object, metadata, ...(status !== undefined && { status }) };
}

/** The status as it is once a server has applied it. */
export function statusAfter(wanted: WantedObject, since = "2026-01-01T00:00:00Z"): unknown {
  const conditions = (wanted.conditions ?? []).map((condition) => ({ lastTransitionTime: since, ...condition }));
  return { ...(wanted.fields?.["status"] as object | undefined), conditions };
}
