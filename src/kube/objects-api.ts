import { ApiError, type ApiRequest, type KubeApi, pathOf, type ResourceType } from "./api.ts";
import { isFields } from "./fields.ts";
import type { KubeObject } from "./object.ts";

/** One object of a server; without a namespace if it is cluster-wide. */
export interface ObjectAddress {
  readonly type: ResourceType;
  readonly version: string;
  readonly namespace?: string | undefined;
  readonly name: string;
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

const addressPath = ({ type, version, namespace, name }: ObjectAddress): string =>
  pathOf(type, version, namespace, name);

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

function isObject(value: unknown): value is KubeObject {
  if (!isFields(value) || !isFields(value["metadata"])) return false;
  return [value["apiVersion"], value["kind"], value["metadata"]["name"]].every((text) => typeof text === "string");
}

function unexpected(api: KubeApi, method: string, path: string, wanted: string): ApiError {
  return new ApiError("unavailable", `${method} ${path} at ${api.server} did not answer with ${wanted}`, 0, "");
}
