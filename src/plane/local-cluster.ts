import type { Environment } from "../command.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import { inClusterConnection, localConnection, type LocalConnection } from "../kube/local-connection.ts";

/**
 * How to reach the API server of the cluster that we run in.
 * @throws MeshError `absent` if nothing says how, `invalid` for a kubeconfig that cannot be used, naming file and field.
 */
export async function localCluster(config: Config, environment: Environment): Promise<LocalConnection> {
  const { kubeconfig, kubeconfigMayBeAbsent, kubeContext: context } = config;
  const given = kubeconfigMayBeAbsent ? undefined : kubeconfig;
  try {
    return await localConnection({ kubeconfig: given, context }, environment, environment["HOME"] ?? "/");
  } catch (thrown) {
    if (!(thrown instanceof MeshError) || thrown.code !== "absent") throw thrown;
    const pod = kubeconfigMayBeAbsent ? await inClusterConnection(environment) : undefined;
    if (pod !== undefined) return pod;
    throw new MeshError("absent", `${thrown.message}, or serve folders of manifests with --manifests`);
  }
}
