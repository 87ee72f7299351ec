import type { ClusterId, ObjectKey } from "../../names.ts";
import type { ClusterFacts, PeerGateway, PeerStatus } from "../model/peer.ts";
import { hostText } from "../network-gateways.ts";
import type { PeerDoors } from "../peer-doors.ts";
import type { RegistryOptions } from "../options.ts";
import { isFlat, type PeerStanding } from "../peer-standings.ts";
import type { Verdict } from "./wanted-status.ts";

/** What is known of a Gateway of class `istio-remote`, and of the peer that it leads to. */
export interface PeerFindings {
  /** Undefined if it leads to no peer, but only into another network. */
  readonly peer: PeerGateway | undefined;
  readonly status: PeerStatus | undefined;
  readonly standing: PeerStanding | undefined;
  readonly facts: ClusterFacts | undefined;
  readonly doors: PeerDoors | undefined;
  /** Its pods reach ours directly. */
  readonly flat: boolean;
}

/** Where that is found, by the Gateway or by the peer's cluster. */
export interface PeerReads {
  readonly peerGateways: Found<ObjectKey, PeerGateway>;
  readonly statuses: Found<ClusterId, PeerStatus>;
  readonly standings: Found<ClusterId, PeerStanding>;
  readonly facts: Found<ClusterId, ClusterFacts>;
  readonly doors: Found<ObjectKey, PeerDoors>;
}

interface Found<K, V> {
  get(key: K): V | undefined;
}

export function peerFindings(
  key: ObjectKey,
  reads: PeerReads,
  options: Pick<RegistryOptions, "flatPeering">,
): PeerFindings {
  const peer = reads.peerGateways.get(key);
  const cluster = peer?.refused === undefined ? peer?.cluster : undefined;
  const standing = cluster && reads.standings.get(cluster);
  return {
    ...{ peer, standing, status: cluster && reads.statuses.get(cluster), facts: cluster && reads.facts.get(cluster) },
    doors: reads.doors.get(key),
    flat: standing !== undefined && isFlat(standing, options),
  };
}

type Answer = Pick<Verdict, "holds" | "reason" | "message">;
const yes = (reason: string, message: string): Answer => ({ holds: true, reason, message });
const no = (reason: string, message: string): Answer => ({ holds: false, reason, message });
const unknown = (reason: string, message: string): Answer => ({ holds: undefined, reason, message });

const WAYS_SHOWN_MAX = 3;

/**
 * The conditions of one Gateway (contract peering.md 2.14). What changes with every retry, or every pod, is not in them.
 * @param prefix of the three types that are the product's, as `gloo.solo.io/`.
 */
export function peerConditions(findings: PeerFindings, prefix: string): readonly Verdict[] {
  const verdict = (type: string, answer: Answer): Verdict => ({ type, ...answer });
  const own = [verdict("Accepted", accepted(findings)), verdict("Programmed", programmed(findings))];
  if (findings.peer === undefined) return own;
  return [
    ...own,
    verdict(`${prefix}PeerConnected`, peerConnected(findings)),
    verdict(`${prefix}PeeringSucceeded`, peeringSucceeded(findings)),
    verdict(`${prefix}PeerDataPlaneProgrammed`, dataPlaneProgrammed(findings)),
  ];
}

function accepted({ peer }: PeerFindings): Answer {
  const refused = peer?.refused;
  return refused === undefined ? yes("Accepted", "Resource accepted") : no(refused.reason, `It ${refused.message}.`);
}

function programmed({ peer, status }: PeerFindings): Answer {
  if (peer?.refused === undefined && status?.reason === "AddressUnresolved")
    return no("AddressUnresolved", sentence(`Its address cannot be looked up: ${status.message}`));
  return yes("Programmed", "It stands for a gateway that is elsewhere, so there is nothing to deploy for it.");
}

const isConnected = ({ state }: PeerStatus): boolean => state === "live" || state === "syncing";

function peerConnected({ peer, status }: PeerFindings): Answer {
  if (peer?.refused !== undefined) return notAccepted(peer.refused.reason);
  if (status === undefined) return unknown("Pending", "The peer is not dialled yet.");
  const { cluster, reason, message, lastError } = status;
  const before =
    lastError === undefined ? "" : ` Last error at ${timeText(lastError.atMs)}: ${sentence(lastError.message)}`;
  if (isConnected(status)) return yes("Connected", `The control plane of ${cluster} is connected.${before}`);
  if (lastError !== undefined && reason === lastError.reason)
    return no(lastError.reason, `Since ${timeText(lastError.atMs)}: ${sentence(lastError.message)}`);
  return unknown("Dialling", `${sentence(message)}${before}`);
}

function peeringSucceeded({ peer, status }: PeerFindings): Answer {
  if (peer?.refused !== undefined) return notAccepted(peer.refused.reason);
  if (status === undefined) return unknown("SyncPending", "The peer is not dialled yet.");
  const { cluster, state, everSynced, reason, message, sinceMs, staleness } = status;
  if (state === "live")
    return reason === undefined
      ? yes("Synced", `All that ${cluster} shares is known here.`)
      : no(reason, `All that ${cluster} shares is known here, but for what is refused: ${sentence(message)}`);
  if (!isConnected(status) && status.lastError === undefined) return unknown("Dialling", sentence(message));
  if (!everSynced) return no("SyncPending", `${cluster} has not said all of its first state yet.`);
  if (state === "syncing") return no("SyncPending", `${cluster} is back, and has not said all that changed meanwhile.`);
  return no("Stale", `Stale since ${timeText(sinceMs)}: ${STALENESS[staleness]}`);
}

/** By what becomes of what the peer last said. */
const STALENESS: Readonly<Record<PeerStatus["staleness"], string>> = {
  fresh: "what the peer said last stays in force.",
  "within-grace": "what the peer said last stays in force.",
  retain: "its grace is over, and what the peer said last stays in force.",
  unhealthy: "its grace is over, and traffic goes to other clusters where it can.",
  remove: "its grace is over, and what the peer said last is removed.",
};

function dataPlaneProgrammed({ peer, status, standing, facts, doors, flat }: PeerFindings): Answer {
  if (peer === undefined || peer.refused !== undefined) return notAccepted(peer?.refused?.reason ?? "");
  if (standing === undefined) return unknown("Pending", "The peer is not known yet.");
  if (!standing.networkAgreed)
    return no(
      "NetworkMismatch",
      `The label topology.istio.io/network says ${standing.network}, and ${standing.cluster} says that it is on ` +
        `${facts?.network || "the default network"}; make the two equal.`,
    );
  if (standing.onLocalNetwork) {
    if (flat) return yes("Programmed", "It is on our network: its pods are reached directly.");
    const both = `It is on network ${standing.network}, as we are, so no gateway leads there`;
    return no(
      "NetworkMismatch",
      `${both}, and single pods of peers are turned off; turn them on, or rename one network.`,
    );
  }
  if (doors === undefined || doors.ways.length === 0)
    return doors?.missing === undefined
      ? no("NoGatewayAddress", "No address is known at which its network can be entered; put one into spec.addresses.")
      : no("NodePortUnavailable", `It ${doors.missing}; have the peer's east-west gateway offer nodeport.`);
  const ways = doors.ways.slice(0, WAYS_SHOWN_MAX).map(({ host, hbonePort }) => `${hostText(host)} port ${hbonePort}`);
  const closed = status?.dataPlane === "closed" ? " No connection from here succeeds there; look for a firewall." : "";
  return yes("Programmed", `Its network ${standing.network} is entered by ${ways.join(", ")}.${closed}`);
}

const notAccepted = (reason: string): Answer => no(reason, "There is no link, as the Gateway is not accepted.");

/** RFC 3339, in seconds. */
export const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.[0-9]+Z$/, "Z");

/** With one full stop. */
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
