import type { KubeObject } from "../../kube/object.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { controlPlanePods, entriesOfPage, fieldsIn, specOf, textOf } from "./mesh-parts.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeDeployment, planeRolledOut } from "./plane-fixes.ts";

/** Whether control planes are of one version, within a cluster and between clusters. */
export function versionsCheck(mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.versions);
  const versions = mesh.map((facts) => ({ facts, said: versionsOf(facts, mesh) }));
  for (const { facts, said } of versions) {
    notes.line(`Cluster ${facts.cluster}: ${said.join(", ") || "not known"}`);
    if (said.length > 1)
      notes.warn("01", facts.cluster, {
        object: `Deployment ${planeDeployment(facts)}`,
        evidence: `control planes of ${facts.cluster} are of several versions: ${said.join(", ")}`,
        fix: planeRolledOut(facts),
      });
  }
  between(
    notes,
    versions.filter(({ said }) => said.length === 1).map(({ facts, said }) => [facts.cluster, said[0]!]),
  );
  if (versions.every(({ said }) => said.length === 0)) return notes.outcome("no version is known", undefined, "info");
  return notes.outcome("all control planes are of one version", undefined);
}

function between(notes: CheckNotes, versions: readonly (readonly [cluster: string, version: string])[]): void {
  const [first] = versions;
  const other = versions.find(([, version]) => version !== first?.[1]);
  if (first === undefined || other === undefined) return;
  notes.warn("02", undefined, {
    object: "control planes",
    evidence: `clusters are of different versions: ${versions.map(([cluster, version]) => `${cluster} ${version}`).join(", ")}`,
    fix: "upgrade one cluster after the other until all are of one version; neighbouring minor versions peer meanwhile",
  });
}

/** By the images of its pods; else by what peers hear of it. */
function versionsOf(facts: ClusterFacts, mesh: readonly ClusterFacts[]): readonly string[] {
  const tags = new Set(controlPlanePods(facts).flatMap(imageVersion));
  if (tags.size > 0) return [...tags];
  const heard = mesh
    .flatMap((other) => entriesOfPage(other, "peerz"))
    .filter(({ cluster }) => cluster === facts.cluster);
  return [...new Set(heard.map(({ version }) => textOf(version)).filter((version) => version !== ""))];
}

function imageVersion(pod: KubeObject): readonly string[] {
  const images = fieldsIn(specOf(pod)["containers"])
    .filter(({ name }) => name === "discovery" || name === "causeway")
    .map(({ image }) => textOf(image));
  return images.flatMap((image) => /:([\w][\w.-]{0,127})(?:@|$)/.exec(image)?.[1] ?? []);
}
