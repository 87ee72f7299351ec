import { ApiError, type ApiRequest, type KubeApi, pathOf, type ResourceType } from "./api.ts";
import type { KubeObject } from "./object.ts";

/** One object of a server; without a namespace if it is cluster-wide. */
export interface ObjectAddress {
  readonly type: ResourceType;
  readonly version: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Who writes, by which the server tells whose each field is. */
export interface ApplyOptions {
  readonly fieldManager: string;
  /** Takes fields from other managers, where applying fails with `conflict` otherwise. */
  readonly force?: boolean;
}

/** One step of RFC 6902. */
export interface JsonPatchStep {
  readonly op: "add" | "remove" | "replace" | "test" | "move" | "copy";
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** Undefined if there is none. All functions here throw ApiError for anything else than what they name. */
export async function getObject(
  api: KubeApi,
  at: ObjectAddress,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  return unlessAbsent(() => callForObject(api, { method: "GET", path: addressPath(at) }, signal));
}

/** @throws ApiError `conflict` if there is one of that name. */
export async function createObject(
  api: KubeApi,
  at: Omit<ObjectAddress, "name">,
  object: object,
  signal?: AbortSignal,
): Promise<KubeObject> {
  const path = pathOf(at.type, at.version, at.namespace);
  return callForObject(api, { method: "POST", path, body: object }, signal);
}

/** @throws ApiError `conflict` if `object` names a resource version, and it has changed since. */
export async function replaceObject(
  api: KubeApi,
  at: ObjectAddress,
  object: object,
  signal?: AbortSignal,
): Promise<KubeObject> {
  return callForObject(api, { method: "PUT", path: addressPath(at), body: object }, signal);
}

/** Server-side apply: what `object` says is so afterwards, and what we said before and say no more is gone. */
export async function applyObject(
  api: KubeApi,
  at: ObjectAddress,
  object: object,
  options: ApplyOptions,
  signal?: AbortSignal,
): Promise<KubeObject> {
  return apply(api, addressPath(at), object, options, signal);
}

/** Server-side apply of the status alone; `object` needs apiVersion, kind, metadata.name and status. */
export async function applyStatus(
  api: KubeApi,
  at: ObjectAddress,
  object: object,
  options: ApplyOptions,
  signal?: AbortSignal,
): Promise<KubeObject> {
  return apply(api, `${addressPath(at)}/status`, object, options, signal);
}

export async function patchObject(
  api: KubeApi,
  at: ObjectAddress,
  steps: readonly JsonPatchStep[],
  signal?: AbortSignal,
): Promise<KubeObject> {
  const contentType = "application/json-patch+json";
  return callForObject(api, { method: "PATCH", path: addressPath(at), body: steps, contentType }, signal);
}

/**
 * @param only of this uid or this version; ApiError `conflict` if it is another one now.
 * @returns false if there was none.
 */
export async function deleteObject(
  api: KubeApi,
  at: ObjectAddress,
  only: { readonly uid?: string; readonly resourceVersion?: string } = {},
  signal?: AbortSignal,
): Promise<boolean> {
  const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: only };
  const deleted = async (): Promise<true> => {
    await api.call({ method: "DELETE", path: addressPath(at), body }, signal);
    return true;
  };
  return (await unlessAbsent(deleted)) ?? false;
}

/** Which of the versions that we read the server serves, the best first; undefined if none: its CRD is not there. */
export async function discover(api: KubeApi, type: ResourceType, signal?: AbortSignal): Promise<string | undefined> {
  for (const version of type.versions) {
    const path = type.group === "" ? `/api/${version}` : `/apis/${type.group}/${version}`;
    const list = await unlessAbsent(() => api.call({ method: "GET", path }, signal));
    if (list !== undefined && resourcesIn(api, path, list).has(type.plural)) return version;
  }
  return undefined;
}

function resourcesIn(api: KubeApi, path: string, list: unknown): ReadonlySet<unknown> {
  const resources = isFields(list) ? list["resources"] : undefined;
  // An answer that says nothing is no evidence that something is absent.
  if (!Array.isArray(resources)) throw unexpected(api, "GET", path, "a list of resources");
  return new Set(resources.map((resource: unknown) => (isFields(resource) ? resource["name"] : undefined)));
}

const addressPath = ({ type, version, namespace, name }: ObjectAddress): string =>
  pathOf(type, version, namespace, name);

function apply(
  api: KubeApi,
  path: string,
  object: object,
  { fieldManager, force = false }: ApplyOptions,
  signal: AbortSignal | undefined,
): Promise<KubeObject> {
  const query = `fieldManager=${encodeURIComponent(fieldManager)}${force ? "&force=true" : ""}`;
  const contentType = "application/apply-patch+yaml";
  return callForObject(api, { method: "PATCH", path: `${path}?${query}`, body: object, contentType }, signal);
}

async function callForObject(api: KubeApi, request: ApiRequest, signal?: AbortSignal): Promise<KubeObject> {
  const answer = await api.call(request, signal);
  if (!isObject(answer))
    throw unexpected(api, request.method, request.path, "an object with apiVersion, kind and name");
  return answer;
}

async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 404) return undefined;
    throw thrown;
  }
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isObject(value: unknown): value is KubeObject {
  if (!isFields(value) || !isFields(value["metadata"])) return false;
  return [value["apiVersion"], value["kind"], value["metadata"]["name"]].every((text) => typeof text === "string");
}

function unexpected(api: KubeApi, method: string, path: string, wanted: string): ApiError {
  return new ApiError("unavailable", `${method} ${path} at ${api.server} did not answer with ${wanted}`, 0, "");
}
