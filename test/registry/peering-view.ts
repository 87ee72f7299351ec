import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import { clusterId } from "../../src/names.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { federatedKey, type FederatedService } from "../../src/registry/model/federated-service.ts";
import type { ClusterFacts, PeerStatus } from "../../src/registry/model/peer.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { Registry } from "../../src/registry/registry.ts";
import { type PeeringViewOptions, wantedOfPeering } from "../../src/registry/wanted/wanted-of-peering.ts";
import { federated } from "./peers.ts";

/** The system namespace, with the network of the cluster. */
export const namedNetwork = (network: string, labels = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "istio-system", labels: { "topology.istio.io/network": network, ...labels } },
});

/** A registry of cluster `east`, told what peers say, and what it wants written of that. */
export function peeringView(
  objects: readonly KubeObject[] = [],
  options: Partial<RegistryOptions> = {},
  view: Partial<PeeringViewOptions> = {},
) {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("east"), ...options });
  const wanted = wantedOfPeering(graph, registry.peeringViewInputs, {
    conditionPrefix: "gloo.solo.io/",
    objects: "summary",
    ...view,
  });
  const intake = registry.intake(clusterId("east"));
  const settled =
    <A extends readonly unknown[]>(write: (...all: A) => void) =>
    (...all: A): void => {
      write(...all);
      graph.flush();
    };
  const apply = settled((...written: readonly KubeObject[]) => written.forEach((object) => intake.set(object, "")));
  const remove = settled((...gone: readonly ObjectReference[]) => gone.forEach((object) => intake.delete(object)));
  apply(...objects);
  const { peers } = registry;
  return {
    ...{ graph, registry, wanted, apply, remove },
    learn: settled((said: ClusterFacts) => peers.facts.set(said.cluster, said)),
    report: settled((said: PeerStatus) => peers.statuses.set(said.cluster, said)),
    hear: settled((cluster: string, said: Partial<FederatedService> = {}) => {
      const record = federated(cluster, said);
      peers.federated.set(federatedKey(record), record);
    }),
    forget: settled((cluster: string, said: Partial<FederatedService> = {}) =>
      peers.federated.delete(federatedKey(federated(cluster, said))),
    ),
    conditions: (key: string) => wanted.get(key)?.conditions ?? [],
    /** As `Accepted=True Accepted`. */
    verdicts: (key: string): readonly string[] =>
      (wanted.get(key)?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`),
  };
}
