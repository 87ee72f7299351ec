import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS } from "../../kube/resource-types.ts";
import { type ClusterFacts, pageOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { unended } from "./gateway-check.ts";
import {
  addressesOf,
  CLUSTER_LABEL,
  conditionOf,
  conditionsOf,
  entriesOfPage,
  fieldsIn,
  fieldsOf,
  isDeclared,
  labelOf,
  leadsTo,
  objectName,
  remoteGateways,
  specOf,
  textOf,
} from "./mesh-parts.ts";
import { CheckNotes, contextFlag, kubectl, type Outcome } from "./outcome.ts";
import { planeWords } from "./workload-names.ts";

/** What was heard longer ago than this is not confirmed, however connected the link says it is. */
const SILENT_S = 90;

/** The links of a cluster to its peers, by what their Gateways and the control plane say; `mesh` is all that is checked. */
export function peersCheck(facts: ClusterFacts, mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.peers);
  const gateways = remoteGateways(facts);
  const why = whyUnknown(facts, GATEWAYS);
  if (why !== undefined)
    notes.error("12", facts.cluster, {
      ...{ object: "gateways.gateway.networking.k8s.io", evidence: `Gateways are not known: ${why}` },
      fix: `${kubectl(facts)} auth can-i list gateways.gateway.networking.k8s.io -A`,
    });
  else if (gateways.length === 0)
    notes.error("01", facts.cluster, {
      ...{ object: "Gateway istio-eastwest/istio-remote-peer-*", evidence: "no configured peers" },
      fix: `causeway multicluster link --contexts ${mesh.map(({ context, cluster }) => context ?? cluster).join(",")}`,
    });
  for (const gateway of gateways) lookAt(notes, facts, gateway);
  for (const gateway of gateways) otherEnd(notes, facts, gateway, mesh);
  refusedPeers(notes, facts, mesh);
  return notes.outcome("all clusters connected", facts.cluster);
}

function lookAt(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  const peer = peerOf(facts, gateway);
  const before = notes.problems;
  noteProblems(notes, facts, gateway, peer);
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

function noteProblems(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject, peer: Page): void {
  const object = objectName(gateway);
  const { namespace, name } = gateway.metadata;
  const to = leadsTo(gateway) || name;
  if (labelOf(gateway, CLUSTER_LABEL) === "")
    notes.error("02", facts.cluster, {
      ...{ object, field: `metadata.labels[${CLUSTER_LABEL}]` },
      evidence: `remote gateway ${namespace}/${name} has no label ${CLUSTER_LABEL}`,
      fix: `${kubectl(facts)} -n ${namespace} label gateway ${name} ${CLUSTER_LABEL}=<the peer's cluster ID>`,
    });
  const unwritten = isDeclared(facts) && conditionsOf(gateway).length === 0;
  if (unwritten && peer === undefined)
    return notes.unknown("10", facts.cluster, {
      ...{ object, evidence: "whether peers are connected is not known of manifests", fix: "" },
    });
  const broken = unwritten ? undefined : BROKEN.find(({ type }) => conditionOf(gateway, type)?.status !== "True");
  if (broken !== undefined) {
    const condition = conditionOf(gateway, broken.type);
    const said =
      condition === undefined ? "no control plane said anything of it" : unended(condition.message || condition.reason);
    const code = broken.type === "PeeringSucceeded" && condition?.reason === "Stale" ? "05" : broken.code;
    notes.error(code, facts.cluster, {
      ...{ object, field: `status.conditions[${condition?.type ?? broken.type}]` },
      evidence: `cluster ${to}: ${broken.type} is ${condition?.status ?? "not there"}: ${said}`,
      fix: broken.fix(facts, gateway),
    });
    return;
  }
  if (peer === undefined) return unconfirmed(notes, facts, gateway);
  const age = Number(peer["ageSeconds"] ?? 0);
  const staleness = textOf(peer["staleness"]) || "fresh";
  if (peer["state"] !== "live" || staleness !== "fresh" || age > SILENT_S || heardAgo(facts, peer) > SILENT_S)
    notes.error("05", facts.cluster, {
      ...{ object, field: "peerz" },
      evidence: `cluster ${to} is connected but stale: the control plane says ${textOf(peer["state"])}, and heard of it last ${heardAgo(facts, peer)} s ago`,
      fix: `${kubectl(facts)} -n ${namespace} describe gateway ${name}; causeway multicluster check --verbose${contextFlag(facts)}`,
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
  const plane = planeWords(facts);
  const fix = `${plane.kubectl} logs ${plane.deployment}; ${plane.kubectl} rollout restart ${plane.deployment}`;
  notes.error("05", facts.cluster, { object, field: "peerz", evidence, fix });
}

function heardAgo({ readAt }: ClusterFacts, peer: NonNullable<Page>): number {
  const heardAt = Date.parse(textOf(peer["heardAt"]));
  return Number.isNaN(heardAt) ? 0 : Math.max(0, Math.round((readAt - heardAt) / 1000));
}

interface Broken {
  readonly type: string;
  readonly code: string;
  fix(facts: ClusterFacts, gateway: KubeObject): string;
}

/** Behind a load balancer it is the usual one; a node port, or what a firewall makes of it, is another. */
const portOf = (gateway: KubeObject, protocol: string): unknown =>
  fieldsIn(specOf(gateway)["listeners"]).find((listener) => listener["protocol"] === protocol)?.["port"];

const describe = (facts: ClusterFacts, { metadata }: KubeObject): string =>
  `${kubectl(facts)} -n ${metadata.namespace} describe gateway ${metadata.name}`;

/** In the order in which they come true. */
const BROKEN: readonly Broken[] = [
  { type: "Accepted", code: "11", fix: describe },
  {
    ...{ type: "PeerConnected", code: "03" },
    fix: (facts, gateway) =>
      `${describe(facts, gateway)}; see that port ${portOf(gateway, "TLS") ?? 15_012} of ${addressesOf(gateway, "spec").join(", ") || "its address"} is open from this cluster`,
  },
  { type: "PeeringSucceeded", code: "04", fix: describe },
  {
    ...{ type: "PeerDataPlaneProgrammed", code: "06" },
    fix: (facts, gateway) =>
      `${describe(facts, gateway)}; see that port ${portOf(gateway, "HBONE") ?? 15_008} of ${addressesOf(gateway, "spec").join(", ") || "its address"} is open from this cluster`,
  },
];

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
      fix: `causeway multicluster link --contexts ${facts.context ?? facts.cluster},${other.context ?? other.cluster}`,
    });
}

/** Control planes that came here and were sent away; those say only that the link was cut. */
function refusedPeers(notes: CheckNotes, facts: ClusterFacts, mesh: readonly ClusterFacts[]): void {
  const page = fieldsIn(fieldsOf(pageOf(facts, "peerclientz"))["refused"]);
  for (const { cluster, reason, message } of page) {
    const context = mesh.find((other) => other.cluster === textOf(cluster));
    notes.error("09", facts.cluster, {
      object: `cluster ${textOf(cluster)}`,
      evidence: `the control plane of ${textOf(cluster)} was refused here (${textOf(reason)}): ${unended(textOf(message))}`,
      fix: `causeway multicluster check --verbose${context === undefined ? "" : contextFlag(context)}, for what is wrong at its end`,
    });
  }
}
