import { type ClusterFacts, pageOf } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { fieldsOf, textOf } from "./mesh-parts.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeVariable } from "./plane-fixes.ts";

/** What of a multicluster mesh is turned on; nothing here takes a license. */
export function featureCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.features);
  const config = pageOf(facts, "configz");
  if (config === undefined) notKnown(notes, facts);
  else known(notes, facts, fieldsOf(config));
  return notes.outcome("features are valid for multicluster", facts.cluster);
}

function known(notes: CheckNotes, facts: ClusterFacts, config: Readonly<Record<string, unknown>>): void {
  const [peering, gateways] = [fieldsOf(config["peering"]), fieldsOf(config["gateways"])];
  const onOff = (value: unknown): string => (value === false ? "off" : "on");
  notes.line(`peering: ${onOff(peering["enabled"])}`);
  notes.line(`served peers: ${textOf(peering["served"]) || "any"}`);
  notes.line(`flat networks: ${textOf(peering["flatPeering"]) || "auto"}`);
  notes.line(`gateways deployed here: ${onOff(gateways["enabled"])}`);
  if (peering["enabled"] === false)
    notes.error("01", facts.cluster, {
      ...{ object: "configz", field: "peering.enabled" },
      evidence: "peering is turned off in this control plane",
      fix: planeVariable(facts, "ENABLE_PEERING_DISCOVERY", "true"),
    });
}

function notKnown(notes: CheckNotes, { cluster, planes }: ClusterFacts): void {
  const whys = planes.flatMap(({ pages }) => {
    const page = pages.get("configz");
    return page !== undefined && "why" in page ? [page.why] : [];
  });
  notes.unknown("02", cluster, {
    ...{ object: "configz", fix: "" },
    evidence: `what is turned on is not known: ${whys[0] ?? "no control plane was asked for its pages"}`,
  });
  notes.line(`not known: ${whys[0] ?? "no control plane was asked for its pages"}`, "info");
}
