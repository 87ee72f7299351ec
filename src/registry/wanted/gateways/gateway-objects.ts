import type { ResourceType } from "../../../kube/api.ts";
import * as types from "../../../kube/resource-types.ts";
import type { WantedObject } from "../../../kube/wanted-object.ts";
import { isFields, type Fields } from "../../kube/fields.ts";
import { MANAGED_BY, MANAGER } from "../../kube/generated.ts";
import { MANAGED, MANAGERS } from "../../kube/known-classes.ts";
import type { GatewaySettings } from "./gateway-inputs.ts";
import type { Overlay } from "./gateway-parameters.ts";
import type { GatewayPlan } from "./gateway-plan.ts";
import { podSpec, type PodPlace } from "./pod-template.ts";
import { strategicMerge } from "./strategic-merge.ts";

export const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";
/** What the ClusterSPIFFEID of guide 002 selects waypoints by. */
const SPIRE_GATEWAY_NAME = "istio.io/gateway-name";
const CLASS_NAME = "gateway.networking.k8s.io/gateway-class-name";
const NETWORK = "topology.istio.io/network";
const READY_PORT = 15021;

type Draft = Omit<WantedObject, "found">;

/** All objects that a Gateway has, as they are wanted; each has its name but perhaps the ServiceAccount. */
export function gatewayObjects(plan: GatewayPlan, settings: GatewaySettings, place: PodPlace): readonly Draft[] {
  const { id } = plan.gateway;
  const object = (type: ResourceType, overlay: Overlay, fields: Fields, name = id.name): Draft =>
    overlaid(plan, { type, namespace: id.namespace, name, fields }, overlay);
  return [
    ...(plan.makesAccount ? [object(types.SERVICE_ACCOUNTS, "serviceAccount", {}, plan.serviceAccount)] : []),
    object(types.SERVICES, "service", { spec: serviceSpec(plan) }),
    object(types.DEPLOYMENTS, "deployment", { spec: deploymentSpec(plan, settings, place) }),
    ...(plan.overlays.horizontalPodAutoscaler === undefined
      ? []
      : [object(types.AUTOSCALERS, "horizontalPodAutoscaler", { spec: autoscalerSpec(plan) })]),
    ...(plan.overlays.podDisruptionBudget === undefined
      ? []
      : [object(types.DISRUPTION_BUDGETS, "podDisruptionBudget", { spec: { selector: selectorOf(plan) } })]),
  ];
}

const nameLabel = ({ gateway }: GatewayPlan): Readonly<Record<string, string>> => ({ [GATEWAY_NAME]: gateway.id.name });
const selectorOf = (plan: GatewayPlan): Fields => ({ matchLabels: nameLabel(plan) });

/** What nobody's parameters can change: whose it is, and how it is found. */
function fixedLabels(plan: GatewayPlan): Readonly<Record<string, string>> {
  return {
    ...nameLabel(plan),
    [CLASS_NAME]: plan.gateway.className,
    [MANAGED]: MANAGERS[plan.kind],
    [MANAGED_BY]: MANAGER,
  };
}

function labelsOf(plan: GatewayPlan): Readonly<Record<string, string>> {
  const { network, deployment } = plan.gateway;
  return { ...deployment.labels, ...(network !== undefined && { [NETWORK]: network }), ...fixedLabels(plan) };
}

/** The parameters' part of it laid over what it is by default. */
function overlaid(
  plan: GatewayPlan,
  base: Pick<WantedObject, "type" | "namespace" | "name" | "fields">,
  key: Overlay,
): Draft {
  const { id, uid, deployment } = plan.gateway;
  const draft = { metadata: { labels: labelsOf(plan), annotations: deployment.annotations }, ...base.fields };
  const { metadata, apiVersion: _, kind: __, status: ___, ...fields } = strategicMerge(draft, plan.overlays[key] ?? {});
  // They may have taken anything away, or put anything there.
  const { labels, annotations } = isFields(metadata) ? metadata : draft.metadata;
  return {
    ...base,
    labels: { ...textsOf(labels), ...fixedLabels(plan) },
    annotations: textsOf(annotations),
    owner: {
      apiVersion: `${types.GATEWAYS.group}/${types.GATEWAYS.versions[0]}`,
      kind: types.GATEWAYS.kind,
      name: id.name,
      uid,
    },
    fields: key === "deployment" ? withIdentity(fields, plan) : fields,
  };
}

const textsOf = (texts: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(isFields(texts) ? texts : {}).map(([key, value]) => [key, textOf(value)]));
const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** Who its pods are, and which are its pods, is the Gateway's to say: policies and peers rely on it. */
function withIdentity(fields: Fields, plan: GatewayPlan): Fields {
  const fixed = {
    selector: { $patch: "replace", ...selectorOf(plan) },
    template: {
      metadata: { labels: fixedLabels(plan) },
      spec: { serviceAccountName: plan.serviceAccount },
    },
  };
  return strategicMerge(fields, { spec: fixed });
}

function deploymentSpec(plan: GatewayPlan, settings: GatewaySettings, place: PodPlace): Fields {
  const { id, deployment } = plan.gateway;
  // Who scales by hand, or by an autoscaler, is not undone.
  const replicas = plan.overlays.horizontalPodAutoscaler === undefined ? settings.replicas : undefined;
  const labels = {
    ...labelsOf(plan),
    ...(settings.spire !== undefined && { [SPIRE_GATEWAY_NAME]: id.name }),
    "istio.io/dataplane-mode": "none",
    "sidecar.istio.io/inject": "false",
    "service.istio.io/canonical-name": id.name,
    "service.istio.io/canonical-revision": "latest",
  };
  const annotations = {
    "prometheus.io/scrape": "true",
    "prometheus.io/path": "/stats/prometheus",
    "prometheus.io/port": "15090",
    ...deployment.annotations,
  };
  return {
    ...(replicas !== undefined && { replicas }),
    selector: selectorOf(plan),
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    template: { metadata: { labels, annotations }, spec: podSpec(plan, settings, place, nameLabel(plan)) },
  };
}

function serviceSpec({ listeners, nodePorts, serviceType, loadBalancerIp, gateway, kind }: GatewayPlan): Fields {
  const nodePortOf = (port: number): Fields => {
    const nodePort = serviceType === "ClusterIP" ? undefined : nodePorts.get(port);
    return nodePort === undefined ? {} : { nodePort };
  };
  const ports = listeners.flatMap(({ port, serves }) => {
    if (serves === undefined) return [];
    const [name, appProtocol] = serves === "hbone" ? ["tls-hbone", "hbone"] : ["tls-xds", "tls"];
    const targetPort = serves === "hbone" ? 15008 : port;
    return [{ name, port, targetPort, protocol: "TCP", appProtocol, ...nodePortOf(port) }];
  });
  return {
    type: serviceType,
    selector: { [GATEWAY_NAME]: gateway.id.name },
    ports: [
      { name: "status-port", port: READY_PORT, targetPort: READY_PORT, protocol: "TCP", ...nodePortOf(READY_PORT) },
      ...ports,
    ],
    ...(kind === "waypoint" && { ipFamilyPolicy: "PreferDualStack" }),
    ...(loadBalancerIp !== undefined && { loadBalancerIP: loadBalancerIp }),
  };
}

const autoscalerSpec = ({ gateway }: GatewayPlan): Fields => ({
  scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: gateway.id.name },
  // Until the parameters say more.
  maxReplicas: 1,
});
