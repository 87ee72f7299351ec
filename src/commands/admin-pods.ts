import { type CommandCall, UsageError } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { ClusterAccess, PodPort } from "../inspect/cluster-access.ts";
import { isControlPlanePod } from "../inspect/mesh-pods.ts";
import { ApiError } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { namedContexts, openContexts } from "./contexts.ts";

/** Of an istiod that nobody configured otherwise. */
const ADMIN_PORT = 15_014;
/** More replicas than anybody runs. */
const PODS_MAX = 50;
const SYSTEM_NAMESPACE = "istio-system";

/**
 * What each running control plane of each context answers to `path`, which must be JSON: replicas have different clients.
 * @throws MeshError naming the context if one has none, or if one does not answer.
 */
export async function askAllPods(call: CommandCall, path: string): Promise<readonly unknown[]> {
  return withClusters(call, async (clusters) => {
    const answers = clusters.map(async (access) => {
      const pods = await controlPlanePods(call, access);
      return Promise.all(pods.map((pod) => askPod(call, access, pod, path)));
    });
    return (await Promise.all(answers)).flat();
  });
}

/**
 * What one control plane of the context answers to `path`: its replicas all hold the same. One that does not answer is
 * passed over for the next.
 * @throws UsageError if several contexts are named, MeshError as `askAllPods` does.
 */
export async function askOnePod(call: CommandCall, path: string): Promise<unknown> {
  requireOneContext(call);
  return withClusters(call, async ([access]) => {
    const pods = await controlPlanePods(call, access!);
    for (const pod of pods.slice(0, -1)) {
      const answer = await askPod(call, access!, pod, path).catch(() => undefined);
      if (answer !== undefined) return answer;
    }
    return askPod(call, access!, pods.at(-1)!, path);
  });
}

/** @throws UsageError */
export function requireOneContext(call: CommandCall): void {
  const named = namedContexts(call);
  if (named.length > 1)
    throw new UsageError(`--contexts names ${named.join(" and ")}: what this shows is one cluster's, so name one`);
}

async function withClusters<T>(call: CommandCall, ask: (clusters: readonly ClusterAccess[]) => Promise<T>): Promise<T> {
  const clusters = await openContexts(call);
  try {
    return await ask(clusters);
  } finally {
    await Promise.all(clusters.map((access) => access.close()));
  }
}

async function askPod(call: CommandCall, access: ClusterAccess, pod: PodPort, path: string): Promise<unknown> {
  const where = `${nameOf(access)}: pod ${pod.namespace}/${pod.name}`;
  call.progress(`asking ${where}`);
  const text = await access.page(pod, path, call.signal);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new MeshError("unavailable", `${where} did not answer ${path} with JSON: is it a control plane?`);
  }
}

export const nameOf = ({ context, api }: ClusterAccess): string => (context === "" ? api.server : `context ${context}`);

/** By name; at least one. @throws MeshError */
export async function controlPlanePods(
  call: Pick<CommandCall, "progress" | "signal">,
  access: ClusterAccess,
): Promise<readonly PodPort[]> {
  const where = nameOf(access);
  call.progress(`looking for control planes in ${where}`);
  const pods = await listPods(access, call.signal).catch((thrown: unknown) => {
    throw new MeshError(
      "unavailable",
      `${where}: control planes cannot be found: ${messageOf(thrown)}`,
      {},
      { cause: thrown },
    );
  });
  const running = pods.filter(isControlPlanePod).filter(isRunning).slice(0, PODS_MAX);
  if (running.length > 0) return running.map(adminPortOf);
  const why = "no running pod has the label app=istiod";
  throw new MeshError("absent", `${where}: ${why}; is a control plane installed there?`);
}

/** In all namespaces, or in the usual one for those who may look at no other. */
async function listPods({ api }: ClusterAccess, signal: AbortSignal): Promise<readonly KubeObject[]> {
  const list = async (under: string): Promise<readonly KubeObject[]> => {
    const path = `/api/v1${under}/pods?labelSelector=app%3Distiod&limit=500`;
    const answer = await api.call({ method: "GET", path }, signal);
    const items = isFields(answer) ? answer["items"] : undefined;
    return Array.isArray(items) ? (items as readonly KubeObject[]) : [];
  };
  return list("").catch((thrown: unknown) => {
    if (thrown instanceof ApiError && thrown.status === 403) return list(`/namespaces/${SYSTEM_NAMESPACE}`);
    throw thrown;
  });
}

function isRunning(pod: KubeObject): boolean {
  const status = pod["status"];
  return isFields(status) && status["phase"] === "Running" && pod.metadata.deletionTimestamp === undefined;
}

function adminPortOf({ metadata: { name, namespace = "", annotations } }: KubeObject): PodPort {
  const said = Number(annotations?.["prometheus.io/port"]);
  return { namespace, name, port: Number.isInteger(said) && said > 0 && said < 65_536 ? said : ADMIN_PORT };
}
