import { type ClusterId, clusterId, objectKey } from "../names.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import type { Candidate } from "../registry/global-candidate.ts";
import { drainedObject, type Drain, timeOfDrain } from "../registry/drains.ts";
import type { Registry } from "../registry/registry.ts";

/** A page without a question is read with all others, for reports. */
const UNASKED_MAX = 500;

/** What drainz says: the drains of one cluster, and who takes the calls of each service that they are about. */
export interface DrillView {
  readonly cluster: string;
  readonly drains: readonly DrainView[];
  readonly services: readonly ServiceShares[];
  /** Of those that nobody asked for by name, how many more there are. */
  readonly servicesLeftOut: number;
}

export interface DrainView {
  /** As `Gateway istio-eastwest/istio-remote-peer-west`. */
  readonly object: string;
  readonly until: string;
  readonly state: Drain["state"] | "unreadable" | "ended";
}

export interface ServiceShares {
  readonly service: string;
  readonly host: string;
  readonly clusters: readonly ClusterShare[];
}

export interface ClusterShare {
  readonly cluster: string;
  /** How we hear of it. */
  readonly via: Candidate["via"];
  /** As far as anybody here knows. */
  readonly ready: number;
  /** Whether calls from here end there. */
  readonly called: boolean;
  /** Why they do not; empty if they do. */
  readonly reason: string;
}

/**
 * Who calls may ask for what one peer shares, `?peer=west`, or for one service, `?service=shop/cart`; otherwise it is about
 * the services that the drains are about.
 */
export function drillView(registry: Registry, query: URLSearchParams): DrillView {
  const { options } = registry.globalCandidates.inputs;
  const { wanted, states } = registry.drains;
  return {
    cluster: options.localCluster,
    drains: Array.from(wanted.entries(), ([key, { text, untilMs }]) => ({
      object: drainedObject(key, options.localCluster),
      until: untilMs === undefined ? text : timeOfDrain(untilMs),
      state: untilMs === undefined ? "unreadable" : (states.get(key)?.state ?? "ended"),
    })),
    ...servicesOf(registry, query),
  };
}

function servicesOf(registry: Registry, query: URLSearchParams): Pick<DrillView, "services" | "servicesLeftOut"> {
  const { globalCandidates } = registry;
  const isAbout = aboutOf(registry, query);
  const names = [...globalCandidates.inputs.offers.hosts.entries()]
    .filter(([, host]) => host.kind === "global" && isAbout(host))
    .sort(([a], [b]) => byCodeUnit(a, b));
  const shown = query.has("peer") || query.has("service") ? names : names.slice(0, UNASKED_MAX);
  return {
    services: shown.map(([key, { host, namespace, name }]) => {
      return { service: `${namespace}/${name}`, host, clusters: globalCandidates.ofName(key).flatMap(shareOf) };
    }),
    servicesLeftOut: names.length - shown.length,
  };
}

type IsAbout = (service: { readonly namespace: string; readonly name: string }) => boolean;

function aboutOf({ drains, globalCandidates }: Registry, query: URLSearchParams): IsAbout {
  const { offers, options, paths } = globalCandidates.inputs;
  const [peer, asked] = [query.get("peer"), query.get("service")];
  const isOf =
    (cluster: ClusterId): IsAbout =>
    ({ namespace, name }) =>
      offers.federated.get(objectKey(cluster, namespace, name)) !== undefined;
  if (asked !== null) return ({ namespace, name }) => asked === `${namespace}/${name}`;
  if (peer !== null) return isOf(clusterId(peer));
  const drained = [...paths.standings.entries()].flatMap(([cluster, { drainedUntilMs }]) =>
    drainedUntilMs === undefined ? [] : [isOf(cluster)],
  );
  return (service) =>
    drains.states.get(`Service ${objectKey(options.localCluster, service.namespace, service.name)}`) !== undefined ||
    drained.some((isOfPeer) => isOfPeer(service));
}

const shareOf = ({ cluster, via, healthy, endpoints, excluded }: Candidate): readonly ClusterShare[] =>
  endpoints === 0 && excluded !== undefined && excluded.reason !== "drained"
    ? []
    : [{ cluster, via, ready: healthy, called: excluded === undefined && healthy > 0, reason: excluded?.reason ?? "" }];
