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
  /**
   * A list in its status whose items have conditions of their own, as `listeners` of a Gateway and `parents` of a route.
   * What other controllers say there must be said again, as the list is one.
   */
  readonly parts?: {
    readonly field: string;
    readonly items: readonly WantedPart[];
    readonly others?: readonly Fields[];
  };
  /** True if there is to be no such object: what has `resourceVersion`, and nothing newer, is deleted. */
  readonly gone?: true;
  /**
   * Set if an object of that name may be somebody else's, which then is left as it is: ours has `owner` among its
   * owners. `uid` is that of ours, undefined if it was not seen: then it is looked for before it is made.
   */
  readonly guard?: { readonly uid: string | undefined };
  /** Whether what is there is that already. What we do not watch is unseen, and written again from time to time. */
  readonly found: "same" | "different" | "unseen";
}

export interface WantedOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** An item of a list in a status: what it says besides its conditions. */
export interface WantedPart {
  readonly fields: Fields;
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
const FIELD_MANAGER = "causeway";

/** Where it is, or is to be. */
const wantedPath = ({ type, namespace, name }: WantedObject, version: string): string =>
  pathOf(type, version, type.namespaced ? namespace : undefined, name);

/** The request that makes it so: a deletion, or server-side apply: what is not in it, and was ours, goes; what is others' stays. */
export function applyRequest(wanted: WantedObject, version: string, wallTime: string): ApiRequest {
  const { subresource, guard } = wanted;
  const path = wantedPath(wanted, version);
  // Forced: a value of ours that somebody else set, as another control plane did before us, is ours from now on. What is
  // not there must be nobody's: an object that somebody makes meanwhile says other things, and is a conflict.
  const force = guard === undefined || guard.uid !== undefined;
  const query = `fieldManager=${FIELD_MANAGER}&force=${force}`;
  if (wanted.gone === true) return { method: "DELETE", path, body: preconditions(wanted) };
  return {
    method: "PATCH",
    path: `${path}${subresource === undefined ? "" : `/${subresource}`}?${query}`,
    contentType: "application/apply-patch+yaml",
    body: bodyOf(wanted, version, wallTime),
  };
}

const preconditions = ({ resourceVersion, guard }: WantedObject): Fields => ({
  apiVersion: "v1",
  kind: "DeleteOptions",
  preconditions: { resourceVersion, ...(guard?.uid !== undefined && { uid: guard.uid }) },
});

function bodyOf(wanted: WantedObject, version: string, wallTime: string): Fields {
  const { type, namespace, name, resourceVersion, labels, annotations, owner, guard, parts, fields = {} } = wanted;
  const at = conditionAt(wallTime);
  const conditions = [...(wanted.othersConditions ?? []), ...(wanted.conditions ?? []).map(at)];
  const items = (parts?.items ?? []).map(({ fields, conditions }) => ({ ...fields, conditions: conditions.map(at) }));
  const status = {
    ...(fields["status"] as Fields | undefined),
    ...(conditions.length > 0 && { conditions }),
    ...(parts && { [parts.field]: [...(parts.others ?? []), ...items] }),
  };
  return {
    apiVersion: type.group === "" ? version : `${type.group}/${version}`,
    kind: type.kind,
    metadata: {
      name,
      ...(type.namespaced && { namespace }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(guard?.uid !== undefined && { uid: guard.uid }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...(owner !== undefined && { ownerReferences: [owner] }),
    },
    ...fields,
    ...(Object.keys(status).length > 0 && { status }),
  };
}

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
