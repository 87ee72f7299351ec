import { join } from "node:path";
import { type CommandCall, type Environment, type Flag, type Options, textOption, UsageError } from "../command.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import { localConnection } from "../kube/local-connection.ts";
import { parseLogLevels } from "../log-levels.ts";
import { FolderStore } from "../manager/store/folder-store.ts";
import { SecretStore } from "../manager/store/secret-store.ts";
import type { TrustStore } from "../manager/store/store.ts";
import { type ClusterId, isClusterId } from "../names.ts";
import { systemHost } from "../system-host.ts";

/** Where a trust manager's Secrets are, unless it is told otherwise. */
const TRUST_NAMESPACE = "gloo-mesh";

/** Where the manager of a state folder keeps its documents. */
export const trustFolder = (stateDir: string): string => join(stateDir, "trust");

/** Which trust manager a command is about, by where that keeps what it has to keep. */
export const TRUST_STORE_FLAGS: readonly Flag[] = [
  { flags: "--state <dir>", description: "the state folder of the trust manager, if it has one" },
  { flags: "-c, --kubeconfig <file>", description: "the cluster of the trust manager; KUBECONFIG by default" },
  { flags: "--context <name>", description: "which context of that file; its current one by default" },
  { flags: "--trust-namespace <name>", description: `of the manager's Secrets there; ${TRUST_NAMESPACE} by default` },
];

export const CLUSTER_FLAG: Flag = { flags: "--cluster <name>", description: "which cluster it is about" };

/** A store, and what it holds open. */
export interface OpenedStore {
  readonly store: TrustStore;
  close(): Promise<void>;
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** @throws UsageError, or MeshError if there is no cluster to reach. */
export async function openTrustStore(options: Options, environment: Environment): Promise<OpenedStore> {
  const state = textOption(options, "state");
  const [kubeconfig, context] = [textOption(options, "kubeconfig"), textOption(options, "context")];
  const namespace = textOption(options, "trustNamespace");
  if (state === "") throw new UsageError("--state is empty: give the state folder of the trust manager");
  if (state !== undefined && (kubeconfig ?? context ?? namespace) !== undefined)
    throw new UsageError("--state is a folder, and --kubeconfig, --context and --trust-namespace a cluster: give one");
  if (state !== undefined) return { store: new FolderStore(trustFolder(state)), close: () => Promise.resolve() };
  if (namespace !== undefined && !LABEL.test(namespace))
    throw new UsageError(`--trust-namespace is "${namespace}": give the name of a namespace`);
  const { connection } = await localConnection({ kubeconfig, context }, environment, environment["HOME"] ?? "/");
  const host = systemHost({ logLevels: parseLogLevels("trust", "none"), logAsJson: false });
  const api = new HttpKubeApi(host, connection);
  return { store: new SecretStore(api, namespace ?? TRUST_NAMESPACE), close: () => api.close() };
}

/** @throws UsageError */
export function clusterFlagOf({ options }: Pick<CommandCall, "options">): ClusterId {
  const text = textOption(options, "cluster");
  if (text === undefined || text === "") throw new UsageError("say which cluster with --cluster NAME");
  if (isClusterId(text)) return text;
  throw new UsageError(`--cluster is "${text.slice(0, 120)}": use letters, digits, '.', '-' and '_'`);
}
