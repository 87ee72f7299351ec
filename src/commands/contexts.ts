import { type CommandCall, type Flag, listOption, textOption, UsageError } from "../command.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import { localConnection } from "../kube/local-connection.ts";
import { parseLogLevels } from "../log-levels.ts";
import { systemHost } from "../system-host.ts";
import { MeshError } from "../errors.ts";

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
  const api = new HttpKubeApi(host, connection);
  return {
    context: context ?? "",
    api,
    page: () =>
      Promise.reject(new MeshError("unsupported", `${api.server}: debug pages cannot be reached by port-forward here`)),
    close: () => api.close(),
  };
}
