import {
  doorsOf,
  type ModelCluster,
  type ModelPod,
  type ModelService,
  type ModelWorld,
  nameOf,
  namespaceOf,
  SEGMENT_DOMAIN,
  SERVICES,
  targetOf,
  waypointIp,
} from "./model.ts";

/** What clients in one cluster are to hold, in plain words; lists are sorted. */
export interface View {
  readonly services: Readonly<Record<string, ViewedService>>;
  readonly endpoints: Readonly<Record<string, ViewedEndpoint>>;
}

export interface ViewedService {
  readonly ports: readonly number[];
  readonly identities: readonly string[];
  readonly waypoint: string | undefined;
  /** By what `endpoints` has them under; only those that clients send traffic to. */
  readonly endpoints: readonly string[];
}

export interface ViewedEndpoint {
  readonly network: string;
  readonly healthy: boolean;
  /** Of what stands for many: how many of them are ready. */
  readonly ready: number | undefined;
  /** As `shop/cart.shop.mesh.internal 80>8080`; the far side of a gateway finds the target port. */
  readonly services: readonly string[];
  readonly identity: string;
}

const SHARED = new Set(["global", "global-only", "segment"]);

const scopeOf = (cluster: ModelCluster, key: string, { scope }: ModelService): string =>
  scope !== "" ? scope : (cluster.scopes.get(namespaceOf(key)) ?? "");

/** The service, if its cluster shares it. */
function sharedOf(cluster: ModelCluster, key: string): ModelService | undefined {
  const service = cluster.services.get(key);
  return service !== undefined && !service.headless && SHARED.has(scopeOf(cluster, key, service)) ? service : undefined;
}

const takesOver = (cluster: ModelCluster, key: string): boolean => {
  const service = sharedOf(cluster, key);
  return service !== undefined && (service.takeover || service.scope === "global-only");
};

const allows = (namespaces: readonly string[] | undefined, key: string): boolean =>
  namespaces === undefined || namespaces.includes(namespaceOf(key));

/** True if `to` reads `from` by a Gateway that says what `from` says of itself. */
export const isLinked = (from: ModelCluster, to: ModelCluster): boolean => {
  const gateway = to.gateways.get(from.name);
  return gateway !== undefined && gateway.mistaken === undefined;
};

/** Whether what `from` shares under this name is for `to`, as the objects of both say. */
export function isHeard(from: ModelCluster, to: ModelCluster, key: string): boolean {
  const service = sharedOf(from, key);
  if (service === undefined || !isLinked(from, to)) return false;
  if (scopeOf(from, key, service) === "segment" && from.inSegment !== to.inSegment) return false;
  return allows(from.grants.get(to.name)?.exports, key) && allows(to.grants.get(from.name)?.imports, key);
}

export const podsBehind = (cluster: ModelCluster, key: string): readonly (readonly [string, ModelPod])[] =>
  cluster.services.has(key)
    ? [...cluster.pods].filter(([pod, { app }]) => namespaceOf(pod) === namespaceOf(key) && app === nameOf(key))
    : [];

export const readyBehind = (cluster: ModelCluster, key: string): number =>
  podsBehind(cluster, key).filter(([, { ready }]) => ready).length;

/** Single pods are told to peers only by who links to a peer on its own network. */
export const tellsPods = (cluster: ModelCluster, world: ModelWorld): boolean =>
  [...cluster.gateways].some(
    ([peer, { mistaken }]) => mistaken !== "network" && world.get(peer)!.network === cluster.network,
  );

export const localHost = (key: string): string =>
  `${namespaceOf(key)}/${nameOf(key)}.${namespaceOf(key)}.svc.cluster.local`;
export const globalHost = ({ inSegment }: ModelCluster, key: string): string =>
  `${namespaceOf(key)}/${nameOf(key)}.${namespaceOf(key)}.${inSegment ? SEGMENT_DOMAIN : "mesh.internal"}`;
const identityOf = ({ trustDomain }: ModelCluster, namespace: string, account: string): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;

/** The names under which clients of `to` reach what `from` has. */
function namesAt(from: ModelCluster, to: ModelCluster, key: string, world: ModelWorld): readonly string[] {
  const taken = to.services.has(key)
    ? takesOver(to, key)
    : [...world.values()].some((other) => other !== to && isHeard(other, to, key) && takesOver(other, key));
  return [globalHost(from, key), ...(taken ? [localHost(key)] : [])];
}

const bound = (names: readonly string[], ports: readonly number[]): readonly string[] =>
  names.flatMap((name) => ports.map((port) => `${name} ${port}>${targetOf(port)}`)).sort();

type Endpoints = Record<string, ViewedEndpoint>;

/** What all clusters' objects say, read from the beginning. */
export function viewOf(here: ModelCluster, world: ModelWorld): View {
  const endpoints: Endpoints = {};
  addOwn(endpoints, here);
  for (const peer of world.values()) {
    if (peer === here) continue;
    addGateways(endpoints, here, peer);
    for (const key of SERVICES) if (isHeard(peer, here, key)) addFar(endpoints, here, peer, key, world);
  }
  const services: Record<string, ViewedService> = {};
  for (const key of SERVICES)
    for (const name of namesOf(here, key, world)) services[name] = serviceAt(name, key, here, world, endpoints);
  return { services, endpoints };
}

function addOwn(endpoints: Endpoints, here: ModelCluster): void {
  for (const [pod, { app, ready, account }] of here.pods) {
    const key = `${namespaceOf(pod)}/${app}`;
    const service = here.services.get(key);
    const names = [localHost(key), ...(sharedOf(here, key) === undefined ? [] : [globalHost(here, key)])];
    endpoints[`pod ${here.name}/${pod}`] = {
      network: here.network,
      healthy: ready,
      ready: undefined,
      services: service === undefined ? [] : bound(names, service.ports),
      identity: identityOf(here, namespaceOf(pod), account),
    };
  }
}

function addGateways(endpoints: Endpoints, here: ModelCluster, peer: ModelCluster): void {
  const gateway = here.gateways.get(peer.name);
  if (gateway === undefined || gateway.mistaken !== undefined || peer.network === here.network) return;
  for (const ip of doorsOf(peer).slice(0, gateway.doors))
    endpoints[`gateway ${peer.network}/${ip}`] = {
      network: peer.network,
      healthy: true,
      ready: undefined,
      services: [],
      identity: identityOf(peer, "istio-eastwest", peer.eastWest ?? "istio-eastwest"),
    };
}

/** What stands here for the pods that a peer has of a service, or these pods themselves on one network. */
function addFar(endpoints: Endpoints, here: ModelCluster, peer: ModelCluster, key: string, world: ModelWorld): void {
  const { ports } = peer.services.get(key)!;
  const services = bound(namesAt(peer, here, key, world), ports);
  const pods = podsBehind(peer, key);
  const ready = readyBehind(peer, key);
  if (peer.network !== here.network)
    endpoints[`all of ${peer.name}/${key}`] = {
      network: peer.network,
      healthy: ready > 0,
      ready,
      services,
      identity: "",
    };
  else if (tellsPods(peer, world))
    for (const [pod, { ready, account }] of pods)
      endpoints[`pod ${peer.name}/${pod}`] = {
        network: here.network,
        healthy: ready,
        ready: undefined,
        services,
        identity: identityOf(peer, namespaceOf(pod), account),
      };
}

function namesOf(here: ModelCluster, key: string, world: ModelWorld): readonly string[] {
  const names = new Set<string>();
  if (here.services.has(key)) names.add(localHost(key));
  if (sharedOf(here, key) !== undefined) names.add(globalHost(here, key));
  for (const peer of world.values())
    if (peer !== here && isHeard(peer, here, key)) for (const name of namesAt(peer, here, key, world)) names.add(name);
  return [...names].sort();
}

function serviceAt(
  name: string,
  key: string,
  here: ModelCluster,
  world: ModelWorld,
  endpoints: Endpoints,
): ViewedService {
  const own = here.services.get(key);
  const isOwn = name === localHost(key) || (sharedOf(here, key) !== undefined && name === globalHost(here, key));
  const peers = [...world.values()].filter(
    (peer) => peer !== here && isHeard(peer, here, key) && namesAt(peer, here, key, world).includes(name),
  );
  const ports = [...(isOwn ? (own?.ports ?? []) : []), ...peers.flatMap((peer) => peer.services.get(key)!.ports)];
  // On one network clients look at the pod that they reach, and at nothing else.
  const identities = peers
    .filter(({ network }) => network !== here.network)
    .flatMap((peer) => identitiesBehind(peer, key));
  const waypoint = own?.usesWaypoint === true && here.waypoints.has(namespaceOf(key));
  return {
    ports: [...new Set(ports)].sort((a, b) => a - b),
    identities: [...new Set(identities)].sort(),
    waypoint: waypoint ? waypointIp(here, namespaceOf(key)) : undefined,
    endpoints: Object.entries(endpoints)
      .filter(([, { healthy, services }]) => healthy && services.some((bound) => bound.startsWith(`${name} `)))
      .map(([endpoint]) => endpoint)
      .sort(),
  };
}

/** Whoever may answer for it, its waypoint too. */
function identitiesBehind(peer: ModelCluster, key: string): readonly string[] {
  const namespace = namespaceOf(key);
  const waypoint = peer.services.get(key)!.usesWaypoint && peer.waypoints.has(namespace);
  return [
    ...podsBehind(peer, key).map(([, { account }]) => identityOf(peer, namespace, account)),
    ...(waypoint ? [identityOf(peer, namespace, "wp")] : []),
  ];
}
