import type { KubeApi } from "../kube/api.ts";

/** A cluster as its operator reaches it: with a context of a kubeconfig. */
export interface ClusterAccess {
  /** As in the kubeconfig; empty for the current one. */
  readonly context: string;
  readonly api: KubeApi;
  /**
   * What the admin port of a pod answers to a GET, through the API server's port-forward: pages are for callers on the
   * pod itself.
   * @throws MeshError `unavailable`, naming the context, the pod and the port.
   */
  page(pod: PodPort, path: string, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export interface PodPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}
