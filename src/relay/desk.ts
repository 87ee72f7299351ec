import type { ClusterId } from "../names.ts";
import type { ClusterReport, Hello, IntermediateRequest, ManagerMessage, SignedIntermediate } from "./messages.ts";

/** What the relay asks of the trust manager, and tells it. A cluster is who its client certificate says, and nothing else. */
export interface RelayDesk {
  /** Why a cluster may not call, as that nobody registered it: names the cluster and what to do. Undefined if it may. */
  whyNot(cluster: ClusterId): string | undefined;
  /** What it is to be told now: its order, or why there is none. Undefined until that is known. */
  wordFor(cluster: ClusterId): Extract<ManagerMessage, { kind: "order" | "refusal" }> | undefined;
  /** Calls `observer` after `whyNot` or `wordFor` of any cluster may have changed. */
  observe(observer: () => void): Disposable;
  /**
   * @throws MeshError `invalid` or `denied` for what will not be signed, `unavailable` or `exhausted` for what may be later;
   *   with `retryAfterMs` in its detail if that is known.
   */
  sign(cluster: ClusterId, request: IntermediateRequest, signal: AbortSignal): Promise<SignedIntermediate>;
  /** A stream begins, with the address that it comes from. */
  connected(cluster: ClusterId, hello: Hello, from: string): void;
  reported(cluster: ClusterId, report: ClusterReport): void;
  /** No stream of the cluster is open any more. */
  disconnected(cluster: ClusterId): void;
  /** Somebody was turned away; `cluster` is whom it claimed to be, proven or not, and empty if it did not say. */
  refused(cluster: string, from: string, why: string): void;
  /** Several control planes seem to be this cluster: a sentence with their addresses. Undefined once that is over. */
  contested(cluster: ClusterId, why: string | undefined): void;
}
