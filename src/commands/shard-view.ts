import type { Collection } from "../registry/collection/collection.ts";
import type { Service } from "../registry/model/service.ts";
import type { Workload } from "../registry/model/workload.ts";
import { endpointView, type EndpointView } from "./mesh-view.ts";

interface ShardEndpointView extends EndpointView {
  readonly addresses: readonly string[];
  readonly network: string;
}

interface ServicesViewed {
  readonly services: Collection<string, Service>;
  readonly workloadsByService: { get(service: string): readonly Workload[] };
}

/** The endpoints of each service by the cluster that has them: hostname, namespace, `Shards`, as istiod nests them. */
export function endpointShards({ services, workloadsByService }: ServicesViewed): unknown {
  const hosts = new Map<string, Record<string, unknown>>();
  for (const [key, service] of services.entries()) {
    const namespaces = hosts.get(service.hostname) ?? {};
    namespaces[service.namespace] = { Shards: shardsOf(service, workloadsByService.get(key)) };
    hosts.set(service.hostname, namespaces);
  }
  return Object.fromEntries(hosts) as unknown;
}

function shardsOf(service: Service, endpoints: readonly Workload[]): unknown {
  const byCluster = new Map<string, Workload[]>();
  for (const workload of endpoints) {
    const shard = `Kubernetes/${workload.cluster}`;
    const members = byCluster.get(shard);
    if (members === undefined) byCluster.set(shard, [workload]);
    else members.push(workload);
  }
  return Object.fromEntries(Array.from(byCluster, ([shard, members]) => [shard, views(service, members)]));
}

/** Made as they are written: there can be a hundred thousand. */
function* views(service: Service, endpoints: readonly Workload[]): Iterable<ShardEndpointView> {
  for (const workload of endpoints) {
    const { addresses, network } = workload;
    yield { ...endpointView(service, workload), addresses, network };
  }
}
