import type { ResourceType } from "../../kube/api.ts";
import * as types from "../../kube/resource-types.ts";
import { type ClusterFacts, whyHidden } from "../cluster-facts.ts";
import type { Finding } from "../finding.ts";
import type { AnalysisCodeName } from "./codes.ts";

/** Whose objects a code rests on: those of the finding's cluster, of all that were read, or of all that there are. */
type Extent = "own" | "read" | "all";
type Grounds = readonly [Extent, ...(readonly ResourceType[])];

const { NAMESPACES, NODES, SERVICES, GATEWAYS, GATEWAY_CLASSES, SEGMENTS, CONFIG_MAPS, PODS } = types;
const WAYPOINTS = [GATEWAYS, GATEWAY_CLASSES, NAMESPACES] as const;
const MAKERS = [types.DEPLOYMENTS, types.DAEMON_SETS, types.STATEFUL_SETS, types.REPLICA_SETS, types.JOBS] as const;
const ENDPOINTS = [PODS, types.ENDPOINT_SLICES, types.WORKLOAD_ENTRIES, types.SERVICE_ENTRIES, ...MAKERS] as const;

/** Kinds without which a code may be said of what is only out of sight: an object that is missing, or a default. */
const GROUNDS: Readonly<Partial<Record<AnalysisCodeName, Grounds>>> = {
  CWY2012: ["own", NAMESPACES],
  CWY2101: ["own", NAMESPACES],
  CWY2104: ["own", NAMESPACES],
  CWY2107: ["own", SERVICES, NODES],
  CWY2108: ["own", GATEWAYS, NAMESPACES],
  CWY2110: ["read", CONFIG_MAPS, GATEWAYS],
  CWY2202: ["all", CONFIG_MAPS],
  CWY2203: ["read", GATEWAYS],
  CWY2204: ["read", NAMESPACES],
  CWY2205: ["read", GATEWAYS, SERVICES, NODES],
  CWY2207: ["read", CONFIG_MAPS],
  CWY2208: ["read", GATEWAYS],
  CWY2209: ["read", GATEWAYS, SERVICES],
  CWY2210: ["read", GATEWAYS],
  CWY2211: ["read", GATEWAYS, SERVICES],
  CWY2212: ["read", GATEWAYS],
  CWY2213: ["read", SEGMENTS],
  CWY2214: ["read", NAMESPACES],
  CWY2216: ["all", GATEWAYS, CONFIG_MAPS],
  CWY2303: ["read", ...WAYPOINTS],
  CWY2304: ["read", NAMESPACES, CONFIG_MAPS],
  CWY2311: ["read", NAMESPACES],
  CWY2313: ["own", SEGMENTS],
  CWY2316: ["own", NAMESPACES, PODS],
  CWY2317: ["all", SERVICES, ...ENDPOINTS],
  CWY2318: ["read", types.AUTHORIZATION_POLICIES, ...WAYPOINTS],
  CWY2401: ["read", types.AUTHORIZATION_POLICIES, ...WAYPOINTS],
  CWY2402: ["own", SERVICES, types.SERVICE_ENTRIES, ...WAYPOINTS],
  CWY2403: ["read", types.AUTHORIZATION_POLICIES],
  CWY2407: ["all", CONFIG_MAPS, GATEWAYS],
  CWY2408: ["own", ...ENDPOINTS],
  CWY2501: ["own", ...WAYPOINTS],
  CWY2502: ["own", ...WAYPOINTS],
  CWY2503: ["own", ...WAYPOINTS, SERVICES],
  CWY2504: ["own", ...WAYPOINTS, SERVICES, types.REFERENCE_GRANTS],
  CWY2505: ["own", SERVICES],
  CWY2506: ["own", GATEWAY_CLASSES],
};

/** Whether a finding rests on what could not be read: nothing follows from an object that was not seen. */
export function isDoubtful({ code, cluster }: Finding, all: readonly ClusterFacts[]): boolean {
  const [extent, ...grounds] = GROUNDS[code as AnalysisCodeName] ?? [];
  if (extent === undefined) return false;
  const read = extent === "all" ? all : all.filter(({ unread }) => unread === undefined);
  const about = extent === "own" && cluster !== undefined ? read.filter((each) => each.cluster === cluster) : read;
  return about.some((facts) =>
    grounds.some((type) => facts.unread !== undefined || whyHidden(facts, type) !== undefined),
  );
}
