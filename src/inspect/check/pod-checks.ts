import type { KubeObject } from "../../kube/object.ts";
import { PODS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { gatewayOfPod, isControlPlanePod, isZtunnelPod } from "../mesh-pods.ts";
import { CHECKS } from "./checks.ts";
import {
  ageText,
  eastWestGateways,
  fieldsIn,
  fieldsOf,
  isDeclared,
  isEmbedded,
  objectName,
  specOf,
  statusOf,
  textOf,
} from "./mesh-parts.ts";
import { described, helmContextFlag, kubectl, permitted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

interface Part {
  readonly name: string;
  readonly isPlane?: boolean;
  readonly absent: string;
  readonly unhealthy: string;
  readonly pods: (facts: ClusterFacts) => readonly KubeObject[];
  /** What to do where there is none; undefined if that is no problem of pods. */
  readonly install: (facts: ClusterFacts) => string | undefined;
}

const PARTS: readonly Part[] = [
  {
    ...{ name: "istiod", isPlane: true, absent: "01", unhealthy: "02" },
    pods: (facts) => objectsOf(facts, PODS).filter(isControlPlanePod),
    install: (facts) =>
      `helm upgrade --install istiod deploy/charts/causeway -n istio-system --create-namespace -f values.yaml${helmContextFlag(facts)}; docs/install.md has the values`,
  },
  {
    ...{ name: "ztunnel", absent: "03", unhealthy: "04" },
    pods: (facts) => objectsOf(facts, PODS).filter(isZtunnelPod),
    install: (facts) => `helm upgrade --install ztunnel istio/ztunnel -n istio-system${helmContextFlag(facts)}`,
  },
  {
    ...{ name: "eastwest gateway", absent: "05", unhealthy: "06" },
    pods: eastWestPods,
    install: (facts) => {
      const [gateway] = eastWestGateways(facts);
      if (gateway === undefined) return undefined;
      return `${described(facts, gateway)}; ${kubectl(facts)} -n ${gateway.metadata.namespace} get deployments,events`;
    },
  },
];

/** Pods of each part, found by their labels in whatever namespace they are. */
export const podChecks = (facts: ClusterFacts): readonly Outcome[] => PARTS.map((part) => podCheck(facts, part));

function podCheck(facts: ClusterFacts, part: Part): Outcome {
  const notes = new CheckNotes(CHECKS.pods, part.name);
  const pods = part.pods(facts);
  const why = whyUnknown(facts, PODS);
  const install = part.install(facts);
  for (const line of podTable(pods, facts.readAt)) notes.line(line);
  if (why !== undefined && isDeclared(facts))
    notes.unknown("08", facts.cluster, { object: "pods", evidence: "pods are not known of manifests", fix: "" });
  else if (why !== undefined)
    notes.error("07", facts.cluster, {
      ...{ object: "pods", evidence: `pods are not known: ${why}` },
      fix: permitted(facts, "pods"),
    });
  else if (pods.length === 0 && part.isPlane && isEmbedded(facts))
    return notes.outcome("its control plane answers; it is a process on this machine, and no pod", facts.cluster);
  else if (pods.length === 0 && install !== undefined)
    notes.error(part.absent, facts.cluster, {
      object: part.name,
      evidence: `no ${part.name} pod in any namespace`,
      fix: install,
    });
  for (const pod of pods) noteHealth(notes, facts, part, pod);
  return notes.outcome(
    pods.length === 0 ? `no ${part.name} pods yet` : "all pods healthy",
    facts.cluster,
    pods.length === 0 ? "info" : undefined,
  );
}

function eastWestPods(facts: ClusterFacts): readonly KubeObject[] {
  const gateways = new Set(eastWestGateways(facts).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  return objectsOf(facts, PODS).filter((pod) => gateways.has(`${pod.metadata.namespace}/${gatewayOfPod(pod)}`));
}

function noteHealth(notes: CheckNotes, facts: ClusterFacts, part: Part, pod: KubeObject): void {
  const { ready, total, state, restarts } = healthOf(pod);
  if (state === "Running" && ready === total && total > 0) return;
  const { name, namespace } = pod.metadata;
  notes.error(part.unhealthy, facts.cluster, {
    ...{ object: objectName(pod), field: "status" },
    evidence: `pod ${name} is ${state}, with ${ready} of ${total} containers ready`,
    fix: `${described(facts, pod)}; ${kubectl(facts)} -n ${namespace} logs ${name}${restarts > 0 ? " --previous" : ""}`,
  });
}

interface Health {
  readonly ready: number;
  readonly total: number;
  readonly state: string;
  /** Of all its containers. */
  readonly restarts: number;
}

function healthOf(pod: KubeObject): Health {
  const statuses = fieldsIn(statusOf(pod)["containerStatuses"]);
  const waiting = statuses
    .map(({ state }) => textOf(fieldsOf(fieldsOf(state)["waiting"])["reason"]))
    .find((reason) => reason !== "");
  const phase = textOf(statusOf(pod)["phase"]) || "Unknown";
  return {
    ready: statuses.length > 0 ? statuses.filter(({ ready }) => ready === true).length : readyByCondition(pod),
    total: Math.max(statuses.length, fieldsIn(specOf(pod)["containers"]).length),
    state: pod.metadata.deletionTimestamp !== undefined ? "Terminating" : (waiting ?? phase),
    restarts: statuses.reduce((sum, { restartCount }) => sum + Number(restartCount ?? 0), 0),
  };
}

/** Without a kubelet's word on single containers all are what the pod is. */
function readyByCondition(pod: KubeObject): number {
  const isReady = fieldsIn(statusOf(pod)["conditions"]).some(
    ({ type, status }) => type === "Ready" && status === "True",
  );
  return isReady ? fieldsIn(specOf(pod)["containers"]).length : 0;
}

/** As kubectl prints pods, with the columns that the guide shows. */
function podTable(pods: readonly KubeObject[], now: number): readonly string[] {
  if (pods.length === 0) return [];
  const rows = pods.map((pod) => {
    const { ready, total, state, restarts } = healthOf(pod);
    const created = pod.metadata.creationTimestamp;
    const age = created === undefined ? "-" : ageText(now - Date.parse(created));
    return [pod.metadata.name, `${ready}/${total}`, state, `${restarts}`, age];
  });
  const all = [["NAME", "READY", "STATUS", "RESTARTS", "AGE"], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(" ")
      .trimEnd(),
  );
}
