import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS } from "../../kube/resource-types.ts";
import { type ClusterFacts, pageOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { described, labelled, linked, permitted } from "./fixes.ts";
import { unended } from "./gateway-check.ts";
import {
  addressesOf,
  CLUSTER_LABEL,
  conditionsOf,
  entriesOfPage,
  fieldsIn,
  fieldsOf,
  isDeclared,
  labelOf,
  leadsTo,
  NETWORK_LABEL,
  networkOf,
  objectName,
  placeOf,
  remoteGateways,
  textOf,
} from "./mesh-parts.ts";
import { brokenLink, type LinkCondition, lookThere } from "./link-conditions.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeLogs, planeRestarted } from "./plane-fixes.ts";

/** What was heard longer ago than this is not confirmed, however connected the link says it is. */
const SILENT_S = 90;

/** Of each condition that does not hold. */
const CODES: Readonly<Record<LinkCondition, string>> = {
  Accepted: "11",
  PeerConnected: "03",
  PeeringSucceeded: "04",
  PeerDataPlaneProgrammed: "06",
};

/** The links of a cluster to its peers, by what their Gateways and the control plane say; `mesh` is all that is checked. */
export function peersCheck(facts: ClusterFacts, mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.peers);
  const gateways = remoteGateways(facts);
  const why = whyUnknown(facts, GATEWAYS);
  if (why !== undefined)
    notes.error("12", facts.cluster, {
      ...{ object: "gateways.gateway.networking.k8s.io", evidence: `Gateways are not known: ${why}` },
      fix: permitted(facts, "gateways.gateway.networking.k8s.io"),
    });
  else if (gateways.length === 0)
    notes.error("01", facts.cluster, {
      ...{ object: "Gateway istio-eastwest/istio-remote-peer-*", evidence: "no configured peers" },
      fix: linked(mesh),
    });
  for (const gateway of gateways) lookAt(notes, facts, gateway, mesh);
  for (const gateway of gateways) otherEnd(notes, facts, gateway, mesh);
  refusedPeers(notes, facts, mesh);
  return notes.outcome("all clusters connected", facts.cluster);
}

function lookAt(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject, mesh: readonly ClusterFacts[]): void {
  const peer = peerOf(facts, gateway);
  const before = notes.problems;
  unlabelled(notes, facts, gateway, peer, mesh);
  noteProblems(notes, facts, gateway, peer, mesh);
  notes.line(`Cluster: ${leadsTo(gateway) || "unknown"}`);
  notes.line("Addresses:");
  for (const address of addressesOf(gateway, "spec")) notes.line(`- ${address}`);
  notes.line("Conditions:");
  for (const { type, status } of conditionsOf(gateway)) notes.line(`- ${type}: ${status}`);
  const state = textOf(peer?.["state"]);
  notes.line(notes.problems === before ? "Status: connected ✅" : `Status: not connected${state && ` (${state})`} ❌`);
}

type Page = Readonly<Record<string, unknown>> | undefined;

/** What peerz says of the link that a Gateway makes. */
function peerOf(facts: ClusterFacts, gateway: KubeObject): Page {
  const place = `${gateway.metadata.namespace}/${gateway.metadata.name}`;
  return entriesOfPage(facts, "peerz").find((peer) => textOf(peer["gateway"]).endsWith(place));
}

function unlabelled(
  notes: CheckNotes,
  facts: ClusterFacts,
  gateway: KubeObject,
  peer: Page,
  mesh: readonly ClusterFacts[],
): void {
  if (labelOf(gateway, CLUSTER_LABEL) !== "") return;
  // Its network alone was enough once, and is mostly one cluster's.
  const onNetwork = mesh.filter((other) => other !== facts && networkOf(other) === labelOf(gateway, NETWORK_LABEL));
  const cluster = textOf(peer?.["cluster"]) || (onNetwork.length === 1 ? onNetwork[0]!.cluster : "<cluster>");
  notes.error("02", facts.cluster, {
    ...{ object: objectName(gateway), field: `metadata.labels[${CLUSTER_LABEL}]` },
    evidence: `remote gateway ${placeOf(gateway)} has no label ${CLUSTER_LABEL}`,
    fix: labelled(facts, gateway, CLUSTER_LABEL, cluster),
  });
}

function noteProblems(
  notes: CheckNotes,
  facts: ClusterFacts,
  gateway: KubeObject,
  peer: Page,
  mesh: readonly ClusterFacts[],
): void {
  const object = objectName(gateway);
  const to = leadsTo(gateway) || gateway.metadata.name;
  const unwritten = isDeclared(facts) && conditionsOf(gateway).length === 0;
  if (unwritten && peer === undefined)
    return notes.unknown("10", facts.cluster, {
      ...{ object, evidence: "whether peers are connected is not known of manifests", fix: "" },
    });
  const broken = unwritten ? undefined : brokenLink(facts, gateway, mesh);
  if (broken !== undefined) {
    const { type, condition, stale, fix } = broken;
    const said =
      condition === undefined ? "no control plane said anything of it" : unended(condition.message || condition.reason);
    notes.error(stale ? "05" : CODES[type], facts.cluster, {
      ...{ object, field: `status.conditions[${condition?.type ?? type}]` },
      ...{ evidence: `cluster ${to}: ${type} is ${condition?.status ?? "not there"}: ${said}`, fix },
    });
    return;
  }
  if (peer === undefined) return unconfirmed(notes, facts, gateway);
  const age = Number(peer["ageSeconds"] ?? 0);
  const staleness = textOf(peer["staleness"]) || "fresh";
  if (peer["state"] !== "live" || staleness !== "fresh" || age > SILENT_S || heardAgo(facts, peer) > SILENT_S)
    notes.error("05", facts.cluster, {
      ...{ object, field: "peerz" },
      evidence: `cluster ${to} is connected but stale: the control plane says ${textOf(peer["state"])}, and heard from it last ${heardAgo(facts, peer)} s ago`,
      fix: `${described(facts, gateway)}; ${lookThere(to, mesh)}`,
    });
}

/** Conditions stay as they were when whoever wrote them has died. */
function unconfirmed(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  const pages = facts.planes.flatMap(({ pages }) => pages.get("peerz") ?? []);
  const [silent] = pages.flatMap((page) => ("why" in page ? [page] : []));
  if (silent === undefined || pages.some((page) => "body" in page)) return;
  const object = objectName(gateway);
  const evidence = `cluster ${leadsTo(gateway)} is connected but stale: no control plane of ${facts.cluster} confirms what its Gateway says: ${silent.why}`;
  if (silent.denied === true)
    return notes.unknown("13", facts.cluster, {
      ...{ object, fix: "" },
      evidence: `whether cluster ${leadsTo(gateway)} is connected is only known of its Gateway: ${silent.why}`,
    });
  const fix = `${planeLogs(facts)}; ${planeRestarted(facts)}`;
  notes.error("05", facts.cluster, { object, field: "peerz", evidence, fix });
}

function heardAgo({ readAt }: ClusterFacts, peer: NonNullable<Page>): number {
  const heardAt = Date.parse(textOf(peer["heardAt"]));
  return Number.isNaN(heardAt) ? 0 : Math.max(0, Math.round((readAt - heardAt) / 1000));
}

/** Links in one direction are allowed, and mostly a mistake; peers that nobody checks are only said. */
function otherEnd(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject, mesh: readonly ClusterFacts[]): void {
  const to = leadsTo(gateway);
  const other = mesh.find(({ cluster }) => cluster === to);
  const object = objectName(gateway);
  if (to === "" || to === facts.cluster) return;
  if (other === undefined) {
    if (mesh.length < 2) return;
    notes.line(`Cluster ${to} is linked, and not among those that are checked`, "info");
    notes.info("08", facts.cluster, {
      object,
      evidence: `cluster ${to} is linked, and not among those that are checked`,
      fix: "",
    });
  } else if (
    whyUnknown(other, GATEWAYS) === undefined &&
    !remoteGateways(other).some((back) => leadsTo(back) === facts.cluster)
  )
    notes.warn("07", facts.cluster, {
      object,
      evidence: `half linked: ${facts.cluster} reads ${to}, and ${to} does not read ${facts.cluster}`,
      fix: linked([facts, other]),
    });
}

/** Control planes that came here and were sent away; those say only that the link was cut. */
function refusedPeers(notes: CheckNotes, facts: ClusterFacts, mesh: readonly ClusterFacts[]): void {
  const page = fieldsIn(fieldsOf(pageOf(facts, "peerclientz"))["refused"]);
  for (const { cluster, reason, message } of page) {
    const there = mesh.find((other) => other.cluster === textOf(cluster));
    notes.error("09", facts.cluster, {
      object: `cluster ${textOf(cluster)}`,
      evidence: `the control plane of ${textOf(cluster)} was refused here (${textOf(reason)}): ${unended(textOf(message))}`,
      fix: admitted(facts, there, textOf(reason)),
    });
  }
}

/** Whoever no Gateway leads to is let in by one; of all else the refusal says what is to be made equal. */
const admitted = (facts: ClusterFacts, there: ClusterFacts | undefined, reason: string): string =>
  reason === "NotListed" && there !== undefined
    ? linked([facts, there])
    : "do what the refusal says, at this end or at that one";
