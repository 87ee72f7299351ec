import type { ServiceName } from "../../names.ts";
import type { EastWestRoute, EastWestPort } from "../../registry/model/east-west-route.ts";
import type { BackendName } from "../../registry/model/proxy-backend.ts";
import type { RequestPolicy } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort } from "../../registry/model/proxy-service.ts";
import { authorizationPerTunnel } from "./authorization-filters.ts";
import { CALLER_HEADER } from "./connect-terminate.ts";
import { durationOf, envoy, wrapped } from "./message.ts";
import { CONNECT_ROUTES, inboundName, outboundName } from "./resource-names.ts";

type Host = envoy.config.route.v3.VirtualHost.$Properties;
type Route = envoy.config.route.v3.Route.$Properties;
type Match = envoy.config.route.v3.RouteMatch.$Properties;

/** What a CONNECT may name at a waypoint: a service by its names and addresses, and its ports. */
export interface ConnectService {
  readonly service: ServiceName;
  /** In their own text: IPv6 addresses without brackets. */
  readonly authorities: readonly string[];
  readonly ports: readonly Pick<ProxyPort, "number" | "protocol">[];
  /** Of ports that may be no HTTP; none if all of them are HTTP. */
  readonly authorization: readonly RequestPolicy[];
}

/** What a gateway lets callers tunnel to. */
export interface ConnectTable {
  /** Of a waypoint, by name. */
  readonly services: readonly ConnectService[];
  /** Of an east-west gateway, by name. */
  readonly eastWest: readonly EastWestRoute[];
}

/** Where a tunnel goes, by what its CONNECT names. Of two that have one name the first keeps it: Envoy takes no two. */
export function encodeConnectRoutes({ services, eastWest }: ConnectTable): Uint8Array {
  const taken = new Set<string>();
  const hosts = [...services.flatMap(hostsOfService), ...eastWest.flatMap(hostsOfRoute)].flatMap((host) => {
    const domains = host.domains!.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [{ ...host, domains }];
  });
  return envoy.config.route.v3.RouteConfiguration.encode({
    name: CONNECT_ROUTES,
    virtualHosts: [...hosts, UNKNOWN],
    // Clusters come before routes that name them; one that is gone answers, and takes no other route with it.
    validateClusters: wrapped(false),
  }).finish();
}

function hostsOfService({ service, authorities, ports, authorization }: ConnectService): Host[] {
  const hosts = ports.map((port) => {
    const name = inboundName(service, port.number);
    const host = hostOf(name, authorities, port.number, [to(name)]);
    return { ...host, typedPerFilterConfig: authorizationPerTunnel(authorization, port) };
  });
  return [...hosts, noSuchPort(service, authorities)];
}

function hostsOfRoute(route: EastWestRoute): Host[] {
  const { service, hostname, ports } = route;
  const hosts = ports.map((port) => hostOf(`${service}|${port.number}`, [hostname], port.number, wayIn(route, port)));
  return [...hosts, noSuchPort(service, [hostname])];
}

/** Through the service's waypoint, but for callers that are a waypoint which has acted already (contract peering.md 2.9). */
function wayIn({ throughWaypoint, actedBy }: EastWestRoute, { direct, waypoint }: EastWestPort): Route[] {
  if (!throughWaypoint) return [toBackend("direct", direct)];
  const acted = actedBy.map((principal) => toBackend("direct", direct, principal));
  // A service whose waypoint is unknown must not be reached around it.
  return [
    ...acted,
    waypoint === undefined ? refuse("refused: its waypoint is not known") : toBackend("waypoint", waypoint),
  ];
}

const toBackend = (name: string, backend: BackendName, caller?: string): Route =>
  to(outboundName(backend), name, caller === undefined ? {} : from(caller));

const from = (caller: string): Match => ({ headers: [{ name: CALLER_HEADER, stringMatch: { exact: caller } }] });

const to = (cluster: string, name = cluster, match: Match = {}): Route => ({
  name,
  match: { connectMatcher: {}, ...match },
  route: {
    cluster,
    timeout: durationOf(0),
    idleTimeout: durationOf(0),
    upgradeConfigs: [{ upgradeType: "CONNECT", connectConfig: {} }],
  },
});

const hostOf = (name: string, authorities: readonly string[], port: number | "*", routes: Route[]): Host => ({
  name,
  domains: authorities.map((authority) => `${bracketed(authority)}:${port}`.toLowerCase()),
  routes,
});

const bracketed = (authority: string): string => (authority.includes(":") ? `[${authority}]` : authority);

/** Less specific than a host with a port. A wildcard cannot be at both ends. */
const noSuchPort = (service: ServiceName, authorities: readonly string[]): Host =>
  hostOf(
    `${service}|*`,
    authorities.filter((authority) => !authority.startsWith("*")),
    "*",
    [refuse("refused: the service has no such port")],
  );

/** The access log has the name. */
const refuse = (name: string, match: Match = { connectMatcher: {} }): Route => ({
  name,
  match,
  directResponse: { status: 404 },
});

const AN_IP = { stringMatch: { safeRegex: { regex: "([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+" } } };

const UNKNOWN: Host = {
  name: "unknown",
  domains: ["*"],
  routes: [
    refuse("refused: the address is of no service here", {
      connectMatcher: {},
      headers: [{ name: ":authority", ...AN_IP }],
    }),
    refuse("refused: not a service of this gateway"),
    refuse("refused: not a CONNECT", { prefix: "/" }),
  ],
};
