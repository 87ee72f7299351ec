import { access, readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { delimiter, dirname, join, resolve } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { ClusterConnection } from "./connection.ts";
import { connectionOf } from "./kubeconfig.ts";
import { type KubeconfigFile, mergeKubeconfigs, parseKubeconfig } from "./kubeconfig-file.ts";

/** The process's variables; only those named here are read. */
type Environment = Readonly<Record<string, string | undefined>>;

export interface LocalConnection {
  readonly connection: ClusterConnection;
  /** For the log, as `in-cluster` or `--kubeconfig /home/ann/.kube/config`. */
  readonly source: string;
  /** Our pod's; undefined if a kubeconfig was read. */
  readonly namespace: string | undefined;
}

const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * How to reach the API server of the cluster that we run in.
 * @returns undefined if we run in none.
 * @throws MeshError `absent` if only half of what a pod has is there, naming the other half.
 */
export async function inClusterConnection(
  environment: Environment,
  { folder = SERVICE_ACCOUNT_FOLDER }: { readonly folder?: string } = {},
): Promise<LocalConnection | undefined> {
  const [host, port] = [environment["KUBERNETES_SERVICE_HOST"] ?? "", environment["KUBERNETES_SERVICE_PORT"] ?? ""];
  const [ca, token, namespace] = ["ca.crt", "token", "namespace"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const missing = [
    ...(host === "" ? ["KUBERNETES_SERVICE_HOST"] : []),
    ...(port === "" ? ["KUBERNETES_SERVICE_PORT"] : []),
    ...(await absentOf([ca, token])),
  ];
  if (missing.length === 4) return undefined;
  if (missing.length > 0)
    throw new MeshError("absent", `we seem to run in a pod that lacks ${missing.join(" and ")}; ${HALF_A_POD}`);
  return {
    connection: {
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      ca: { file: ca },
      insecureSkipTlsVerify: false,
      tlsServerName: undefined,
      user: { login: { kind: "token", token: { file: token } } },
      refusedAddresses: [],
    },
    source: "in-cluster",
    namespace: (await readFile(namespace, "utf8").catch(() => "")).trim() || undefined,
  };
}

const HALF_A_POD = "set automountServiceAccountToken to true on the pod and its service account, or name a kubeconfig";

async function absentOf(paths: readonly string[]): Promise<readonly string[]> {
  const present = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, at) => present[at] !== true);
}

/**
 * The connection to the local cluster, from the first of: `--kubeconfig`, KUBECONFIG, the pod we run in,
 * `~/.kube/config`.
 * @param home the user's home folder.
 * @throws MeshError `invalid` or `absent`, naming file, line and field.
 */
export async function localConnection(
  options: { readonly kubeconfig?: string | undefined; readonly context?: string | undefined },
  environment: Environment,
  home: string,
  pod: { readonly folder?: string } = {},
): Promise<LocalConnection> {
  const { kubeconfig, context } = options;
  if (kubeconfig !== undefined)
    return fromFiles([await kubeconfigAt(kubeconfig)], `--kubeconfig ${kubeconfig}`, context);
  const listed = (environment["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  if (listed.length > 0) return fromFiles(await kubeconfigsAt(listed), `KUBECONFIG ${listed.join(":")}`, context);
  // A context can only be meant of a kubeconfig.
  const inCluster = context === undefined ? await inClusterConnection(environment, pod) : undefined;
  if (inCluster !== undefined) return inCluster;
  const own = join(home, ".kube", "config");
  const files = await kubeconfigsAt([own]).catch((thrown: unknown) => {
    if (!(thrown instanceof MeshError) || thrown.code !== "absent") throw thrown;
    throw new MeshError(
      "absent",
      `there is no cluster to read: we run in no pod, and there is no ${own}; give --kubeconfig or set KUBECONFIG`,
    );
  });
  return fromFiles(files, own, context);
}

function fromFiles(files: readonly KubeconfigFile[], source: string, context: string | undefined): LocalConnection {
  const connection = connectionOf(mergeKubeconfigs(files), { trusted: true, context });
  return { connection, source, namespace: undefined };
}

/** Of a list, files that are not there are passed over, as kubectl does, but not all of them. */
async function kubeconfigsAt(paths: readonly string[]): Promise<readonly KubeconfigFile[]> {
  const files: KubeconfigFile[] = [];
  let absent: MeshError | undefined;
  for (const path of paths) {
    try {
      files.push(await kubeconfigAt(path));
    } catch (thrown) {
      if (!(thrown instanceof MeshError) || thrown.code !== "absent") throw thrown;
      absent ??= thrown;
    }
  }
  if (files.length === 0 && absent !== undefined) throw absent;
  return files;
}

async function kubeconfigAt(path: string): Promise<KubeconfigFile> {
  return parseKubeconfig(await contentOf(path), path, dirname(resolve(path)));
}

async function contentOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    throw new MeshError(absent ? "absent" : "invalid", `the kubeconfig ${path} cannot be read: ${messageOf(thrown)}`);
  }
}
