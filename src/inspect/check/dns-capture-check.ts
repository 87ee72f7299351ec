import type { KubeObject } from "../../kube/object.ts";
import { CONFIG_MAPS, DAEMON_SETS, PODS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { isCniPod, variableOf } from "../mesh-pods.ts";
import { CHECKS } from "./checks.ts";
import { fieldsOf, isEmbedded, labelOf, objectName, specOf, textOf } from "./mesh-parts.ts";
import { helmContextFlag, kubectl } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { daemonSetWord } from "./plane-fixes.ts";

const VARIABLE = "AMBIENT_DNS_CAPTURE";

/** Whether pods of the mesh ask ztunnel for names: nobody else knows global ones. */
export function dnsCaptureCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.dnsCapture);
  if (isEmbedded(facts))
    return notes.outcome("no pod of a cluster that is folders runs, and none asks for names", facts.cluster, "info");
  const config = objectsOf(facts, CONFIG_MAPS).find(({ metadata }) => metadata.name === "istio-cni-config");
  const agents = cniAgents(facts);
  const said =
    textOf(fieldsOf(config?.["data"])[VARIABLE]) ||
    agents.map((agent) => variableOf(podSpecOf(agent), VARIABLE)).find(Boolean);
  if (config === undefined && agents.length === 0) notFound(notes, facts);
  else if (said?.toLowerCase() === "true") notes.named(`${VARIABLE} is valid ("true")`, "ok");
  else
    notes.error("01", facts.cluster, {
      object: config === undefined ? objectName(agents[0]!) : objectName(config),
      field: VARIABLE,
      evidence: `${VARIABLE} is ${JSON.stringify(said ?? "")}, so pods cannot resolve names under mesh.internal`,
      fix: `set ambient.dnsCapture=true in the values of the CNI chart; ${kubectl(facts)} -n ${(agents[0] ?? config)!.metadata.namespace} rollout restart ${daemonSetWord(agents[0], "istio-cni-node")}`,
    });
  return notes.outcome("DNS capture is on", facts.cluster);
}

const cniAgents = (facts: ClusterFacts): readonly KubeObject[] => [
  ...objectsOf(facts, DAEMON_SETS).filter(
    (set) => set.metadata.name === "istio-cni-node" || labelOf(set, "k8s-app") === "istio-cni-node",
  ),
  ...objectsOf(facts, PODS).filter(isCniPod),
];

const podSpecOf = (agent: KubeObject): unknown =>
  agent.kind === "Pod" ? agent["spec"] : fieldsOf(specOf(agent)["template"])["spec"];

function notFound(notes: CheckNotes, facts: ClusterFacts): void {
  const why = whyUnknown(facts, DAEMON_SETS) ?? whyUnknown(facts, CONFIG_MAPS);
  if (why === undefined)
    notes.warn("02", facts.cluster, {
      object: "DaemonSet istio-cni-node",
      evidence: "no CNI agent was found in any namespace, so no pod is part of the mesh",
      fix: `helm upgrade --install istio-cni istio/cni -n istio-system --set profile=ambient --set ambient.dnsCapture=true${helmContextFlag(facts)}`,
    });
  else
    notes.unknown("03", facts.cluster, { object: "DaemonSet istio-cni-node", evidence: `not known: ${why}`, fix: "" });
}
