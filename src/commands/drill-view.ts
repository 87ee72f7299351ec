import { clusterId, objectKey } from "../names.ts";
import type { Candidate } from "../registry/global-candidate.ts";
import { drainedObject, type Drain, timeOfDrain } from "../registry/drains.ts";
import type { Registry } from "../registry/registry.ts";

/** What drainz says: the drains of one cluster, and who takes the calls of each service that they are about. */
export interface DrillView {
  readonly cluster: string;
  readonly drains: readonly DrainView[];
  readonly services: readonly ServiceShares[];
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
  /** As far as anybody here knows. */
  readonly ready: number;
  /** Whether calls from here end there. */
  readonly called: boolean;
  /** Why they do not; empty if they do. */
  readonly reason: string;
}

/** Who calls may ask for what one peer shares, `?peer=west`, or for one service, `?service=shop/cart`. */
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
    services: servicesOf(registry, query),
  };
}

function servicesOf({ globalCandidates }: Registry, query: URLSearchParams): readonly ServiceShares[] {
  const [peer, asked] = [query.get("peer"), query.get("service")];
  const { offers } = globalCandidates.inputs;
  return Array.from(offers.hosts.entries(), ([, host]) => host).flatMap(({ kind, host, namespace, name }) => {
    const service = `${namespace}/${name}`;
    if (kind !== "global" || (asked !== null && asked !== service)) return [];
    if (peer !== null && offers.federated.get(objectKey(clusterId(peer), namespace, name)) === undefined) return [];
    return [{ service, host, clusters: globalCandidates.of(host).flatMap(shareOf) }];
  });
}

const shareOf = ({ cluster, healthy, endpoints, excluded }: Candidate): readonly ClusterShare[] =>
  endpoints === 0 && excluded !== undefined && excluded.reason !== "drained"
    ? []
    : [{ cluster, ready: healthy, called: excluded === undefined && healthy > 0, reason: excluded?.reason ?? "" }];
