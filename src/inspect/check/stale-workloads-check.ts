import type { KubeObject } from "../../kube/object.ts";
import { PODS, WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { fieldsIn, objectName, specOf, statusOf, textOf } from "./mesh-parts.ts";
import { deleted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

const PREFIX = "autogenflat.";
const CLUSTERS = "peering.causeway.dev/clusters";

/** Entries of flat networks whose pods are gone: autogenflat.<cluster>.<namespace>.<pod>, as the guide has them. */
export function staleWorkloadsCheck(mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.staleWorkloads);
  let entries = 0;
  for (const facts of mesh)
    for (const entry of objectsOf(facts, WORKLOAD_ENTRIES).filter(({ metadata }) => metadata.name.startsWith(PREFIX))) {
      entries += 1;
      lookAt(notes, facts, entry, mesh);
    }
  // As the guide has it: there is nothing to look at without flat networks.
  if (entries === 0) return notes.outcome("no autogenflat workload entries found", undefined, "warning");
  return notes.outcome("all autogenflat workload entries have pods", undefined);
}

function lookAt(notes: CheckNotes, facts: ClusterFacts, entry: KubeObject, mesh: readonly ClusterFacts[]): void {
  const source = sourceOf(entry, mesh);
  const { name } = entry.metadata;
  if (source === undefined || whyUnknown(source, PODS) !== undefined) {
    const why = source === undefined ? "its cluster is not among those that were read" : whyUnknown(source, PODS);
    const evidence = `whether workload entry ${name} has a pod is not known: ${why}`;
    return notes.unknown("02", facts.cluster, { object: objectName(entry), evidence, fix: "" });
  }
  if (objectsOf(source, PODS).some((pod) => isOf(pod, entry, source.cluster))) return;
  notes.error("01", facts.cluster, {
    object: objectName(entry),
    evidence: `stale workload entry ${name}: cluster ${source.cluster} has no such pod`,
    fix: deleted(facts, entry),
  });
}

function sourceOf({ metadata }: KubeObject, mesh: readonly ClusterFacts[]): ClusterFacts | undefined {
  const said = metadata.annotations?.[CLUSTERS];
  return (
    mesh.find(({ cluster }) => cluster === said) ??
    mesh.find(({ cluster }) => metadata.name.startsWith(`${PREFIX}${cluster.toLowerCase()}.`))
  );
}

/** By its name; names that were too long are told by the address. */
function isOf(pod: KubeObject, entry: KubeObject, cluster: string): boolean {
  if (["Succeeded", "Failed"].includes(textOf(statusOf(pod)["phase"]))) return false;
  const name = `${PREFIX}${cluster.toLowerCase()}.${pod.metadata.namespace}.${pod.metadata.name}`;
  if (entry.metadata.name === name || entry.metadata.name.startsWith(`${name}.`)) return true;
  const isShortened = entry.metadata.name.length > 240 || /-[0-9a-f]{12}$/.test(entry.metadata.name);
  const address = textOf(specOf(entry)["address"]);
  return isShortened && fieldsIn(statusOf(pod)["podIPs"]).some(({ ip }) => ip === address);
}
