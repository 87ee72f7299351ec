import type { ObjectSink } from "../../kube/object.ts";
import type { Problem } from "../../registry/model/problem.ts";
import { type ObjectName, TRUST_KINDS } from "../policy.ts";

export const TRUST_GROUP = "admin.gloo.solo.io";

/** Where the trust manager's objects are: an API server, or a folder of manifests. */
export interface ObjectFeed {
  /** As `the folder trust/` or `https://10.96.0.1:443`. */
  readonly title: string;
  /**
   * Resolves once the sink has all that there is; from then on it hears of changes.
   * @throws MeshError if there is no hope of that, as of a folder that is not there, or if `signal` ends it.
   */
  start(sink: ObjectSink, signal: AbortSignal): Promise<void>;
  /** Calls `observer` after what is in a Secret may have changed; where nobody tells us, never. */
  onSecrets(observer: () => void): void;
  /** What a Secret holds, decoded. @throws MeshError `unavailable` or `denied` if nobody can tell. */
  secret(name: ObjectName, signal: AbortSignal): Promise<ReadonlyMap<string, string> | "absent">;
  /** What keeps it from hearing of objects, or that is no object at all. */
  problems(): readonly Problem[];
  /** Idempotent. */
  close(): Promise<void>;
}

/** Whether an object is one of those that a trust manager goes by. */
export const isTrustKind = (kind: string, apiVersion: string): boolean =>
  apiVersion.startsWith(`${TRUST_GROUP}/`) && TRUST_KINDS.some((known) => known === kind);
