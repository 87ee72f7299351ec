import type { Environment, Options } from "./command.ts";
import { parseDurationMs } from "./duration.ts";
import { INSECURE_KUBECONFIG_OPTIONS } from "./insecure-kubeconfig.ts";
import { printable } from "./printable.ts";
import { commaListOf, given, type Given, matching, refuse, type Setting, setting, truthOf } from "./settings.ts";

/** All that settles how we run in a cluster, and how we read others. */
export interface ClusterConfig {
  /** A file with the credentials for our API server; undefined for those of our pod. */
  readonly kubeconfig: string | undefined;
  /**
   * True if it is from KUBECONFIG, which istiod's chart sets to a file that is rarely there: if it is not, in a pod, the
   * variable counts as unset. A file that a flag names must be there.
   */
  readonly kubeconfigMayBeAbsent: boolean;
  /** Undefined: the current context of the file. */
  readonly kubeContext: string | undefined;
  /** How long readiness waits for a remote cluster; 0 for ever. */
  readonly remoteClusterTimeoutMs: number;
  /** A folder of kubeconfigs, which is then read instead of remote secrets. */
  readonly multiclusterKubeconfigPath: string | undefined;
  /** Words of INSECURE_KUBECONFIG_OPTIONS. */
  readonly insecureKubeconfigOptions: ReadonlySet<string>;
  /** False: remote secrets are not read. */
  readonly legacyMulticluster: boolean;
  /** Gives addresses to hosts of ServiceEntries that have none. */
  readonly allocateIps: boolean;
  /** Services select WorkloadEntries by their labels, as they select pods. */
  readonly workloadEntrySelection: boolean;
  /** Reads gateways to other networks and what lies behind them. */
  readonly multiNetwork: boolean;
  /** Sends policies that are to be tried, not enforced; only for ztunnel 1.29 and later. */
  readonly dryRunPolicies: boolean;
  readonly meshConfigMaps: MeshConfigMaps;
  /** Workloads trust the `caCertificates` of the mesh config, too. */
  readonly multiRootMesh: boolean;
  /** The ConfigMap with our roots, in every namespace. */
  readonly rootConfigMap: string;
  /** False: revocation lists are not read, not enforced and not handed on. */
  readonly readsLists: boolean;
  /** The ConfigMap with revocation lists, in every namespace. */
  readonly listsConfigMap: string;
  /** Gives our roots out in a ClusterTrustBundle, too, where the API server has such. */
  readonly clusterTrustBundle: boolean;
}

/** Names of ConfigMaps in the system namespace. */
export interface MeshConfigMaps {
  readonly own: string;
  /** What `own` does not say, this one says. */
  readonly shared: string | undefined;
}

/** Names and meanings are istiod's. Where only a variable is given, few will ever set it. */
export const CLUSTER_SETTINGS = {
  kubeconfig: setting(
    "--kubeconfig <file>",
    "credentials for the API server; those of our pod by default",
    "KUBECONFIG",
  ),
  context: setting("--context <name>", "which context of that file; its current one by default"),
  remoteClusterTimeout: { variable: "PILOT_REMOTE_CLUSTER_TIMEOUT" },
  multiclusterKubeconfigPath: { variable: "PILOT_MULTICLUSTER_KUBECONFIG_PATH" },
  insecureKubeconfigOptions: { variable: "PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS" },
  withoutLegacyMulticluster: { variable: "DISABLE_LEGACY_MULTICLUSTER" },
  allocateIps: { variable: "PILOT_ENABLE_IP_AUTOALLOCATE" },
  workloadEntrySelection: { variable: "PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES" },
  multiNetwork: { variable: "AMBIENT_ENABLE_MULTI_NETWORK" },
  dryRunPolicies: { variable: "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY" },
  sharedMeshConfig: { variable: "SHARED_MESH_CONFIG" },
  multiRootMesh: { variable: "ISTIO_MULTIROOT_MESH" },
  rootConfigMap: { variable: "PILOT_CA_CERT_CONFIGMAP" },
  readsLists: { variable: "PILOT_ENABLE_CA_CRL" },
  listsConfigMap: { variable: "PILOT_CRL_CONFIGMAP" },
  clusterTrustBundle: { variable: "ENABLE_CLUSTER_TRUST_BUNDLE_API" },
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadClusterConfig(options: Options, environment: Environment, revision: string): ClusterConfig {
  const read = <T>(name: keyof typeof CLUSTER_SETTINGS, parse: (value: Given) => T, otherwise: T): T => {
    const value = given(CLUSTER_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  const text = (name: keyof typeof CLUSTER_SETTINGS, right: string) =>
    read<string | undefined>(name, (value) => matching(value, /^[^\0]+$/, right), undefined);
  return {
    kubeconfig: text("kubeconfig", "give a file"),
    kubeconfigMayBeAbsent: given(CLUSTER_SETTINGS.kubeconfig, options, environment)?.from === "KUBECONFIG",
    kubeContext: text("context", "give the name of a context in the kubeconfig"),
    remoteClusterTimeoutMs: read("remoteClusterTimeout", timeoutOf, 30_000),
    multiclusterKubeconfigPath: text("multiclusterKubeconfigPath", "give a folder"),
    insecureKubeconfigOptions: read("insecureKubeconfigOptions", insecureOptionsOf, new Set()),
    legacyMulticluster: !read("withoutLegacyMulticluster", truthOf, false),
    allocateIps: read("allocateIps", truthOf, true),
    workloadEntrySelection: read("workloadEntrySelection", truthOf, true),
    // istiod's default is false. Here a service joins only if it says so, so there is nothing to guard against.
    multiNetwork: read("multiNetwork", truthOf, true),
    dryRunPolicies: read("dryRunPolicies", truthOf, false),
    meshConfigMaps: {
      own: revision === "default" ? "istio" : `istio-${revision}`,
      shared: read<string | undefined>("sharedMeshConfig", configMapOf, undefined),
    },
    multiRootMesh: read("multiRootMesh", truthOf, false),
    rootConfigMap: read("rootConfigMap", configMapOf, "istio-ca-root-cert"),
    readsLists: read("readsLists", truthOf, true),
    listsConfigMap: read("listsConfigMap", configMapOf, "istio-ca-crl"),
    clusterTrustBundle: read("clusterTrustBundle", truthOf, false),
  };
}

function timeoutOf(value: Given): number {
  if (/^0(ms|s|m|h)?$/.test(value.text)) return 0;
  return parseDurationMs(value.text) ?? refuse(value, "give a duration, as 30s or 1m30s, or 0 to wait for ever");
}

function insecureOptionsOf(value: Given): ReadonlySet<string> {
  const words = commaListOf(value);
  const unknown = words.find((word) => !Object.hasOwn(INSECURE_KUBECONFIG_OPTIONS, word));
  if (unknown === undefined) return new Set(words);
  const right = `use ${Object.keys(INSECURE_KUBECONFIG_OPTIONS).join(", ")}, with commas between`;
  return refuse(value, `${right}; Causeway has no ${printable(unknown, 40)}`);
}

const CONFIG_MAP = /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const configMapOf = (value: Given) => matching(value, CONFIG_MAP, "give the name of a ConfigMap");
