import { HalfDoneError, MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf, type ResourceType } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";

/** One object to delete, as it was when it was judged. */
export interface Deletion {
  readonly api: KubeApi;
  /** As `cluster east (context kind-east)`. */
  readonly where: string;
  readonly type: ResourceType;
  readonly object: KubeObject;
}

export const deletionName = ({ where, object: { kind, metadata } }: Omit<Deletion, "api" | "type">): string =>
  `${where}: ${kind} ${metadata.namespace}/${metadata.name}`;

/** One after the other; what changed since it was judged stays. @throws HalfDoneError saying what was deleted before. */
export async function deleteAll(
  deletions: readonly Deletion[],
  onDone: (done: Deletion) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const [at, deletion] of deletions.entries()) {
    try {
      await deleteOne(deletion, signal);
    } catch (thrown) {
      const done = deletions.slice(0, at).map(deletionName).join(", ") || "nothing";
      const why = `${deletionName(deletion)} could not be deleted: ${messageOf(thrown)}`;
      throw new HalfDoneError(MeshError.from(thrown).code, `${why}. Deleted before: ${done}`);
    }
    onDone(deletion);
  }
}

async function deleteOne({ api, type, object }: Deletion, signal: AbortSignal): Promise<void> {
  const { apiVersion, metadata } = object;
  const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
  const { uid, resourceVersion } = metadata;
  const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
  const path = pathOf(type, version, metadata.namespace, metadata.name);
  try {
    await api.call({ method: "DELETE", path, body, deadlineMs: 10_000 }, signal);
  } catch (thrown) {
    // Somebody else was faster.
    if (!(thrown instanceof ApiError && thrown.status === 404)) throw thrown;
  }
}
