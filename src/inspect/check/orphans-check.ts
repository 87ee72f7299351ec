import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS, PEER_STATUSES, SERVICE_ENTRIES, WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { isWritten, labelOf, leadsTo, objectName, placeOf, remoteGateways } from "./mesh-parts.ts";
import { contextFlag, deleted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

const CLUSTERS = "peering.causeway.dev/clusters";
const MANAGED_BY = "app.kubernetes.io/managed-by";

/** What was made for peers to which no Gateway leads any more. */
export function orphansCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.orphans);
  const why = [GATEWAYS, SERVICE_ENTRIES].map((type) => whyUnknown(facts, type)).find((known) => known !== undefined);
  if (why !== undefined) {
    notes.unknown("03", facts.cluster, {
      object: "gateways",
      evidence: `what is left of peers is not known: ${why}`,
      fix: "",
    });
    return notes.outcome("", facts.cluster);
  }
  const linked = new Set([facts.cluster, ...remoteGateways(facts).map(leadsTo)]);
  const entries = [...objectsOf(facts, SERVICE_ENTRIES), ...objectsOf(facts, WORKLOAD_ENTRIES)].filter(isGenerated);
  for (const entry of entries) {
    const clusters = clustersOf(entry);
    if (clusters.length === 0 || clusters.some((cluster) => linked.has(cluster))) continue;
    notes.warn("01", facts.cluster, {
      object: objectName(entry),
      evidence: `${entry.kind} ${placeOf(entry)} is left of ${clusters.join(", ")}, to which no Gateway leads`,
      fix: isWritten(facts) ? deleted(facts, entry) : `causeway multicluster repair --orphans${contextFlag(facts)}`,
    });
  }
  for (const status of objectsOf(facts, PEER_STATUSES)) leftStatus(notes, facts, status);
  return notes.outcome("nothing is left of peers that are gone", facts.cluster);
}

const isGenerated = (entry: KubeObject): boolean =>
  labelOf(entry, MANAGED_BY) === "causeway" || /^autogen(flat)?\./.test(entry.metadata.name);

const clustersOf = ({ metadata }: KubeObject): readonly string[] =>
  (metadata.annotations?.[CLUSTERS] ?? "").split(",").filter((cluster) => cluster !== "");

function leftStatus(notes: CheckNotes, facts: ClusterFacts, status: KubeObject): void {
  if (remoteGateways(facts).some((gateway) => placeOf(gateway) === placeOf(status))) return;
  notes.warn("02", facts.cluster, {
    object: objectName(status),
    evidence: `PeerStatus ${placeOf(status)} is of a Gateway that is gone`,
    fix: deleted(facts, status),
  });
}
