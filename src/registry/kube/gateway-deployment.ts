import { isFields, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";
import { readStatus, type FoundCondition, type ObjectStatus, readConditions } from "./object-status.ts";

/** What a Gateway says of how its proxies are to be deployed. */
export interface GatewayDeployment {
  /** For all that is made for it, from `spec.infrastructure`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Where more is said, as written; undefined if nowhere. */
  readonly parametersRef: ParametersRef | undefined;
  /** Of its Service, as written: ClusterIP, NodePort or LoadBalancer. */
  readonly serviceType: string | undefined;
  /** Ports of all nodes, as `15008=30015,15012=30016`. */
  readonly nodePorts: string | undefined;
  /** Which of its ports leads to the control plane, as written. */
  readonly exposedPort: string | undefined;
  /** The control plane that is to deploy it; undefined for any. */
  readonly revision: string | undefined;
  /** It is on its way out, and so is all that was made for it. */
  readonly deleting: boolean;
}

export interface ParametersRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
}

export const SERVICE_TYPE = "networking.istio.io/service-type";
export const NODE_PORTS = "gateways.causeway.dev/node-ports";
export const EXPOSE_ISTIOD = "istio.io/expose-istiod";

/** Never throws: what it says here must not take a waypoint out of the mesh. */
export function readGatewayDeployment({ labels, annotations, deleting }: Metadata, spec: Fields): GatewayDeployment {
  const infrastructure = isFields(spec["infrastructure"]) ? spec["infrastructure"] : {};
  const ref = infrastructure["parametersRef"];
  return {
    labels: textsIn(infrastructure["labels"]),
    annotations: textsIn(infrastructure["annotations"]),
    parametersRef: isFields(ref)
      ? { group: textIn(ref["group"]), kind: textIn(ref["kind"]), name: textIn(ref["name"]) }
      : undefined,
    serviceType: annotations(SERVICE_TYPE),
    nodePorts: annotations(NODE_PORTS),
    exposedPort: labels.map.get(EXPOSE_ISTIOD),
    revision: labels.map.get("istio.io/rev"),
    deleting,
  };
}

/** As much of a Gateway's status as it takes to know whether it is what we want it to be. */
export interface GatewayStatus extends ObjectStatus {
  readonly addresses: readonly FoundAddress[];
  readonly listeners: readonly FoundListener[];
}

export interface FoundAddress {
  readonly type: string;
  readonly value: string;
}

export interface FoundListener {
  readonly name: string;
  readonly attachedRoutes: unknown;
  readonly supportedKinds: unknown;
  readonly conditions: readonly FoundCondition[];
}

/** Never throws; undefined for an object that is in no API server. */
export function readGatewayStatus(metadata: Metadata, object: Fields): GatewayStatus | undefined {
  const read = readStatus(metadata, object, true, () => true);
  if (read === undefined) return undefined;
  const status = isFields(object["status"]) ? object["status"] : {};
  return {
    ...read,
    addresses: itemsIn(status["addresses"]).map(({ type, value }) => ({ type: textIn(type), value: textIn(value) })),
    listeners: itemsIn(status["listeners"]).map(({ name, attachedRoutes, supportedKinds, conditions }) => ({
      name: textIn(name),
      attachedRoutes,
      supportedKinds,
      conditions: readConditions(conditions),
    })),
  };
}

const ITEMS_MAX = 64;

const itemsIn = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? value.filter(isFields).slice(0, ITEMS_MAX) : [];

const textIn = (value: unknown): string => (typeof value === "string" ? value.slice(0, 1_024) : "");

const textsIn = (value: unknown): Readonly<Record<string, string>> =>
  isFields(value)
    ? Object.fromEntries(
        Object.entries(value).flatMap(([key, text]) => (typeof text === "string" ? [[key, text] as const] : [])),
      )
    : {};
