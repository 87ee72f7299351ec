import type { KubeApi } from "../kube/api.ts";
import type { LogRequest } from "../kube/pod-logs.ts";
import type { PodPort } from "../kube/port-forward.ts";

export type { LogRequest } from "../kube/pod-logs.ts";
export type { PodPort } from "../kube/port-forward.ts";

/** A cluster as its operator reaches it: with a context of a kubeconfig. */
export interface ClusterAccess {
  /** As in the kubeconfig; empty for the current one. */
  readonly context: string;
  readonly api: KubeApi;
  /**
   * What the admin port of a pod answers to a GET, through the API server's port-forward: pages are for callers on the
   * pod itself. Bounded in time and in size.
   * @throws MeshError naming the context, the pod and the port: `absent` if the pod answers 404, `denied` if we may not
   *   forward ports, else `unavailable`, `timeout` or `exhausted`.
   */
  page(pod: PodPort, path: string, signal: AbortSignal): Promise<string>;
  /** What a container of a pod wrote. @throws ApiError; it takes the verb get of pods/log. */
  logs(pod: Pick<PodPort, "namespace" | "name">, request: LogRequest, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}
