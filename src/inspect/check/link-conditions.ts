import type { KubeObject } from "../../kube/object.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { described } from "./fixes.ts";
import { addressesOf, type Condition, conditionOf, fieldsIn, leadsTo, specOf } from "./mesh-parts.ts";
import { planeLogs } from "./plane-fixes.ts";

/** What a Gateway of class istio-remote says is not so. */
export interface BrokenLink {
  /** Whatever stands before it. */
  readonly type: LinkCondition;
  /** Undefined if nobody wrote one. */
  readonly condition: Condition | undefined;
  /** It is connected, and has not been heard for long. */
  readonly stale: boolean;
  readonly fix: string;
}

/** In the order in which they come true, with the page that has a line for each reason. */
const CONDITIONS = [
  { type: "Accepted", page: "accepted" },
  { type: "PeerConnected", page: "peer-connected" },
  { type: "PeeringSucceeded", page: "peering-succeeded" },
  { type: "PeerDataPlaneProgrammed", page: "peer-data-plane-programmed" },
] as const;
export type LinkCondition = (typeof CONDITIONS)[number]["type"];
/** Nobody was found at the address. */
const UNREACHED: readonly string[] = ["DialTimeout", "ConnectionRefused"];
const XDS_PORT = 15_012;

/** The first condition that does not hold; undefined if all do. @param mesh where the other end may be, too. */
export function brokenLink(
  facts: ClusterFacts,
  gateway: KubeObject,
  mesh: readonly ClusterFacts[],
): BrokenLink | undefined {
  for (const { type, page } of CONDITIONS) {
    const condition = conditionOf(gateway, type);
    if (condition?.status === "True") continue;
    const stale = type === "PeeringSucceeded" && condition?.reason === "Stale";
    const remedy = stale ? lookThere(leadsTo(gateway), mesh) : remedyOf(facts, gateway, condition, page);
    return { type, condition, stale, fix: `${described(facts, gateway)}; ${remedy}` };
  }
  return undefined;
}

function remedyOf(facts: ClusterFacts, gateway: KubeObject, condition: Condition | undefined, page: string): string {
  if (condition === undefined) return planeLogs(facts);
  const hosts = addressesOf(gateway, "spec").join(", ") || "its address";
  if (UNREACHED.includes(condition.reason))
    return `see that port ${xdsPort(gateway)} of ${hosts} is open from this cluster`;
  return `docs/conditions/${page}.md says what to do about ${condition.reason || condition.status}`;
}

/** Behind a load balancer it is the usual one; a node port, or what a firewall makes of it, is another. */
const xdsPort = (gateway: KubeObject): unknown =>
  fieldsIn(specOf(gateway)["listeners"]).find((listener) => listener["protocol"] === "TLS")?.["port"] ?? XDS_PORT;

/** What a peer does not say is to be found at its own end. */
export function lookThere(peer: string, mesh: readonly ClusterFacts[]): string {
  const there = mesh.find(({ cluster }) => cluster === peer);
  return there === undefined ? `look at the control plane of ${peer}` : planeLogs(there);
}
