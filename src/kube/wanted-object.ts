import type { ApiRequest, ResourceType } from "./api.ts";
import { pathOf } from "./api.ts";
import type { Fields } from "./fields.ts";

/** A part of one object as we want it. A plain value: equal ones are the same bytes, on every replica. */
export interface WantedObject {
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
  /** Set if the write must fail when somebody else wrote the object since it was read. */
  readonly resourceVersion?: string;
  readonly subresource?: "status";
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Goes with it: an object of the same namespace. */
  readonly owner?: WantedOwner;
  /** All else that is ours in it, but conditions, by its top-level field. What is no longer named is withdrawn. */
  readonly fields?: Fields;
  /** Of its status, sorted by type. */
  readonly conditions?: readonly WantedCondition[];
  /** Conditions of others, which must be said again where a list cannot be owned in parts. */
  readonly othersConditions?: readonly Fields[];
  /** Of a route's status: what we say of each of its parents. */
  readonly parents?: readonly WantedParent[];
  /** What other controllers say of them, which must be said again, as that list is one. */
  readonly othersParents?: readonly Fields[];
  /** True if there is to be no such object: what has `resourceVersion`, and nothing newer, is deleted. */
  readonly gone?: true;
  /** Whether what is there is that already. What we do not watch is unseen, and written again from time to time. */
  readonly found: "same" | "different" | "unseen";
}

export interface WantedOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface WantedParent {
  /** As the route has it. */
  readonly parentRef: Fields;
  readonly controllerName: string;
  /** Sorted by type. */
  readonly conditions: readonly WantedCondition[];
}

export interface WantedCondition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  /** The generation of the object that it speaks of; undefined for kinds that have none. */
  readonly observedGeneration?: number;
  /** When it came to have this status, as the object says; undefined if it only now does. */
  readonly since?: string;
}

/** What a writer reads: a collection is one. */
export interface WantedObjects {
  get(key: string): WantedObject | undefined;
  entries(): Iterable<readonly [string, WantedObject]>;
  observe(
    observer: (batch: readonly { readonly key: string; readonly after: WantedObject | undefined }[]) => void,
  ): Disposable;
}

/** How objects of ours say that they are ours, in `metadata.managedFields`. */
export const FIELD_MANAGER = "causeway";

/** The request that makes it so: a deletion, or server-side apply: what is not in it, and was ours, goes; what is others' stays. */
export function applyRequest(wanted: WantedObject, version: string, wallTime: string): ApiRequest {
  const { type, namespace, name, subresource } = wanted;
  const path = pathOf(type, version, type.namespaced ? namespace : undefined, name);
  // Forced: a value of ours that somebody else set, as another control plane did before us, is ours from now on.
  const query = `fieldManager=${FIELD_MANAGER}&force=true`;
  if (wanted.gone === true) return { method: "DELETE", path, body: preconditions(wanted) };
  return {
    method: "PATCH",
    path: `${path}${subresource === undefined ? "" : `/${subresource}`}?${query}`,
    contentType: "application/apply-patch+yaml",
    body: bodyOf(wanted, version, wallTime),
  };
}

const preconditions = ({ resourceVersion }: WantedObject): Fields => ({
  apiVersion: "v1",
  kind: "DeleteOptions",
  preconditions: { resourceVersion },
});

function bodyOf(wanted: WantedObject, version: string, wallTime: string): Fields {
  const { type, namespace, name, resourceVersion, labels, annotations, owner, fields = {} } = wanted;
  const conditions = [...(wanted.othersConditions ?? []), ...(wanted.conditions ?? []).map(conditionAt(wallTime))];
  const parents = wanted.parents && [...(wanted.othersParents ?? []), ...wanted.parents.map(parentAt(wallTime))];
  const status = {
    ...(fields["status"] as Fields | undefined),
    ...(conditions.length > 0 && { conditions }),
    ...(parents && { parents }),
  };
  return {
    apiVersion: type.group === "" ? version : `${type.group}/${version}`,
    kind: type.kind,
    metadata: {
      name,
      ...(type.namespaced && { namespace }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...(owner !== undefined && { ownerReferences: [owner] }),
    },
    ...fields,
    ...(Object.keys(status).length > 0 && { status }),
  };
}

const parentAt =
  (wallTime: string) =>
  ({ parentRef, controllerName, conditions }: WantedParent): Fields => ({
    parentRef,
    controllerName,
    conditions: conditions.map(conditionAt(wallTime)),
  });

const conditionAt =
  (wallTime: string) =>
  ({ type, status, reason, message, observedGeneration, since }: WantedCondition): Fields => ({
    type,
    status,
    reason,
    message,
    lastTransitionTime: since ?? wallTime,
    ...(observedGeneration !== undefined && { observedGeneration }),
  });
