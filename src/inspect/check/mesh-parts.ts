import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import { GATEWAYS, NAMESPACES, PODS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, pageOf } from "../cluster-facts.ts";
import { isControlPlanePod } from "../mesh-pods.ts";

export const CLUSTER_LABEL = "topology.istio.io/cluster";
export const NETWORK_LABEL = "topology.istio.io/network";
const EAST_WEST_CLASSES: readonly unknown[] = ["istio-eastwest", "istio-east-west"];

type Fields = Readonly<Record<string, unknown>>;

/** True of manifests that no API server has told: nothing writes a status into them, and their pods are made elsewhere. */
export const isDeclared = ({ files }: Pick<ClusterFacts, "files">): boolean => files?.declared === true;

/** True of a cluster that is folders of manifests, and that a control plane serves: it has no API server, and no pod of it runs. */
export const isEmbedded = ({ files }: Pick<ClusterFacts, "files">): boolean => files?.embedded === true;

/** True where nothing can be mended elsewhere than in files. */
export const isWritten = (facts: Pick<ClusterFacts, "files">): boolean => isDeclared(facts) || isEmbedded(facts);

/** As `istio-eastwest/istio-eastwest`. */
export const placeOf = ({ metadata }: KubeObject): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
export const objectName = (object: KubeObject): string => `${object.kind} ${placeOf(object)}`;
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
export const fieldsIn = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? (value as readonly unknown[]).filter(isFields) : [];
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
export const specOf = (object: KubeObject): Fields => fieldsOf(object["spec"]);
export const statusOf = (object: KubeObject): Fields => fieldsOf(object["status"]);
export const labelOf = ({ metadata }: KubeObject, name: string): string => metadata.labels?.[name] ?? "";

/** The ways into a cluster: its own east-west gateways, wherever they are. */
export const eastWestGateways = (facts: ClusterFacts): readonly KubeObject[] =>
  objectsOf(facts, GATEWAYS).filter((gateway) => EAST_WEST_CLASSES.includes(specOf(gateway)["gatewayClassName"]));

/** Gateways that lead to the control planes of peers, by which a cluster is linked. */
export const remoteGateways = (facts: ClusterFacts): readonly KubeObject[] =>
  objectsOf(facts, GATEWAYS).filter(
    (gateway) =>
      specOf(gateway)["gatewayClassName"] === "istio-remote" &&
      fieldsIn(specOf(gateway)["listeners"]).some(({ protocol }) => protocol === "TLS"),
  );

/** Whom a remote gateway leads to: what its label says, or its network. */
export const leadsTo = (gateway: KubeObject): string =>
  labelOf(gateway, CLUSTER_LABEL) || labelOf(gateway, NETWORK_LABEL);

/** Values of the addresses of a Gateway, from its status or else its spec. */
export function addressesOf(gateway: KubeObject, part: "status" | "spec"): readonly string[] {
  return fieldsIn(fieldsOf(gateway[part])["addresses"])
    .map(({ value }) => textOf(value))
    .filter((value) => value !== "");
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export function conditionsOf(object: KubeObject): readonly Condition[] {
  return fieldsIn(statusOf(object)["conditions"]).map(({ type, status, reason, message }) => ({
    ...{ type: textOf(type), status: textOf(status), reason: textOf(reason), message: textOf(message) },
  }));
}

/** The condition of a type, whatever stands before its last part. */
export const conditionOf = (object: KubeObject, name: string): Condition | undefined =>
  conditionsOf(object).find(({ type }) => type === name || type.endsWith(`/${name}`));

export const controlPlanePods = (facts: ClusterFacts): readonly KubeObject[] =>
  objectsOf(facts, PODS).filter(isControlPlanePod);

/** Namespaces of control planes, wherever those of other parts are; `istio-system` if there is none. */
export function systemNamespaces(facts: ClusterFacts): readonly string[] {
  const found = new Set(controlPlanePods(facts).map(({ metadata }) => metadata.namespace ?? ""));
  if (found.size > 0) return [...found];
  const configured = fieldsOf(pageOf(facts, "configz"))["systemNamespace"];
  return [textOf(configured) || "istio-system"];
}

export const namespaceOf = (facts: ClusterFacts, name: string): KubeObject | undefined =>
  objectsOf(facts, NAMESPACES).find(({ metadata }) => metadata.name === name);

/** The network of a cluster, as its system namespaces, its control plane or its gateways say; undefined if nothing does. */
export function networkOf(facts: ClusterFacts): string | undefined {
  const said = [
    ...systemNamespaces(facts).map((name) => namespaceOf(facts, name)?.metadata.labels?.[NETWORK_LABEL]),
    textOf(fieldsOf(pageOf(facts, "configz"))["network"]),
    ...eastWestGateways(facts).map((gateway) => labelOf(gateway, NETWORK_LABEL)),
  ];
  return said.find((network) => network !== undefined && network !== "");
}

/** What a list page says, entry by entry, from the first control plane that answered. */
export const entriesOfPage = (facts: ClusterFacts, page: string): readonly Fields[] => fieldsIn(pageOf(facts, page));

/** How long ago, as kubectl says it: `10m18s`, `3h2m`, `12d`. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  if (days >= 2) return `${days}d`;
  if (hours >= 3) return `${hours}h${minutes % 60}m`;
  if (minutes >= 2) return `${minutes}m${seconds % 60}s`;
  return `${seconds}s`;
}
