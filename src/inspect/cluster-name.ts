import { isFields } from "../kube/fields.ts";
import { GATEWAYS, PODS } from "../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, pageOf } from "./cluster-facts.ts";
import { isControlPlanePod, variableOf } from "./mesh-pods.ts";

const EAST_WEST_CLASS = "istio-eastwest";

/** The cluster's ID as its control plane has it, or as its east-west gateway is labelled; undefined if nothing says it. */
export function clusterNameOf(facts: Pick<ClusterFacts, "kinds" | "planes">): string | undefined {
  return ofConfig(facts) ?? ofControlPlane(facts) ?? ofGateway(facts);
}

function ofConfig(facts: Pick<ClusterFacts, "planes">): string | undefined {
  const config = pageOf(facts, "configz");
  const id = isFields(config) ? config["clusterId"] : undefined;
  return typeof id === "string" && id !== "" ? id : undefined;
}

const ofControlPlane = (facts: Pick<ClusterFacts, "kinds">): string | undefined =>
  onlyOne(
    objectsOf(facts, PODS)
      .filter(isControlPlanePod)
      .map((pod) => variableOf(pod["spec"], "CLUSTER_ID")),
  );

const ofGateway = (facts: Pick<ClusterFacts, "kinds">): string | undefined =>
  onlyOne(
    objectsOf(facts, GATEWAYS)
      .filter(({ spec }) => isFields(spec) && spec["gatewayClassName"] === EAST_WEST_CLASS)
      .map(({ metadata }) => metadata.labels?.["topology.istio.io/cluster"]),
  );

/** What is said twice and differently is not known. */
function onlyOne(said: readonly (string | undefined)[]): string | undefined {
  const names = new Set(said.filter((name) => name !== undefined && name !== ""));
  return names.size === 1 ? [...names][0] : undefined;
}
