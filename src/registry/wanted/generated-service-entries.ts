import { SERVICE_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { objectKey, type ClusterId } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { globalOwner } from "../global-members.ts";
import type { GlobalHost } from "../global-merge.ts";
import { ALIASES, type GeneratedEntry } from "../kube/generated.ts";
import type { Service } from "../model/service.ts";
import { clustersAnnotation, parentLabels, wantedEntry, type GeneratedWish } from "./generated-entry.ts";
import { generatedName } from "./generated-name.ts";
import type { Unsettled } from "./generated-orphans.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";
import { sharingOf, type Sharing } from "./sharing.ts";

/** Each global service as a ServiceEntry, for people and tools to see (contract peering.md 2.5). */
export function generatedServiceEntries(
  graph: Graph,
  inputs: PeeringViewInputs,
  unsettled: Unsettled,
): Collection<string, WantedObject> {
  const { objects, options, offers, services, names } = inputs;
  const { localCluster, systemNamespace: namespace } = options;
  const hosts = filter(graph, "hosts-shown", offers.hosts, ({ kind }) => kind === "global");
  const { standings } = inputs.paths;
  return derive(graph, {
    name: "global-service-entries-wanted",
    from: hosts,
    reads: {
      ...{ services, standings, owners: names.owners, sharing: sharingOf(graph, offers.members) },
      unsettled: unsettled.byCluster,
      ofCluster: inputs.shared.segments.ofCluster,
      found: objects.generatedServiceEntries,
    },
    to: (host, reads, key): readonly (readonly [string, WantedObject])[] => {
      const [service, sharing] = [reads.services.get(key), reads.sharing.get(key)];
      // Somebody else's object has the name: then that is what kubectl shows.
      if (reads.owners.get(key) !== globalOwner(host.namespace, host.name) || !service || !sharing) return [];
      const segment = reads.standings.get(host.base)?.segment ?? reads.ofCluster.get(host.base)?.segment ?? "";
      const parts = segment === "" ? [] : [segment];
      const name = generatedName("autogen", ...parts, host.namespace, host.name);
      const found = reads.found.get(objectKey(localCluster, namespace, name));
      const id = `ServiceEntry ${namespace}/${name}`;
      // What it says of a peer that has not said its state yet may be right.
      const waits = found?.clusters?.some((cluster) => isAwaited(cluster as ClusterId, sharing, reads.unsettled));
      if (waits === true) return [[id, { type: SERVICE_ENTRIES, namespace, name, found: "same" }]];
      const wish = wishOf(host, { namespace, name, segment, sharing, service });
      const wanted = wantedEntry(wish, found);
      if (wanted === undefined) return [];
      const entry = [id, wanted] as const;
      if (found === undefined || wanted.gone === true) return [entry];
      const status = addressesOf(wish, host, service, found);
      return [entry, [`${id} status`, status] as const];
    },
  });
}

const isAwaited = (
  cluster: ClusterId,
  { clusters }: Sharing,
  unsettled: { get(cluster: ClusterId): ClusterId | undefined },
): boolean => !clusters.includes(cluster) && unsettled.get(cluster) !== undefined;

interface Shown {
  readonly namespace: string;
  readonly name: string;
  readonly segment: string;
  readonly sharing: Sharing;
  readonly service: Service;
}

function wishOf(host: GlobalHost, { namespace, name, segment, sharing, service }: Shown): GeneratedWish {
  const { subjectAltNames } = service;
  const { aliases, clusters } = sharing;
  const labels = parentLabels(segment, host);
  return {
    type: SERVICE_ENTRIES,
    namespace,
    name,
    labels,
    annotations: { ...(aliases.length > 0 && { [ALIASES]: aliases.join(",") }), ...clustersAnnotation(clusters) },
    spec: {
      hosts: [host.host],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: host.ports.map(({ servicePort, targetPort }, at) => ({
        name: `port-${servicePort}`,
        number: servicePort,
        protocol: host.protocols[at] || "TCP",
        // Where it differs by cluster, each finds its own behind the port.
        targetPort: targetPort || servicePort,
      })),
      ...(subjectAltNames.length > 0 && { subjectAltNames }),
      workloadSelector: { labels },
    },
  };
}

function addressesOf(
  { type, namespace, name }: GeneratedWish,
  { host }: GlobalHost,
  { addresses: own }: Service,
  found: GeneratedEntry,
): WantedObject {
  const addresses = own.map(({ ip }) => ({ value: ip, host }));
  const texts = addresses.map(({ value }) => `${host} ${value}`).sort();
  const same = texts.join() === found.addresses.join();
  return {
    ...{ type, namespace, name, subresource: "status", found: same ? "same" : "different" },
    ...(addresses.length > 0 && { fields: { status: { addresses } } }),
  };
}
