import { createHash } from "node:crypto";
import { WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { flatUid, objectKey, type ServiceName, type WorkloadUid } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { globalOwner } from "../global-members.ts";
import type { GlobalHost } from "../global-merge.ts";
import type { ServiceBinding, Workload } from "../model/workload.ts";
import { clustersAnnotation, localityText, parentLabels, wantedEntry, type GeneratedWish } from "./generated-entry.ts";
import { generatedName } from "./generated-name.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/** What a pod of a peer serves of one global service. */
interface Part {
  readonly host: GlobalHost;
  readonly bindings: readonly ServiceBinding[];
}

/** Pods of peers on our own network; one that serves several services is an entry of each (contract peering.md 2.5). */
export function flatEntries(graph: Graph, inputs: PeeringViewInputs): Collection<string, WantedObject> {
  const { objects, options, offers, paths } = inputs;
  const { localCluster, systemNamespace } = options;
  const flat = filter(graph, "flat-workloads-shown", inputs.workloads, ({ uid, cluster }) =>
    uid.startsWith(flatUid(cluster, `${cluster}/` as WorkloadUid)),
  );
  return derive(graph, {
    name: "flat-entries-wanted",
    from: flat,
    reads: { hosts: offers.hosts, standings: paths.standings, found: objects.generatedWorkloadEntries },
    to: (workload, reads) => {
      const segment = reads.standings.get(workload.cluster)?.segment ?? "";
      const parts = partsOf(workload, reads.hosts);
      return parts.flatMap((part): readonly (readonly [string, WantedObject])[] => {
        const name = generatedName(parts.length === 1 ? workload.name : nameOfPart(workload, part));
        const wish = wishOf(workload, part, { namespace: systemNamespace, name, segment });
        const wanted = wantedEntry(wish, reads.found.get(objectKey(localCluster, systemNamespace, name)));
        return wanted ? [[`WorkloadEntry ${systemNamespace}/${name}`, wanted]] : [];
      });
    },
  });
}

function partsOf({ services }: Workload, hosts: { get(name: ServiceName): GlobalHost | undefined }): readonly Part[] {
  const parts = new Map<string, Part>();
  for (const binding of services) {
    const host = hosts.get(binding.service);
    if (host === undefined) continue;
    const owner = globalOwner(host.namespace, host.name);
    parts.set(owner, { host, bindings: [...(parts.get(owner)?.bindings ?? []), binding] });
  }
  return [...parts.values()];
}

/** The pod's name with digits of this service alone. */
function nameOfPart({ name }: Workload, { bindings }: Part): string {
  const digest = createHash("sha256").update(bindings.map(({ service }) => service).join(" "));
  return `${name.slice(0, name.lastIndexOf("."))}.${digest.digest("hex").slice(0, 12)}`;
}

function wishOf(
  { cluster, network, addresses, serviceAccount, locality }: Workload,
  { host, bindings: [first] }: Part,
  { namespace, name, segment }: { readonly namespace: string; readonly name: string; readonly segment: string },
): GeneratedWish {
  const labels = parentLabels(segment, host);
  const ports = (first?.ports ?? []).map(({ servicePort, targetPort }) => [
    `port-${servicePort}`,
    targetPort || servicePort,
  ]);
  return {
    ...{ type: WORKLOAD_ENTRIES, namespace, name, labels },
    annotations: clustersAnnotation([cluster]),
    spec: {
      ...{ address: addresses[0], labels, ports: Object.fromEntries(ports) as unknown },
      ...(network !== "" && { network }),
      ...(serviceAccount !== "" && { serviceAccount }),
      ...(locality !== undefined && { locality: localityText(locality) }),
    },
  };
}
