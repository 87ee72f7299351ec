import { objectKey, type ObjectKey } from "../names.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import type { Objects } from "./kube/objects.ts";
import type { Pod } from "./kube/pod.ts";
import type { ServiceBinding } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { portsOnSlice } from "./ports.ts";
import { endpointNames, type ServedNames } from "./service-names.ts";

/** A pod that a slice names, of a service that has no selector to find it by. */
export interface PodTarget {
  readonly pod: ObjectKey;
  readonly uid: string;
  readonly binding: ServiceBinding;
}

/** By the key of the pod. Of other clusters only those of global services. */
export function podTargets(
  graph: Graph,
  objects: Objects,
  names: ServedNames,
  options: RegistryOptions,
): Index<string, PodTarget> {
  const targets = derive(graph, {
    name: "pod-targets",
    from: objects.endpointSlices,
    reads: { services: objects.services, ...names },
    to: ({ id, service: name, pods, ports }, reads, key) => {
      if (pods.length === 0) return [];
      const service = reads.services.get(objectKey(id.cluster, id.namespace, name));
      if (!service || service.external || service.selector) return [];
      const named = new Map(ports.map((port) => [port.name, port.port]));
      const bindings = endpointNames(service, reads, options).map((name) => ({
        service: name,
        ports: portsOnSlice(service.ports, named),
      }));
      return bindings.flatMap((binding) =>
        pods.map((target) => {
          const pod = objectKey(id.cluster, target.namespace, target.name);
          return [`${key} ${pod} ${binding.service}`, { pod, uid: target.uid, binding }] as readonly [
            string,
            PodTarget,
          ];
        }),
      );
    },
  });
  return new Index(graph, targets, "pod", ({ pod }) => [pod]);
}

/** Those that mean this pod, and not one that had its name before. */
export const targetsOf = (pod: Pod, targets: readonly PodTarget[]): readonly PodTarget[] =>
  targets.filter(({ uid }) => uid === "" || uid === pod.uid);
