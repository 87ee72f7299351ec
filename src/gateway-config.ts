import type { Environment, Options } from "./command.ts";
import { commaListOf, given, type Given, matching, refuse, type Setting, setting, truthOf } from "./settings.ts";
import { VERSION } from "./version.ts";

/** How waypoints and east-west gateways are deployed. */
export interface GatewayConfig {
  /** False: no Gateway is deployed, and none but those of class istio-remote gets a status. */
  readonly enabled: boolean;
  /** Makes the GatewayClasses that are not there. */
  readonly makesClasses: boolean;
  /** With `causeway`, for the agent beside Envoy. */
  readonly agentImage: string;
  readonly envoyImage: string;
  readonly pullPolicy: (typeof PULL_POLICIES)[number] | undefined;
  readonly pullSecrets: readonly string[];
  /** Undefined for one, which anybody may scale. */
  readonly replicas: number | undefined;
  /** Of Envoy, by their names. */
  readonly resources: { readonly requests: Quantities; readonly limits: Quantities };
  readonly priorityClass: string | undefined;
  /** Where proxies find their control plane; undefined for the Service of our revision. */
  readonly discoveryAddress: string | undefined;
  /** How their pods reach SPIRE's agent, which then gives them their identities; undefined if it does not. */
  readonly spire: GatewaySpire | undefined;
}

export type GatewaySpire =
  /** The Workload API, by a CSI volume, or in a folder of the node. */
  | "csi"
  | { readonly hostPath: string }
  /** The DelegatedIdentity API: a socket of the node. */
  | { readonly adminSocket: string };

type Quantities = Readonly<Record<string, string>>;

const PULL_POLICIES = ["Always", "IfNotPresent", "Never"] as const;
const RESOURCES: readonly string[] = ["cpu", "memory", "ephemeral-storage"];
const QUANTITY = /^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/;
const IMAGE = /^[a-zA-Z0-9][\w.:/@-]{0,511}$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

export const GATEWAY_SETTINGS = {
  controller: setting(
    "--gateway-controller <on|off>",
    "deploys waypoints and east-west gateways; on by default",
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER",
  ),
  classes: { variable: "PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER" },
  // Ours has no registry of its own: where it is kept, the operator says.
  agentImage: setting("--gateway-image <image>", "with causeway, for gateways' agents", "GATEWAY_IMAGE"),
  // What the conformance suite runs.
  envoyImage: setting(
    "--gateway-envoy-image <image>",
    "stock Envoy; envoyproxy/envoy:distroless-v1.40.0 by default",
    "GATEWAY_ENVOY_IMAGE",
  ),
  pullPolicy: { variable: "GATEWAY_IMAGE_PULL_POLICY" },
  pullSecrets: { variable: "GATEWAY_IMAGE_PULL_SECRETS" },
  replicas: setting("--gateway-replicas <count>", "of each; 1, free to scale, by default", "GATEWAY_REPLICAS"),
  requests: setting(
    "--gateway-requests <list>",
    "of Envoy; cpu=100m,memory=128Mi by default, none for none",
    "GATEWAY_REQUESTS",
  ),
  limits: setting("--gateway-limits <list>", "likewise; memory=1Gi by default", "GATEWAY_LIMITS"),
  priorityClass: { variable: "GATEWAY_PRIORITY_CLASS" },
  discoveryAddress: { variable: "GATEWAY_DISCOVERY_ADDRESS" },
  spire: setting(
    "--gateway-spire <how>",
    "identities from SPIRE: csi, its agent's folder on the node, or off; off by default",
    "GATEWAYS_SPIRE_WORKLOADS",
  ),
  spireAdmin: setting(
    "--gateway-spire-admin <socket>",
    "likewise, as delegates of its agent: its admin socket on the node",
    "GATEWAY_SPIRE_ADMIN_SOCKET",
  ),
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadGatewayConfig(options: Options, environment: Environment): GatewayConfig {
  const read = <T, D>(name: keyof typeof GATEWAY_SETTINGS, parse: (value: Given) => T, otherwise: D): T | D => {
    const value = given(GATEWAY_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  return {
    enabled: read("controller", switchOf, true),
    makesClasses: read("classes", truthOf, true),
    agentImage: read("agentImage", imageOf, `causeway:${VERSION}`),
    envoyImage: read("envoyImage", imageOf, "envoyproxy/envoy:distroless-v1.40.0"),
    pullPolicy: read("pullPolicy", pullPolicyOf, undefined),
    pullSecrets: read("pullSecrets", commaListOf, []),
    replicas: read("replicas", replicasOf, undefined),
    resources: {
      requests: read("requests", quantitiesOf, { cpu: "100m", memory: "128Mi" }),
      limits: read("limits", quantitiesOf, { memory: "1Gi" }),
    },
    priorityClass: read(
      "priorityClass",
      (value) => matching(value, NAME, "give the name of a PriorityClass"),
      undefined,
    ),
    discoveryAddress: read("discoveryAddress", addressOf, undefined),
    spire: spireIn(
      given(GATEWAY_SETTINGS.spire, options, environment),
      given(GATEWAY_SETTINGS.spireAdmin, options, environment),
    ),
  };
}

function switchOf(value: Given): boolean {
  return value.text === "on" ? true : value.text === "off" ? false : truthOf(value);
}

const imageOf = (value: Given): string =>
  matching(value, IMAGE, "give an image, as registry.example/envoy:v1 or one with a digest");

function pullPolicyOf(value: Given): (typeof PULL_POLICIES)[number] {
  return PULL_POLICIES.find((policy) => policy === value.text) ?? refuse(value, `use ${PULL_POLICIES.join(", ")}`);
}

function replicasOf(value: Given): number {
  return /^[1-9][0-9]{0,2}$/.test(value.text) ? Number(value.text) : refuse(value, "give a number from 1 to 999");
}

function quantitiesOf(value: Given): Quantities {
  if (value.text === "none") return {};
  const pairs = commaListOf(value).map((pair) => pair.split("="));
  const right = `give as cpu=100m,memory=128Mi, or none; known are ${RESOURCES.join(", ")}`;
  const isRight = ([name = "", quantity = "", ...rest]: string[]): boolean =>
    RESOURCES.includes(name) && QUANTITY.test(quantity) && rest.length === 0;
  return pairs.every(isRight) ? (Object.fromEntries(pairs) as Quantities) : refuse(value, right);
}

const addressOf = (value: Given): string =>
  matching(value, /^[a-z0-9.-]+:[0-9]{1,5}$/, "give host and port, as istiod.istio-system.svc:15012");

/** The chart's `gateways.spire.workloads: true` asks for SPIRE, and whoever names the socket says how. */
function spireIn(how: Given | undefined, admin: Given | undefined): GatewayConfig["spire"] {
  const spire = how && spireOf(how);
  if (admin === undefined || (how !== undefined && spire === undefined)) return spire;
  if (typeof spire === "object" || how?.text === "csi")
    return refuse(admin, `${how!.from} already says where SPIRE's socket is; give the one or the other`);
  const right = "give the agent's admin_socket_path on the node, as /run/spire/agent/sockets/admin.sock";
  return { adminSocket: matching(admin, /^\/[^\0]+\/[^/\0]+$/, right) };
}

function spireOf(value: Given): GatewayConfig["spire"] {
  if (/^\/[^\0]+$/.test(value.text)) return { hostPath: value.text };
  if (value.text === "csi") return "csi";
  if (value.text === "off") return undefined;
  const right = "use csi, the folder of the node that SPIRE's socket is in, as /run/spire/agent-sockets, or off";
  return truthOf({ ...value, from: `${value.from} (${right})` }) ? "csi" : undefined;
}
