import type { KubeApi } from "./api.ts";
import { getObject } from "./objects-api.ts";
import type { WantedObject } from "./wanted-object.ts";

/** It may be somebody else's, and nobody knows: it is looked for first. */
export const isUnseen = ({ guard }: WantedObject): boolean => guard !== undefined && guard.uid === undefined;

/**
 * What to write of an object that may be somebody else's: with the identity of ours if it is there; "foreign" if it is
 * not ours. @throws ApiError
 */
export async function lookedUp(
  api: KubeApi,
  wanted: WantedObject,
  version: string,
  signal: AbortSignal,
): Promise<WantedObject | "foreign"> {
  const { type, namespace, name, owner } = wanted;
  const at = { type, version, namespace: type.namespaced ? namespace : undefined, name };
  const there = await getObject(api, at, signal);
  if (there === undefined) return wanted;
  const { uid, ownerReferences: owners } = there.metadata;
  const ours = owner !== undefined && Array.isArray(owners) && owners.some(({ uid }) => uid === owner.uid);
  return ours && uid !== undefined ? { ...wanted, guard: { uid } } : "foreign";
}
