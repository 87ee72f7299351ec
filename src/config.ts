import { BUNDLE_SETTINGS, type BundleConfig, loadBundleConfig } from "./bundle-config.ts";
import { CLUSTER_SETTINGS, type ClusterConfig, loadClusterConfig } from "./cluster-config.ts";
import type { Environment, Flag, Options } from "./command.ts";
import { UsageError } from "./command.ts";
import { GATEWAY_SETTINGS, loadGatewayConfig, type GatewayConfig } from "./gateway-config.ts";
import { parseDurationMs } from "./duration.ts";
import { MeshError } from "./errors.ts";
import { type JwtRule, parseJwtRule } from "./jwt-rule.ts";
import type { LogLevels } from "./log-levels.ts";
import { type ClusterId, clusterId, isClusterId, type NetworkId, networkId } from "./names.ts";
import {
  allGiven,
  commaListOf,
  given,
  type Given,
  ipOf,
  ipv4RangeOf,
  logLevelsOf,
  matching,
  portOf,
  refuse,
  type Setting,
  setting,
} from "./settings.ts";
import { loadPeeringConfig, PEERING_SETTINGS, type PeeringConfig } from "./peering-config.ts";
import { loadRelayConfig, RELAY_SETTINGS, type RelayConfig } from "./relay-config.ts";
import { isTrustDomain } from "./spiffe.ts";
import { loadSpireConfig, SPIRE_SETTINGS, type SpireConfig } from "./spire-config.ts";

/** A cluster that is a folder of manifests. */
export interface ManifestCluster {
  readonly cluster: ClusterId;
  readonly folder: string;
  /** More manifests of the same cluster, as those that the demo writes itself. */
  readonly furtherFolders?: readonly string[];
  /** True if the objects are what an API server had, with their pods and addresses: nothing is to be made of them. */
  readonly observed?: boolean;
  /** IPv4 ranges; undefined for those that kubeadm and kind use. */
  readonly podCidr: string | undefined;
  readonly serviceCidr: string | undefined;
}

/** All that flags and variables settle, read once. Nothing in it is secret; secrets are named by their paths. */
export interface Config extends ClusterConfig {
  /** What somebody chose, by flag or variable: over the rest a label or the mesh config wins. */
  readonly chosen: { readonly cluster: boolean; readonly network: boolean; readonly trustDomain: boolean };
  readonly clusterId: ClusterId;
  readonly network: NetworkId;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly systemNamespace: string;
  readonly revision: string;
  /** Tells replicas apart where clients are listed. */
  readonly podName: string;
  readonly listenAddress: string;
  /** TCP, 0 for any that is free. `xdsPlaintext` undefined means closed. */
  readonly ports: {
    readonly xds: number;
    readonly xdsPlaintext: number | undefined;
    readonly admin: number;
    readonly health: number;
    /** Undefined means closed; it is on loopback only, whatever `listenAddress` is. */
    readonly controlz: number | undefined;
  };
  /** Service accounts, as `namespace/name`, that may ask for certificates of the pods of their own node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly stateDir: string;
  /** Undefined: a root of our own, kept in `stateDir`. */
  readonly cacertsDir: string | undefined;
  /** How long a new root is published before what it issued signs, and an old one after that. */
  readonly rootWaitMs: number;
  /** Issuers of tokens outside of Kubernetes, besides those of the mesh config. */
  readonly jwtRules: readonly JwtRule[];
  readonly manifests: readonly ManifestCluster[];
  /** Names of our TLS certificate besides those of the Service and of this machine. */
  readonly servingNames: readonly string[];
  readonly peering: PeeringConfig;
  readonly gateways: GatewayConfig;
  readonly spire: SpireConfig;
  readonly bundles: BundleConfig;
  readonly relay: RelayConfig;
  readonly log: { readonly levels: LogLevels; readonly asJson: boolean };
}

/** What depends on the command, not on the user. */
export interface ConfigDefaults {
  /** 127.0.0.1 where strangers should not look; 0.0.0.0 where a Service leads to us. */
  readonly listenAddress: string;
  readonly stateDir: string;
  readonly manifests?: string;
}

const NAME_RIGHT = "use 1 to 128 letters, digits, '.', '-' and '_', beginning and ending with a letter or digit";
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const LABEL_RIGHT = "use 1 to 63 lower case letters, digits and '-', beginning and ending with a letter or digit";
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const ADMIN_PORT = 15014;

/** Names and numbers are istiod's, so that charts and habits carry over. */
const SETTINGS = {
  // What istiod calls a cluster that nobody named; ztunnels of upstream's chart send the same.
  cluster: setting("--cluster <name>", "this cluster's name; Kubernetes by default", "CLUSTER_ID"),
  // Empty is the default network: one flat mesh needs no name for it.
  network: setting("--network <name>", "the network of its pods; none by default", "NETWORK"),
  trustDomain: setting("--trust-domain <domain>", "of all identities; cluster.local by default", "TRUST_DOMAIN"),
  clusterDomain: setting("--cluster-domain <domain>", "suffix of service hostnames; cluster.local by default"),
  systemNamespace: setting("--system-namespace <name>", "istio-system by default", "POD_NAMESPACE"),
  // Objects labelled with another revision are not ours.
  revision: setting("--revision <name>", "which objects are ours; default by default", "REVISION"),
  podName: setting("--pod-name <name>", "what istioctl calls us; istiod by default", "POD_NAME"),
  listen: setting("--listen <ip>", "address of all ports"),
  xdsPort: setting("--xds-port <port>", "discovery and certificates over TLS; 15012 by default"),
  // Nobody proves anything there: off unless asked for.
  plaintextPort: setting("--plaintext-port <port>", "discovery without TLS, as 15010; off by default"),
  adminPort: setting("--admin-port <port>", "metrics, version, debug pages, log levels; 15014 by default"),
  ctrlzPort: setting(
    "--ctrlz_port <port>",
    "ControlZ for istioctl admin log, on loopback, or off; 9876 by default beside admin port 15014, else off",
  ),
  healthPort: setting("--health-port <port>", "ready and livez; 8080 by default"),
  trustedNodeAccounts: setting(
    "--trusted-node-accounts <list>",
    "namespace/account of ztunnels, with commas between; istio-system/ztunnel by default",
    "CA_TRUSTED_NODE_ACCOUNTS",
  ),
  stateDir: setting("--state <dir>", "what must survive a restart; .causeway by default, ./var/lib/causeway for serve"),
  cacerts: setting(
    "--cacerts <dir>",
    "ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem; a Secret, or a root of our own, if none",
    "ROOT_CA_DIR",
  ),
  // A leaf's life: who asks for none gets 24 h, and workloads learn of roots with their next certificate.
  rootWait: setting("--root-wait <duration>", "from a new root until it signs; 24h by default, 0 for at once"),
  jwtRule: { variable: "JWT_RULE" },
  manifests: setting("--manifests <dir>", "a cluster as a folder of manifests, or name=dir", undefined, true),
  podCidr: setting("--pod-cidr <range>", "pods' IPv4 range, or name=range; 10.244.0.0/16 by default", undefined, true),
  serviceCidr: setting("--service-cidr <range>", "services', likewise; 10.96.0.0/12 by default", undefined, true),
  servingName: setting("--serving-name <name>", "one more name for our TLS certificate", undefined, true),
  customHost: { variable: "ISTIOD_CUSTOM_HOST" },
  logLevels: setting("--log_output_level <levels>", "as default:info,ads:debug; info by default"),
} as const;

const LOG_AS_JSON: Flag = { flags: "--log_as_json", description: "log lines as JSON objects" };

/** A name may occur in several groups. */
const ALL_SETTINGS: readonly Setting[] = [
  SETTINGS,
  CLUSTER_SETTINGS,
  PEERING_SETTINGS,
  GATEWAY_SETTINGS,
  SPIRE_SETTINGS,
  BUNDLE_SETTINGS,
  RELAY_SETTINGS,
].flatMap((group) => Object.values<Setting>(group));

/** For every command that runs a control plane. */
export const CONFIG_FLAGS: readonly Flag[] = [...ALL_SETTINGS.flatMap(({ flag }) => flag ?? []), LOG_AS_JSON];

/** Every variable that settles something, and by which name of ours: a flag, if it has one. */
export const CONFIG_VARIABLES: ReadonlyMap<string, string> = new Map(
  ALL_SETTINGS.flatMap(({ flag, variable }) =>
    variable === undefined ? [] : [[variable, flag?.flags ?? variable] as const],
  ),
);

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadConfig(options: Options, environment: Environment, defaults: ConfigDefaults): Config {
  const read = <T>(name: keyof typeof SETTINGS, parse: (value: Given) => T, otherwise: T): T => {
    const value = given(SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  const name = (value: Given): string => (isClusterId(value.text) ? value.text : refuse(value, NAME_RIGHT));
  const label = (value: Given) => matching(value, LABEL, LABEL_RIGHT);
  const dnsName = (value: Given) => matching(value, DNS_NAME, "give a DNS name in lower case, as cluster.local");
  const path = (value: Given) => matching(value, /^[^\0]+$/, "give a folder");
  const chosen = (name: keyof typeof SETTINGS) => given(SETTINGS[name], options, environment) !== undefined;
  const cluster = read("cluster", name, "Kubernetes");
  const revision = read("revision", label, "default");
  const systemNamespace = read("systemNamespace", label, "istio-system");
  const trustDomain = read("trustDomain", trustDomainOf, "cluster.local");
  const admin = read("adminPort", portOf, ADMIN_PORT);
  return deepFreeze({
    ...loadClusterConfig(options, environment, revision),
    chosen: { cluster: chosen("cluster"), network: chosen("network"), trustDomain: chosen("trustDomain") },
    clusterId: clusterId(cluster),
    network: networkId(read("network", name, "")),
    trustDomain,
    clusterDomain: read("clusterDomain", dnsName, "cluster.local"),
    systemNamespace,
    revision,
    podName: read("podName", dnsName, "istiod"),
    listenAddress: read("listen", ipOf, defaults.listenAddress),
    ports: {
      xds: read("xdsPort", portOf, 15012),
      xdsPlaintext: read<number | undefined>("plaintextPort", portOf, undefined),
      admin,
      health: read("healthPort", portOf, 8080),
      // Of several control planes on one machine only the one on the usual ports has it, unless asked for.
      controlz: read("ctrlzPort", portOrOff, admin === ADMIN_PORT ? 9876 : undefined),
    },
    trustedNodeAccounts: read("trustedNodeAccounts", accountsOf, new Set([`${systemNamespace}/ztunnel`])),
    stateDir: read("stateDir", path, defaults.stateDir),
    cacertsDir: read<string | undefined>("cacerts", path, undefined),
    rootWaitMs: read("rootWait", waitOf, 86_400_000),
    jwtRules: read("jwtRule", jwtRulesOf, []),
    manifests: manifestClusters(cluster, options, defaults),
    servingNames: [
      ...allGiven(SETTINGS.servingName, options).map(servingNameOf),
      ...read("customHost", customHostsOf, []),
    ],
    peering: loadPeeringConfig(options, environment, systemNamespace),
    gateways: loadGatewayConfig(options, environment),
    spire: loadSpireConfig(options, environment),
    bundles: loadBundleConfig(options, environment, trustDomain),
    relay: loadRelayConfig(options, environment),
    log: {
      levels: read("logLevels", logLevelsOf, { default: "info", scopes: new Map() }),
      asJson: options["log_as_json"] === true,
    },
  });
}

const portOrOff = (value: Given): number | undefined => (value.text === "off" ? undefined : portOf(value));

function trustDomainOf(value: Given): string {
  return isTrustDomain(value.text) ? value.text : refuse(value, "use 1 to 255 of a-z, 0-9, '.', '-' and '_'");
}

function waitOf(value: Given): number {
  if (/^0(ms|s|m|h)?$/.test(value.text)) return 0;
  return parseDurationMs(value.text) ?? refuse(value, "give a duration, as 24h or 90m, or 0 for no wait");
}

function jwtRulesOf({ text, from }: Given): readonly JwtRule[] {
  try {
    return [parseJwtRule(JSON.parse(text), from)];
  } catch (thrown) {
    const { detail, message } = MeshError.from(thrown);
    const field = detail["field"] ?? `${from} must be one rule in JSON, with issuer, audiences and jwksUri:`;
    throw new UsageError(`${field} ${message}`, { cause: thrown });
  }
}

function accountsOf(value: Given): ReadonlySet<string> {
  const accounts = value.text.split(",").map((account) => account.trim());
  if (!accounts.every((account) => /^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(account)))
    refuse(value, "give namespace/service-account, with commas between, as istio-system/ztunnel");
  return new Set(accounts);
}

function servingNameOf(value: Given): string {
  return DNS_NAME.test(value.text) ? value.text : ipOfName(value, "give a DNS name in lower case, or an IP address");
}

function customHostsOf(value: Given): readonly string[] {
  return commaListOf(value).map((text) => servingNameOf({ from: value.from, text }));
}

function ipOfName(value: Given, right: string): string {
  try {
    return ipOf(value);
  } catch {
    return refuse(value, right);
  }
}

/** A value with a cluster's name before it, as `west=10.8.0.0/16`, is that cluster's; else it is the local one's. */
function byCluster(local: string, values: readonly Given[]): ReadonlyMap<string, Given> {
  const named = new Map<string, Given>();
  for (const value of values) {
    const [, before, after] = /^([^=]*)=(.*)$/s.exec(value.text) ?? [];
    const isNamed = before !== undefined && isClusterId(before);
    const cluster = isNamed ? before : local;
    if (named.has(cluster)) refuse(value, `cluster ${cluster} has one already`);
    named.set(cluster, { from: value.from, text: isNamed ? after! : value.text });
  }
  return named;
}

function manifestClusters(local: string, options: Options, defaults: ConfigDefaults): readonly ManifestCluster[] {
  const folders = new Map(byCluster(local, allGiven(SETTINGS.manifests, options)));
  if (folders.size === 0 && defaults.manifests !== undefined)
    folders.set(local, { text: defaults.manifests, from: "the default of --manifests" });
  const podCidrs = byCluster(local, allGiven(SETTINGS.podCidr, options));
  const serviceCidrs = byCluster(local, allGiven(SETTINGS.serviceCidr, options));
  for (const [cluster, value] of [...podCidrs, ...serviceCidrs])
    if (!folders.has(cluster)) refuse(value, `there is no --manifests for cluster ${cluster}`);
  return [...folders].map(([cluster, folder]) => {
    const [pods, services] = [podCidrs.get(cluster), serviceCidrs.get(cluster)];
    return {
      cluster: clusterId(cluster),
      folder: matching(folder, /^[^\0]+$/, "give a folder, as ./manifests or west=./manifests"),
      podCidr: pods && ipv4RangeOf(pods),
      serviceCidr: services && ipv4RangeOf(services),
    };
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
