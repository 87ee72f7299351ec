import type { NetworkId, ObjectKey, ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { GatewayAddress } from "../model/address.ts";
import { ANY_REQUEST, NO_CHANGES, type HttpRule } from "../model/http-rule.ts";
import { backendName, type BackendName } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import { proxyKey, type ProxyPort, type ProxyService } from "../model/proxy-service.ts";
import type { Service } from "../model/service.ts";
import type { Offer } from "../service-offers.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import { chainOf, protocolsOf, type ProtocolReads } from "./service-protocols.ts";

export interface ProxyServiceInputs extends Pick<GatewayInputs, "objects" | "services" | "winners"> {
  /** Where clients send to for each waypoint, by `addressText`. */
  readonly byAddress: Index<ObjectKey, WaypointAddress>;
  /** By `network/ip`. */
  readonly servicesByAddress: Index<ServiceName, Service>;
  /** What routes say, by port of a service; without any all requests go to its own endpoints. */
  readonly rules: Collection<BackendName, readonly HttpRule[]>;
}

/**
 * What each of our waypoints serves: all that clients are told to send to its address, whatever Gateway was meant
 * (contract ztunnel.md 6.2 no. 2).
 */
export function proxyServices(
  graph: Graph,
  { objects, services, winners, byAddress, servicesByAddress, rules }: ProxyServiceInputs,
): Collection<string, ProxyService> {
  return derive(graph, {
    name: "proxy-services",
    distinct: true,
    from: services,
    reads: {
      byAddress,
      servicesByAddress,
      winners,
      rules,
      kubeServices: objects.services,
      entries: objects.serviceEntries,
    },
    to: (service, reads, key) => {
      if (service.waypoint === undefined) return [];
      return reads.byAddress.get(addressText(service.waypoint)).map(({ gateway, network }) => {
        const served: ProxyService = {
          gateway,
          service: key,
          hostname: service.hostname,
          authorities: authoritiesOf(service, network, reads),
          ports: portsOf(service, reads),
        };
        return [proxyKey(gateway, key), served] as const;
      });
    },
  });
}

export interface WaypointAddress {
  readonly gateway: ObjectKey;
  readonly network: NetworkId;
  readonly address: string;
}

/** Where clients send to for each of our waypoints, by `addressText`. */
export function waypointsByAddress(
  graph: Graph,
  gateways: Collection<ObjectKey, ProxyGateway>,
  offered: GatewayInputs["offered"],
): Index<ObjectKey, WaypointAddress> {
  const addresses = derive(graph, {
    name: "proxy-waypoint-addresses",
    distinct: true,
    from: filter(graph, "proxy-waypoints", gateways, ({ kind }) => kind === "waypoint"),
    reads: { offered },
    to: ({ network }, { offered }, gateway) => {
      const address = offered.get(gateway)?.address;
      return address === undefined ? [] : [[gateway, { gateway, network, address: addressText(address) }] as const];
    },
  });
  return new Index(graph, addresses, "address", ({ address }) => [address]);
}

export const addressText = ({ destination }: GatewayAddress): string =>
  destination.kind === "hostname"
    ? `${destination.namespace}/${destination.hostname}`
    : `${destination.address.network}/${destination.address.ip}`;

/**
 * Each is one service's only, as Envoy refuses all routes for one that is there twice: an address that hosts of one
 * entry share is the first one's, and a host that several namespaces have the canonical one's. Nobody calls a pattern.
 */
function authoritiesOf(
  { key, addresses, hostname, canonical }: Service,
  network: NetworkId,
  { servicesByAddress }: Reads,
): readonly string[] {
  const own = addresses
    .filter((address) => address.network === network && address.prefixLength === undefined)
    .map(({ ip }) => ip)
    .filter((ip) => holderOf(servicesByAddress.get(`${network}/${ip}`))?.key === key);
  const named = canonical && !isPattern(hostname);
  return named ? [...own, hostname] : own;
}

const holderOf = (all: readonly Service[]): Service | undefined =>
  all.find(({ hostname }) => !isPattern(hostname)) ?? all[0];
const isPattern = (host: string): boolean => host.startsWith("*");

interface Reads extends ProtocolReads {
  readonly servicesByAddress: { get(address: string): readonly Service[] };
  readonly winners: { get(name: ServiceName): Offer | undefined };
  readonly rules: { get(port: BackendName): readonly HttpRule[] | undefined };
}

function portsOf({ key, ports }: Service, reads: Reads): readonly ProxyPort[] {
  const offer = reads.winners.get(key);
  const protocols = offer === undefined ? undefined : protocolsOf(offer, reads);
  const all = ports
    .flatMap(({ servicePort: number }): readonly ProxyPort[] => {
      const protocol = chainOf(protocols?.get(number) ?? "");
      if (protocol === undefined) return [];
      const backend = backendName(key, number);
      const rules = protocol === "tcp" ? [] : (reads.rules.get(backend) ?? [ownEndpoints(backend)]);
      return [{ number, protocol, rules, backend }];
    })
    .sort((a, b) => a.number - b.number);
  let left = RULES_MAX;
  return all.map((port) => {
    if (port.rules.length > left) return { ...port, rules: [tooMany(port.backend)] };
    left -= port.rules.length;
    return port;
  });
}

/** Of all ports of a service together: a hundred routes, each for a thousand ports, are more than we or any proxy can hold. */
export const RULES_MAX = 100_000;

const tooMany = (backend: BackendName): HttpRule => ({
  ...ownEndpoints(backend),
  name: TOO_MANY,
  action: { kind: "refuse", status: 500, why: `The ports before this one have ${RULES_MAX} matches of routes.` },
});

/** The name of what answers on ports whose routes are too many. */
export const TOO_MANY = "too-many-routes";

/** What holds where no route says otherwise. */
export const ownEndpoints = (backend: BackendName): HttpRule => ({
  name: "default",
  match: ANY_REQUEST,
  action: {
    kind: "forward",
    backends: [{ backend, weight: 1, requestHeaders: NO_CHANGES, responseHeaders: NO_CHANGES }],
    rewrite: undefined,
  },
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
  mirrors: [],
  timeoutMs: undefined,
  retry: undefined,
});
