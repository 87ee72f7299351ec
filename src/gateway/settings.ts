import { isIP, isIPv6 } from "node:net";
import { type Environment, type Flag, type Options, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { type LogLevels, parseLogLevels } from "../log-levels.ts";
import { isClusterId } from "../names.ts";
import { type Given, given, matching, portOf, refuse, setting, type Setting } from "../settings.ts";
import { isTrustDomain } from "../spiffe.ts";
import { GATEWAY_SPIRE_SETTINGS, loadSpireSource, type SpireSource } from "./spire-settings.ts";

/** The longest `--drain`. */
export const DRAIN_MS_MAX = 3_600_000;

const SETTINGS = {
  gateway: setting("--gateway <name>", "the Gateway whose proxy this is", "GATEWAY_NAME"),
  pod: setting("--pod <name>", "our pod", "POD_NAME"),
  namespace: setting("-n, --namespace <name>", "of the pod, and of the Gateway", "POD_NAMESPACE"),
  address: setting("--address <ip>", "of the pod", "INSTANCE_IP"),
  serviceAccount: setting("--service-account <name>", "of the pod; the token's by default", "SERVICE_ACCOUNT"),
  cluster: setting("--cluster <name>", "our cluster; Kubernetes by default", "ISTIO_META_CLUSTER_ID"),
  network: setting("--network <name>", "our network; none by default", "ISTIO_META_NETWORK"),
  locality: setting("--locality <region/zone/subzone>", "of our node", "LOCALITY"),
  clusterDomain: setting("--cluster-domain <domain>", "of DNS; cluster.local by default", "CLUSTER_DOMAIN"),
  trustDomain: setting("--trust-domain <domain>", "what our identity must be of; any by default", "TRUST_DOMAIN"),
  ca: setting("--ca <host:port>", "who issues; istiod.istio-system.svc:15012 by default", "CA_ADDR"),
  xds: setting("--xds <host:port>", "who configures Envoy; that of --ca by default", "XDS_ADDR"),
  controlPlaneName: setting("--control-plane-name <name>", "of its certificate; the host by default"),
  root: setting("--root <file>", "roots; /var/run/secrets/istio/root-cert.pem by default", "ROOT_CERT"),
  token: setting("--token <file>", "ours; /var/run/secrets/tokens/istio-token by default", "TOKEN_FILE"),
  certificateTtl: setting("--certificate-ttl <duration>", "to ask for; 24h by default", "SECRET_TTL"),
  runDir: setting("--run-dir <dir>", "bootstrap and socket; /etc/istio/proxy by default", "RUN_DIR"),
  envoy: setting("--envoy <path>", "start this Envoy; by default another container does", "ENVOY_PATH"),
  concurrency: setting("--concurrency <threads>", "of Envoy; by default one for each CPU", "ENVOY_CONCURRENCY"),
  envoyLogLevel: setting("--envoy-log-level <level>", "of Envoy; warning by default", "ENVOY_LOG_LEVEL"),
  drain: setting("--drain <duration>", "for connections, when stopped; 30s by default", "DRAIN_DURATION"),
  drainKey: { variable: "DRAIN_KEY" },
  connectionsMax: setting("--connections-max <count>", "open ones; 50000 by default", "ENVOY_CONNECTIONS_MAX"),
  memory: setting("--memory <bytes>", "that Envoy may take; no limit by default", "ENVOY_MEMORY"),
  readyPort: setting("--ready-port <port>", "readiness and liveness; 15021 by default"),
  metricsPort: setting("--metrics-port <port>", "our own metrics, and /drain; 15020 by default"),
  adminPort: setting("--envoy-admin-port <port>", "of Envoy, on loopback; 15000 by default"),
  statsPort: setting("--envoy-stats-port <port>", "Envoy's metrics; 15090 by default"),
  logLevels: setting("--log_output_level <levels>", "as default:info,gateway:debug; info by default"),
} as const;

const ALL_SETTINGS = [SETTINGS, GATEWAY_SPIRE_SETTINGS].flatMap((settings) => Object.values<Setting>(settings));
const LOG_AS_JSON: Flag = { flags: "--log_as_json", description: "log lines as JSON objects" };

export const GATEWAY_FLAGS: readonly Flag[] = [...ALL_SETTINGS.flatMap(({ flag }) => flag ?? []), LOG_AS_JSON];
export const GATEWAY_VARIABLES: readonly string[] = ALL_SETTINGS.flatMap(({ variable }) => variable ?? []);

/** A control plane, as it is dialled. */
export interface ControlPlaneAddress {
  readonly host: string;
  readonly port: number;
}

/** Who a proxy is to its control plane. */
export interface ProxyPlace {
  readonly gateway: string;
  readonly pod: string;
  readonly namespace: string;
  readonly address: string;
  readonly cluster: string;
  readonly network: string;
  readonly clusterDomain: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
}

/** An Envoy that we start. */
export interface EnvoyCommand {
  readonly path: string;
  /** Undefined for one for each CPU. */
  readonly concurrency: number | undefined;
  readonly logLevel: string;
}

export interface EnvoyPorts {
  readonly admin: number;
  readonly stats: number;
}

export interface EnvoyLimits {
  /** Open connections of callers. */
  readonly connectionsMax: number;
  /** Undefined for no limit. */
  readonly memoryBytes: number | undefined;
}

/** Everything that `causeway gateway` can be told. */
export interface GatewaySettings {
  readonly place: ProxyPlace;
  /** The token's by default. */
  readonly serviceAccount: string | undefined;
  /** Undefined: whichever the authority says at first. */
  readonly trustDomain: string | undefined;
  readonly ca: ControlPlaneAddress;
  readonly xds: ControlPlaneAddress;
  /** Undefined for the host of each. */
  readonly controlPlaneName: string | undefined;
  readonly rootFile: string;
  readonly tokenFile: string;
  readonly certificateTtlSeconds: number;
  readonly runDir: string;
  /** Undefined if another container of the pod starts it. */
  readonly envoy: EnvoyCommand | undefined;
  readonly envoyPorts: EnvoyPorts;
  readonly limits: EnvoyLimits;
  readonly drainMs: number;
  /** Who asks for /drain/<key> at `metricsPort` has us drain; undefined for nobody. */
  readonly drainKey: string | undefined;
  /** Who gives us our identity; undefined for the CA. */
  readonly spire: SpireSource | undefined;
  readonly readyPort: number;
  readonly metricsPort: number;
  readonly log: { readonly levels: LogLevels; readonly asJson: boolean };
}

/** All addresses of this machine, of the pod's own family at least. */
export const anyAddress = ({ address }: ProxyPlace): string => (isIPv6(address) ? "::" : "0.0.0.0");

const LABEL = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const LABEL_RIGHT = "give a Kubernetes name: a-z, 0-9, '-' and '.'";
const FILE_RIGHT = "give a path";
const KEY_RIGHT = "give 8 to 128 letters, digits, '.', '-' and '_'";
const LEVELS = ["trace", "debug", "info", "warning", "error", "critical", "off"];
const TTL_RIGHT = "give a duration of at least a minute, as 24h or 90m";

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadGatewaySettings(options: Options, environment: Environment): GatewaySettings {
  const read = <T, D>(name: keyof typeof SETTINGS, parse: (value: Given) => T, otherwise: D): T | D => {
    const value = given(SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  const need = <T>(name: "gateway" | "pod" | "namespace" | "address", parse: (value: Given) => T): T =>
    read(name, parse, undefined) ?? missing(SETTINGS[name]);
  const own = { pod: need("pod", labelOf), namespace: need("namespace", labelOf) };
  const serviceAccount = read("serviceAccount", labelOf, undefined);
  const ca = read("ca", addressOf, { host: "istiod.istio-system.svc", port: 15012 });
  return {
    place: {
      gateway: need("gateway", labelOf),
      ...own,
      address: need("address", podAddressOf),
      cluster: read("cluster", clusterOf, "Kubernetes"),
      network: read("network", clusterOf, ""),
      clusterDomain: read("clusterDomain", labelOf, "cluster.local"),
      locality: localityOf(read("locality", ({ text }) => text, "")),
    },
    serviceAccount,
    trustDomain: read("trustDomain", trustDomainOf, undefined),
    ca,
    xds: read("xds", addressOf, ca),
    controlPlaneName: read("controlPlaneName", labelOf, undefined),
    rootFile: read("root", fileOf, "/var/run/secrets/istio/root-cert.pem"),
    tokenFile: read("token", fileOf, "/var/run/secrets/tokens/istio-token"),
    certificateTtlSeconds: read("certificateTtl", ttlOf, 86_400),
    runDir: read("runDir", fileOf, "/etc/istio/proxy"),
    envoy: read(
      "envoy",
      (value) => ({
        path: fileOf(value),
        concurrency: read("concurrency", (count) => countOf(count, 1024), undefined),
        logLevel: read("envoyLogLevel", levelOf, "warning"),
      }),
      undefined,
    ),
    envoyPorts: { admin: read("adminPort", portOf, 15000), stats: read("statsPort", portOf, 15090) },
    limits: {
      connectionsMax: read("connectionsMax", (count) => countOf(count, 10_000_000), 50_000),
      memoryBytes: read("memory", (count) => countOf(count, Number.MAX_SAFE_INTEGER), undefined),
    },
    drainMs: read("drain", drainOf, 30_000),
    drainKey: read("drainKey", (value) => matching(value, /^[\w.-]{8,128}$/, KEY_RIGHT), undefined),
    spire: loadSpireSource({ ...own, serviceAccount }, options, environment),
    readyPort: read("readyPort", portOf, 15021),
    metricsPort: read("metricsPort", portOf, 15020),
    log: {
      levels: read("logLevels", logLevelsOf, parseLogLevels("", "info")),
      asJson: options["log_as_json"] === true,
    },
  };
}

function missing({ flag, variable }: { readonly flag: Flag; readonly variable?: string }): never {
  const [long] = /--[\w-]+/.exec(flag.flags)!;
  throw new UsageError(`${long} is missing: give it, or set ${variable} from the pod's own fields (downward API)`);
}

const labelOf = (value: Given): string => matching(value, LABEL, LABEL_RIGHT);
const fileOf = (value: Given): string => matching(value, /^[^\0]+$/, FILE_RIGHT);
const podAddressOf = (value: Given): string =>
  isIP(value.text) === 0 ? refuse(value, "give the pod's IP address, as 10.244.0.7") : value.text;
const clusterOf = (value: Given): string =>
  isClusterId(value.text) ? value.text : refuse(value, "use letters, digits, '.', '-' and '_'");
const trustDomainOf = (value: Given): string =>
  isTrustDomain(value.text) ? value.text : refuse(value, "use 1 to 255 of a-z, 0-9, '.', '-' and '_'");
const levelOf = (value: Given): string =>
  LEVELS.includes(value.text) ? value.text : refuse(value, `give one of ${LEVELS.join(", ")}`);

function addressOf(value: Given): ControlPlaneAddress {
  const [, bracketed, plain, port] =
    /^(?:https:\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})\/?$/.exec(value.text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) < 1 || Number(port) > 65535)
    return refuse(value, "give host and port, as istiod.istio-system.svc:15012");
  return { host, port: Number(port) };
}

function localityOf(text: string): ProxyPlace["locality"] {
  const [region = "", zone = "", subZone = ""] = text.split("/");
  return { region, zone, subZone };
}

function countOf(value: Given, max: number): number {
  const count = /^[0-9]{1,16}$/.test(value.text) ? Number(value.text) : 0;
  return count >= 1 && count <= max ? count : refuse(value, `give a whole number from 1 to ${max}`);
}

function ttlOf(value: Given): number {
  const ms = parseDurationMs(value.text) ?? 0;
  return ms < 60_000 ? refuse(value, TTL_RIGHT) : Math.floor(ms / 1000);
}

function drainOf(value: Given): number {
  const right = "give a duration of an hour at most, as 30s, or 0s for none";
  const ms = /^0(ms|s|m|h)?$/.test(value.text) ? 0 : (parseDurationMs(value.text) ?? Infinity);
  return ms > DRAIN_MS_MAX ? refuse(value, right) : ms;
}

function logLevelsOf({ text, from }: Given): LogLevels {
  try {
    return parseLogLevels(from, text);
  } catch (thrown) {
    throw new UsageError(MeshError.from(thrown).message, { cause: thrown });
  }
}
