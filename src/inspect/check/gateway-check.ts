import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS } from "../../kube/resource-types.ts";
import { type ClusterFacts, whyUnknown } from "../cluster-facts.ts";
import type { CheckOptions } from "./check-options.ts";
import { CHECKS } from "./checks.ts";
import { addressesOf, conditionOf, eastWestGateways, isDeclared, objectName } from "./mesh-parts.ts";
import { described, exposed, kubectl, permitted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

/** Whether the ways into a cluster are there, and have addresses. */
export function gatewayCheck(facts: ClusterFacts, { precheck }: CheckOptions): Outcome {
  const notes = new CheckNotes(CHECKS.gateways);
  const gateways = eastWestGateways(facts);
  const why = whyUnknown(facts, GATEWAYS);
  if (why !== undefined)
    notes.error("04", facts.cluster, {
      ...{ object: "gateways.gateway.networking.k8s.io", evidence: `Gateways are not known: ${why}` },
      fix: permitted(facts, "gateways.gateway.networking.k8s.io"),
    });
  else if (gateways.length === 0)
    notes.note(precheck ? "warning" : "error", "01", facts.cluster, {
      ...{ object: "Gateway istio-eastwest/istio-eastwest", evidence: "no configured eastwest gateways" },
      fix: exposed(facts, "istio-eastwest"),
    });
  for (const gateway of gateways) lookAt(notes, facts, gateway);
  return notes.outcome("all eastwest gateways programmed", facts.cluster);
}

function lookAt(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  const addresses = addressesOf(gateway, "status");
  const programmed = conditionOf(gateway, "Programmed");
  const isProgrammed = programmed?.status === "True";
  notes.line(`Gateway: ${gateway.metadata.name}`);
  notes.line("Addresses:");
  for (const address of addresses) notes.line(`- ${address}`);
  notes.line(
    `Status: ${isProgrammed ? "programmed ✅" : `not programmed (${programmed?.reason || "no controller said anything"}) ❌`}`,
  );
  const object = objectName(gateway);
  const { namespace, name } = gateway.metadata;
  if (programmed === undefined && isDeclared(facts))
    notes.unknown("05", facts.cluster, {
      ...{ object, evidence: "whether gateways are programmed is not known of manifests", fix: "" },
    });
  else if (!isProgrammed)
    notes.error("02", facts.cluster, {
      ...{ object, field: "status.conditions[Programmed]" },
      evidence: `eastwest gateway ${namespace}/${name} is not programmed${programmed?.message ? `: ${unended(programmed.message)}` : ""}`,
      fix: `${described(facts, gateway)}; ${kubectl(facts)} -n ${namespace} get svc,pods`,
    });
  else if (addresses.length === 0)
    notes.error("03", facts.cluster, {
      ...{ object, field: "status.addresses" },
      evidence: `eastwest gateway ${namespace}/${name} has no address`,
      fix: `${kubectl(facts)} -n ${namespace} get svc ${name}; see whether the cloud gives it one`,
    });
}

export const unended = (text: string): string => text.replace(/\.$/, "");
