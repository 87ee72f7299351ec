import { objectKey, type ObjectKey } from "../../../names.ts";
import type { Fields } from "../../kube/fields.ts";
import { NODE_PORTS, SERVICE_TYPE } from "../../kube/gateway-deployment.ts";
import type { KubeGateway } from "../../kube/gateway.ts";
import { serviceTypeOf as offeredTypeOf } from "../../peer-gateways.ts";
import type { GatewayParameters, Overlay } from "./gateway-parameters.ts";
import { listenerVerdicts, type ListenerVerdict, type ProxyKind } from "./listener-verdicts.ts";

export type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer";

/** What is to be deployed for one Gateway. */
export interface GatewayPlan {
  readonly kind: ProxyKind;
  readonly gateway: KubeGateway;
  readonly listeners: readonly ListenerVerdict[];
  readonly serviceAccount: string;
  /** False if it is somebody's own, who names it. */
  readonly makesAccount: boolean;
  /** Unless its parameters say otherwise. */
  readonly serviceType: ServiceType;
  readonly nodePorts: ReadonlyMap<number, number>;
  /** Where its Service is to be. */
  readonly loadBalancerIp: string | undefined;
  readonly overlays: Readonly<Partial<Record<Overlay, Fields>>>;
}

/** Why nothing is deployed; what is there stays. */
export interface RefusedPlan {
  readonly kind: ProxyKind;
  readonly gateway: KubeGateway;
  readonly listeners: readonly ListenerVerdict[];
  readonly refused: { readonly reason: string; readonly message: string };
}

/** A Service is called as its Gateway, and so is an entry of DNS. */
const SERVICE_NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** @param parameters what the ConfigMap that it names says; none if it names none. */
export function planOf(
  gateway: KubeGateway,
  kind: ProxyKind,
  parameters: GatewayParameters | undefined,
): GatewayPlan | RefusedPlan {
  const { id, deployment, serviceAccount } = gateway;
  const listeners = listenerVerdicts(gateway, kind);
  const refuse = (reason: string, message: string): RefusedPlan => ({
    ...{ kind, gateway, listeners },
    refused: { reason, message },
  });
  if (!SERVICE_NAME.test(id.name))
    return refuse(
      "Invalid",
      "Its Service has its name, which must be 1 to 63 of a-z, 0-9 and '-', and begin with a letter.",
    );
  if (listeners.every(({ serves }) => serves !== "hbone"))
    return refuse(
      "ListenersNotValid",
      "None of its listeners takes HBONE; add one of protocol HBONE and port 15008, and nothing else is needed.",
    );
  const overlays = overlaysOf(gateway, parameters);
  if (typeof overlays === "string") return refuse("InvalidParameters", overlays);
  const serviceType = serviceTypeOf(gateway, kind);
  if (serviceType === undefined)
    return refuse(
      "InvalidParameters",
      `Its annotation ${SERVICE_TYPE} is "${deployment.serviceType?.slice(0, 80)}"; use ClusterIP, NodePort or LoadBalancer.`,
    );
  const nodePorts = nodePortsOf(deployment.nodePorts ?? "");
  if (nodePorts === undefined)
    return refuse(
      "InvalidParameters",
      `Its annotation ${NODE_PORTS} must be as 15008=30015,15012=30016: ports of listeners, and of nodes.`,
    );
  const addresses = requestedIp(gateway, serviceType);
  if (typeof addresses === "string") return refuse("UnsupportedAddress", addresses);
  return {
    ...{ kind, gateway, listeners, serviceType, nodePorts },
    serviceAccount: serviceAccount || id.name,
    makesAccount: !serviceAccount,
    loadBalancerIp: addresses.ip,
    overlays,
  };
}

/** The ConfigMap that a Gateway names; undefined if it names none, or what is none. */
export const parametersKey = ({ id, deployment: { parametersRef: ref } }: KubeGateway): ObjectKey | undefined =>
  ref?.group === "" && ref.kind === "ConfigMap" ? objectKey(id.cluster, id.namespace, ref.name) : undefined;

function overlaysOf(gateway: KubeGateway, found: GatewayParameters | undefined): GatewayPlan["overlays"] | string {
  const { id, deployment } = gateway;
  const ref = deployment.parametersRef;
  if (ref === undefined) return {};
  if (found === undefined)
    return `Its spec.infrastructure.parametersRef must name a ConfigMap, with an empty group, not ${ref.kind} of group "${ref.group}".`;
  const title = `ConfigMap ${id.namespace}/${ref.name}, which spec.infrastructure.parametersRef names,`;
  return "refused" in found ? `${title} ${found.refused}.` : found.overlays;
}

/** What reaches the gateway from outside decides, unless somebody says it outright. */
function serviceTypeOf({ deployment, serviceType }: KubeGateway, kind: ProxyKind): ServiceType | undefined {
  const said = deployment.serviceType;
  if (said !== undefined) return (["ClusterIP", "NodePort", "LoadBalancer"] as const).find((type) => type === said);
  if (kind === "waypoint") return "ClusterIP";
  const offered = (serviceType ?? "").split(",").map(offeredTypeOf);
  return offered.includes("nodeport") && !offered.includes("loadbalancer") ? "NodePort" : "LoadBalancer";
}

function nodePortsOf(text: string): ReadonlyMap<number, number> | undefined {
  const pairs = text.split(",").filter((pair) => pair.trim() !== "");
  const read = pairs.map((pair) => /^\s*([0-9]{1,5})=([0-9]{1,5})\s*$/.exec(pair)?.slice(1).map(Number));
  if (read.some((pair) => pair === undefined || pair.some((port) => port < 1 || port > 65_535))) return undefined;
  const ports = new Map(read as [number, number][]);
  return ports.size === read.length && new Set(ports.values()).size === read.length ? ports : undefined;
}

/** @returns a sentence if it cannot be. */
function requestedIp(
  { wantedAddresses }: KubeGateway,
  type: ServiceType,
): { readonly ip: string | undefined } | string {
  const [first, second] = wantedAddresses;
  if (first === undefined) return { ip: undefined };
  if (first.kind === "ip" && second === undefined && type === "LoadBalancer") return { ip: first.ip };
  return "Its spec.addresses can be one IP address, of a load balancer; leave them out, and it gets its own.";
}
