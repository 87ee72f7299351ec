import { type CommandCall, type Flag, listOption, textOption, UsageError } from "../command.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import { openCredentials } from "../kube/credentials.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import { KUBE_LIMITS } from "../kube/limits.ts";
import { localConnection } from "../kube/local-connection.ts";
import { podLogs } from "../kube/pod-logs.ts";
import { PodPages } from "../kube/port-forward.ts";
import { parseLogLevels } from "../log-levels.ts";
import { systemHost } from "../system-host.ts";

/** Flags of every command that goes to clusters as their operator. */
export const CONTEXT_FLAGS: readonly Flag[] = [
  {
    flags: "--contexts <names>",
    description: "contexts of the kubeconfig, commas between; may be repeated",
    repeated: true,
  },
  { flags: "--context <name>", description: "one of them; the current one by default" },
  { flags: "-c, --kubeconfig <file>", description: "which kubeconfig; KUBECONFIG or ~/.kube/config by default" },
];

/** The contexts that were asked for, in their order; one that is undefined is the current one. */
export function namedContexts({ options }: Pick<CommandCall, "options">): readonly (string | undefined)[] {
  const named = [...listOption(options, "contexts"), textOption(options, "context")]
    .flatMap((list) => list?.split(",") ?? [])
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const twice = named.find((name, at) => named.indexOf(name) !== at);
  if (twice !== undefined) throw new UsageError(`--contexts names ${twice} twice: name each cluster once`);
  return named.length === 0 ? [undefined] : named;
}

/** @throws UsageError or MeshError, naming the context and the file; nothing is asked of any cluster. */
export function openContexts(call: CommandCall): Promise<readonly ClusterAccess[]> {
  return Promise.all(namedContexts(call).map((context) => openContext(call, context)));
}

async function openContext({ options, environment }: CommandCall, context: string | undefined): Promise<ClusterAccess> {
  const file = { kubeconfig: textOption(options, "kubeconfig"), context };
  const { connection } = await localConnection(file, environment, environment["HOME"] ?? "/");
  const host = systemHost({ logLevels: parseLogLevels("multicluster", "none"), logAsJson: false });
  const credentials = openCredentials(host.clock, connection.user);
  const api = new HttpKubeApi(host, connection, {}, credentials);
  const server = { clock: host.clock, connection, credentials, limits: KUBE_LIMITS };
  const pages = new PodPages(server, context === undefined ? api.server : `context ${context}`);
  return {
    context: context ?? "",
    api,
    page: (pod, path, signal) => pages.get(pod, path, signal),
    logs: (pod, request, signal) => podLogs(api, pod, request, signal),
    async close() {
      pages.close();
      await api.close();
    },
  };
}
