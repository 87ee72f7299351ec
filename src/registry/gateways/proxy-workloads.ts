import { hostname, objectKey, podUid, serviceName, type ObjectKey, type ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { Pod } from "../kube/pod.ts";
import { backendName } from "../model/proxy-backend.ts";
import { proxyKey, type ProxyPort, type ProxyService } from "../model/proxy-service.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { protocolHint } from "../protocol-hint.ts";
import type { Offer } from "../service-offers.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import type { NeededBackend } from "./needed-backends.ts";
import { addressText, ownEndpoints, type WaypointAddress } from "./proxy-services.ts";
import { chainOf, protocolsOf, type ProtocolReads } from "./service-protocols.ts";

export interface ProxyWorkloads {
  /** As if each were a service of its own, named after its first address. */
  readonly services: Collection<string, ProxyService>;
  readonly needed: Collection<string, NeededBackend>;
}

export interface ProxyWorkloadInputs extends Pick<GatewayInputs, "objects" | "workloads" | "winners"> {
  /** Where clients send to for each waypoint, by `addressText`. */
  readonly byAddress: Index<ObjectKey, WaypointAddress>;
  /** By `network/ip`. */
  readonly servicesByAddress: Index<ServiceName, Service>;
}

/**
 * What waypoints serve of workloads that are called by their own addresses (`istio.io/waypoint-for: workload` or `all`).
 * Their callers may name any port; Envoy must know each, so it is those that services or containers name.
 */
export function proxyWorkloads(graph: Graph, inputs: ProxyWorkloadInputs): ProxyWorkloads {
  const { objects, workloads, winners, byAddress, servicesByAddress } = inputs;
  const using = filter(graph, "workloads-with-waypoints", workloads, ({ waypoint }) => waypoint !== undefined);
  const holders = new Index(graph, using, "address", ({ network, addresses }) =>
    addresses.map((ip) => `${network}/${ip}`),
  );
  const { pods, services: kubeServices, serviceEntries: entries } = objects;
  const served = derive(graph, {
    // Not distinct: an address may go from one workload to another in one flush.
    name: "proxied-workloads",
    from: using,
    reads: { byAddress, winners, pods, kubeServices, entries, holders, servicesByAddress },
    to: (workload, reads, uid) => {
      const authorities = workload.addresses.filter((ip) => isItsOwn(workload, ip, reads));
      const [ip] = authorities;
      if (ip === undefined || workload.waypoint === undefined) return [];
      const name = serviceName(workload.namespace, ip);
      const ways = reads.byAddress.get(addressText(workload.waypoint));
      return ways.flatMap(({ gateway, network }): readonly (readonly [string, Served])[] => {
        if (workload.network !== network) return [];
        const ports = portsOf(workload, name, reads);
        return [
          [
            proxyKey(gateway, name),
            { service: { gateway, service: name, hostname: hostname(ip), authorities, ports }, uid },
          ],
        ];
      });
    },
  });
  return {
    services: derive(graph, {
      name: "proxy-workloads",
      distinct: true,
      from: served,
      reads: {},
      to: ({ service }, _reads, key) => [[key, service] as const],
    }),
    needed: derive(graph, {
      name: "backends-of-workloads",
      distinct: true,
      from: served,
      reads: {},
      to: ({ service: { gateway, service, ports }, uid }) =>
        ports.map(({ number: port, backend: name }) => {
          const target = { kind: "workload", uid } as const;
          return [proxyKey(gateway, name), { gateway, name, service, port, target }] as const;
        }),
    }),
  };
}

interface Served {
  readonly service: ProxyService;
  readonly uid: Workload["uid"];
}

interface Reads extends ProtocolReads {
  readonly winners: { get(name: ServiceName): Offer | undefined };
  readonly pods: { get(key: ObjectKey): Pod | undefined };
  readonly holders: { get(address: string): readonly Workload[] };
  readonly servicesByAddress: { get(address: string): readonly Service[] };
}

/** What several have, as the address of their node, or what is a service's, tells nobody which one is called. */
function isItsOwn({ uid, network, hostNetwork }: Workload, ip: string, { holders, servicesByAddress }: Reads): boolean {
  const address = `${network}/${ip}`;
  return !hostNetwork && holders.get(address)[0]?.uid === uid && servicesByAddress.get(address).length === 0;
}

function portsOf(workload: Workload, name: ServiceName, reads: Reads): readonly ProxyPort[] {
  const found = new Map<number, ProxyPort["protocol"]>();
  for (const [number, hint] of portsNamed(workload, reads)) {
    const protocol = chainOf(hint);
    // Who disagrees says nothing.
    if (protocol !== undefined) found.set(number, (found.get(number) ?? protocol) === protocol ? protocol : "detected");
  }
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([number, protocol]) => {
      const backend = backendName(name, number);
      return { number, protocol, rules: protocol === "tcp" ? [] : [ownEndpoints(backend)], backend };
    });
}

/** Its own port numbers, each with what somebody says is spoken there. */
function* portsNamed(workload: Workload, reads: Reads): Iterable<readonly [port: number, hint: string]> {
  for (const { service, ports } of workload.services) {
    const offer = reads.winners.get(service);
    const protocols = offer && protocolsOf(offer, reads);
    for (const { servicePort, targetPort } of ports) yield [targetPort, protocols?.get(servicePort) ?? ""];
  }
  const { cluster, namespace, uid } = workload;
  if (uid !== podUid(cluster, namespace, workload.name)) return;
  for (const [name, port] of reads.pods.get(objectKey(cluster, namespace, workload.name))?.ports ?? [])
    yield [
      port,
      protocolHint({ name, port, protocol: "TCP", targetPort: undefined, appProtocol: undefined, nodePort: undefined }),
    ];
}
