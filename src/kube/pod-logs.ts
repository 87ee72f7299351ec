import type { KubeApi } from "./api.ts";

/** Which part of what a container wrote. */
export interface LogRequest {
  /** Needed if the pod has several. */
  readonly container?: string | undefined;
  /** How far back; all that the kubelet has, by default. */
  readonly sinceSeconds?: number | undefined;
  /** The last lines of that. */
  readonly tailLines?: number | undefined;
  /** What is longer than this ends there. */
  readonly limitBytes: number;
  /** Of the container before its last restart. */
  readonly previous?: boolean | undefined;
}

/** A pod's log, through the API server. @throws ApiError; the verb that it takes is get of pods/log. */
export async function podLogs(
  api: KubeApi,
  pod: { readonly namespace: string; readonly name: string },
  { container, sinceSeconds, tailLines, limitBytes, previous }: LogRequest,
  signal?: AbortSignal,
): Promise<string> {
  const query = new URLSearchParams({
    ...(container !== undefined && { container }),
    ...(sinceSeconds !== undefined && { sinceSeconds: String(sinceSeconds) }),
    ...(tailLines !== undefined && { tailLines: String(tailLines) }),
    ...(previous === true && { previous: "true" }),
    limitBytes: String(limitBytes),
  });
  const at = `/api/v1/namespaces/${encodeURIComponent(pod.namespace)}/pods/${encodeURIComponent(pod.name)}/log`;
  return String((await api.call({ method: "GET", path: `${at}?${query}`, reads: "text" }, signal)) ?? "");
}
