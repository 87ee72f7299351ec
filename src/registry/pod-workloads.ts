import { objectKey, podUid, type ObjectKey, type WorkloadUid } from "../names.ts";
import type { Attachment, SelectedService } from "./attachments.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { Index } from "./collection/index-by.ts";
import { podEnded, type Pod } from "./kube/pod.ts";
import { intern } from "./kube/metadata.ts";
import type { Objects } from "./kube/objects.ts";
import type { Locality } from "./model/address.ts";
import type { Workload, ServiceBinding } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { targetsOf, type PodTarget } from "./pod-targets.ts";
import { portsOnPod } from "./ports.ts";
import { canonicalName, canonicalRevision } from "./workload-shape.ts";

/** Every pod on the local network that runs, meshed or not, of any cluster, as the workload it is (contract ztunnel.md 5.2). */
export function podWorkloads(
  graph: Graph,
  objects: Objects,
  attachments: Collection<string, Attachment>,
  targets: Index<string, PodTarget>,
  options: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const shared = new SharedBindings();
  return derive(graph, {
    name: "pod-workloads",
    // A workload is named after its pod.
    distinct: true,
    from: objects.pods,
    reads: { nodes: objects.nodes, attachments, targets },
    to: (pod, { nodes, attachments, targets }, key) => {
      if (podEnded(pod) || pod.ips.length === 0) return [];
      const attachment = attachments.get(pod.placement.id);
      // Labels are settled before pods, so each pod has its attachment. Those of another network are behind its gateway,
      // and are only ever named as endpoints of the services that the mesh shares (contract ztunnel.md 5.9).
      if (!attachment?.onLocalNetwork) return [];
      const locality =
        pod.node === "" ? undefined : nodes.get(intern(objectKey(pod.cluster, "", pod.node)) as ObjectKey)?.locality;
      const targeted = targetsOf(pod, targets.get(key));
      const services =
        targeted.length === 0 ? shared.of(attachment, pod.ports) : bindings(pod.ports, attachment.services, targeted);
      const workload = workloadOf(pod, attachment, locality, services, options);
      return [[workload.uid, workload]];
    },
  });
}

/** One literal rather than spreads: with them a workload cost 700 bytes more, and twice the time. */
function workloadOf(
  pod: Pod,
  attachment: Attachment,
  locality: Locality | undefined,
  services: readonly ServiceBinding[],
  { mesh }: RegistryOptions,
): Workload {
  const { labels } = pod.placement;
  return {
    uid: podUid(pod.cluster, pod.namespace, pod.name),
    name: pod.name,
    namespace: pod.namespace,
    cluster: pod.cluster,
    network: attachment.network,
    addresses: pod.ips,
    hostname: "",
    tunnel: pod.tunnel === "none" ? "none" : "hbone",
    nativeTunnel: pod.tunnel === "native",
    trustDomain: mesh.trustDomain,
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    canonicalName: canonicalName(labels, pod.workloadName),
    canonicalRevision: canonicalRevision(labels),
    workloadName: pod.workloadName,
    healthy: pod.ready && !pod.deleting,
    hostNetwork: pod.hostNetwork,
    locality,
    services,
    // A waypoint's own pods must not send their traffic to themselves.
    waypoint: attachment.instanceOf ? undefined : attachment.waypoint,
    networkGateway: attachment.networkGateway,
    applicationTunnel: attachment.instanceOf?.applicationTunnel,
    policies: attachment.policies,
    capacity: undefined,
  };
}

const NONE: readonly ServiceBinding[] = [];

/** Pods of one label set with the same named ports are endpoints alike: they share one list. */
class SharedBindings {
  readonly #known = new WeakMap<Attachment, WeakMap<Pod["ports"], readonly ServiceBinding[]>>();

  of(attachment: Attachment, ports: Pod["ports"]): readonly ServiceBinding[] {
    let known = this.#known.get(attachment);
    if (known === undefined) this.#known.set(attachment, (known = new WeakMap()));
    let list = known.get(ports);
    if (list === undefined) known.set(ports, (list = bindings(ports, attachment.services, [])));
    return list;
  }
}

function bindings(
  podPorts: Pod["ports"],
  selected: readonly SelectedService[],
  targeted: readonly PodTarget[],
): readonly ServiceBinding[] {
  if (selected.length === 0 && targeted.length === 0) return NONE;
  const found = new Map(targeted.map(({ binding }) => [binding.service, binding]));
  for (const { service, ports, rules } of selected)
    found.set(service, { service, ports: portsOnPod(ports, rules, podPorts) });
  return [...found.values()].sort((a, b) => (a.service < b.service ? -1 : 1));
}
