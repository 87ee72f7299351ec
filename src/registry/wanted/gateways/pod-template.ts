import type { Fields } from "../../kube/fields.ts";
import type { GatewaySettings } from "./gateway-inputs.ts";
import type { GatewayPlan } from "./gateway-plan.ts";
import { podIdentity } from "./pod-identity.ts";

/** Both containers run as this user, so that what one writes the other may read. */
const USER = 1337;
const RUN_DIR = "/etc/istio/proxy";
const [READY_PORT, METRICS_PORT, STATS_PORT] = [15021, 15020, 15090];
/** Connections have half a minute to end (the agent's default); then Kubernetes has some to spare. */
const GRACE_SECONDS = 60;

const SECURITY: Fields = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
  runAsGroup: USER,
  runAsNonRoot: true,
  runAsUser: USER,
};

/** What it must shed load before; also if somebody's parameters change it. */
const ENVOY_MEMORY: Fields = {
  name: "ENVOY_MEMORY",
  valueFrom: { resourceFieldRef: { containerName: "envoy", resource: "limits.memory" } },
};

export interface PodPlace {
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly cluster: string;
}

/** What every pod of a Gateway is: stock Envoy, and the agent that starts before it and ends after it. */
export function podSpec(plan: GatewayPlan, settings: GatewaySettings, place: PodPlace, selector: Fields): Fields {
  const { pullSecrets, priorityClass } = settings;
  const { supplementalGroups } = podIdentity(settings.spire);
  return {
    serviceAccountName: plan.serviceAccount,
    // The agent's token is for the mesh's authority and for nobody else.
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    ...(priorityClass !== undefined && { priorityClassName: priorityClass }),
    ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    securityContext: {
      fsGroup: USER,
      runAsGroup: USER,
      runAsNonRoot: true,
      runAsUser: USER,
      seccompProfile: { type: "RuntimeDefault" },
      ...(supplementalGroups.length > 0 && { supplementalGroups }),
    },
    topologySpreadConstraints: ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
      maxSkew: 1,
      topologyKey,
      whenUnsatisfiable: "ScheduleAnyway",
      labelSelector: { matchLabels: selector },
    })),
    initContainers: [agent(plan, settings, place)],
    containers: [envoy(plan, settings)],
    volumes: volumes(settings),
  };
}

/** A sidecar: Envoy starts once it says so, and it hears of the end after Envoy. */
function agent(plan: GatewayPlan, settings: GatewaySettings, place: PodPlace): Fields {
  const probe = (path: string): Fields => ({ httpGet: { path, port: READY_PORT } });
  return {
    name: "agent",
    image: settings.agentImage,
    ...pullPolicy(settings),
    args: ["gateway"],
    restartPolicy: "Always",
    env: environment(plan, settings, place),
    ports: [{ name: "metrics", containerPort: METRICS_PORT, protocol: "TCP" }],
    // For two minutes: without a certificate Envoy could do nothing.
    startupProbe: { ...probe("/healthz/startup"), periodSeconds: 1, failureThreshold: 120 },
    livenessProbe: { ...probe("/healthz/live"), periodSeconds: 10, failureThreshold: 6 },
    // It takes 80 MB.
    resources: { requests: { cpu: "20m", memory: "96Mi" }, limits: { memory: "256Mi" } },
    securityContext: SECURITY,
    volumeMounts: [
      { name: "run", mountPath: RUN_DIR },
      podIdentity(settings.spire).mount,
      { name: "istio-ca-root-cert", mountPath: "/var/run/secrets/istio", readOnly: true },
    ],
  };
}

function envoy(plan: GatewayPlan, settings: GatewaySettings): Fields {
  const { requests, limits } = settings.resources;
  return {
    name: "envoy",
    image: settings.envoyImage,
    ...pullPolicy(settings),
    command: ["envoy"],
    // As the agent starts an Envoy of its own (envoy-process.ts, which has the reasons).
    args: [
      ...["--config-path", `${RUN_DIR}/bootstrap.json`, "--disable-hot-restart"],
      ...["--drain-strategy", "immediate", "--file-flush-interval-msec", "1000"],
    ],
    ports: [
      { name: "hbone", containerPort: 15008, protocol: "TCP" },
      { name: "status", containerPort: READY_PORT, protocol: "TCP" },
      { name: "envoy-metrics", containerPort: STATS_PORT, protocol: "TCP" },
    ],
    // The agent answers for both.
    readinessProbe: {
      httpGet: { path: "/healthz/ready", port: READY_PORT },
      periodSeconds: 2,
      failureThreshold: 4,
    },
    // Envoy would end at once: the agent takes it out of service first, and waits for what is open.
    lifecycle: { preStop: { httpGet: { path: `/drain/${plan.gateway.uid}`, port: METRICS_PORT } } },
    resources: { requests, ...(Object.keys(limits).length > 0 && { limits }) },
    securityContext: SECURITY,
    volumeMounts: [{ name: "run", mountPath: RUN_DIR, readOnly: true }],
  };
}

const pullPolicy = ({ pullPolicy }: GatewaySettings): Fields =>
  pullPolicy === undefined ? {} : { imagePullPolicy: pullPolicy };

function environment(plan: GatewayPlan, settings: GatewaySettings, place: PodPlace): readonly Fields[] {
  const fieldOf = (name: string, fieldPath: string): Fields => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const values = {
    GATEWAY_NAME: plan.gateway.id.name,
    CA_ADDR: settings.discoveryAddress,
    TRUST_DOMAIN: place.trustDomain,
    CLUSTER_DOMAIN: place.clusterDomain,
    ISTIO_META_CLUSTER_ID: place.cluster,
    ISTIO_META_NETWORK: plan.gateway.network ?? settings.network,
    RUN_DIR,
    // Every pod can reach that port at the pod's address, and none knows this that cannot see the Gateway.
    DRAIN_KEY: plan.gateway.uid,
  };
  return [
    fieldOf("POD_NAME", "metadata.name"),
    fieldOf("POD_NAMESPACE", "metadata.namespace"),
    fieldOf("INSTANCE_IP", "status.podIP"),
    fieldOf("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ...(settings.resources.limits["memory"] === undefined ? [] : [ENVOY_MEMORY]),
    ...Object.entries(values).flatMap(([name, value]) => (value === "" ? [] : [{ name, value }])),
    ...podIdentity(settings.spire).environment,
  ];
}

function volumes({ rootConfigMap, spire }: GatewaySettings): readonly Fields[] {
  return [
    // The private key is only ever in memory.
    { name: "run", emptyDir: { medium: "Memory", sizeLimit: "32Mi" } },
    podIdentity(spire).volume,
    { name: "istio-ca-root-cert", configMap: { name: rootConfigMap } },
  ];
}
