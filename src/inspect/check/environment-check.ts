import { type ClusterFacts, pageOf } from "../cluster-facts.ts";
import { variableOf } from "../mesh-pods.ts";
import { CHECKS } from "./checks.ts";
import { controlPlanePods, fieldsOf, isEmbedded, objectName } from "./mesh-parts.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeRolledOut, planeVariable } from "./plane-fixes.ts";

const SELECT = "K8S_SELECT_WORKLOAD_ENTRIES";
const PEERING = "ENABLE_PEERING_DISCOVERY";
const TRUTHS: readonly string[] = ["", "true", "false", "1", "0"];

/** Variables of the control plane that peering depends on. */
export function environmentCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.environment);
  const values = { [SELECT]: valuesOf(facts, SELECT), [PEERING]: valuesOf(facts, PEERING) };
  for (const [name, said] of Object.entries(values)) {
    const [value = ""] = said;
    const isRight = TRUTHS.includes(value.toLowerCase()) && !(name === PEERING && isOff(value));
    if (said.length > 1) mixed(notes, facts, name, said);
    else if (said.length === 0) notes.named(`${name} is not known`, "info");
    else if (isRight) notes.named(`${name} is valid (${JSON.stringify(value)})`, "ok");
    else if (name === PEERING) peeringOff(notes, facts, value);
    else unknownValue(notes, facts, name, value);
  }
  if (controlPlanePods(facts).length === 0 && values[PEERING].length === 0)
    return notes.outcome("no control plane to look at", facts.cluster, "info");
  return notes.outcome("all relevant environment variables are valid", facts.cluster);
}

const isOff = (value: string): boolean => ["false", "0"].includes(value.toLowerCase());

function valuesOf(facts: ClusterFacts, name: string): readonly string[] {
  if (isEmbedded(facts)) return inForce(facts, name);
  return [...new Set(controlPlanePods(facts).map((pod) => variableOf(pod["spec"], name) ?? ""))];
}

/** Of a process nobody sees its variables, but what they led to. */
function inForce(facts: ClusterFacts, name: string): readonly string[] {
  const { enabled } = fieldsOf(fieldsOf(pageOf(facts, "configz"))["peering"]);
  return name === PEERING && typeof enabled === "boolean" ? [`${enabled}`] : [];
}

function podOf(facts: ClusterFacts): string {
  const [pod] = controlPlanePods(facts);
  return pod === undefined ? "istiod" : objectName(pod);
}

function peeringOff(notes: CheckNotes, facts: ClusterFacts, value: string): void {
  notes.error("01", facts.cluster, {
    ...{ object: podOf(facts), field: PEERING },
    evidence: `${PEERING} is invalid (${JSON.stringify(value)}), so no link is opened and nothing is shared`,
    fix: planeVariable(facts, PEERING, "true"),
  });
}

function unknownValue(notes: CheckNotes, facts: ClusterFacts, name: string, value: string): void {
  notes.error("02", facts.cluster, {
    ...{ object: podOf(facts), field: name },
    evidence: `${name} is invalid (${JSON.stringify(value)}): it is true, false or absent`,
    fix: planeVariable(facts, name, undefined),
  });
}

function mixed(notes: CheckNotes, facts: ClusterFacts, name: string, said: readonly string[]): void {
  notes.warn("03", facts.cluster, {
    ...{ object: podOf(facts), field: name },
    evidence: `replicas of the control plane disagree on ${name}: ${said.map((value) => JSON.stringify(value)).join(" and ")}`,
    fix: `${planeVariable(facts, name, name === PEERING ? "true" : undefined)}; ${planeRolledOut(facts)}`,
  });
}
