import { ApiError, type KubeApi, pathOf } from "./api.ts";
import { isFields } from "./fields.ts";
import type { Selection } from "./list-paths.ts";
import type { KubeObject } from "./object.ts";

const PAGE_OBJECTS = 500;
/** Half a million objects: what takes longer is cut short by the time that a cluster has. */
const PAGES_MAX = 1_000;

export interface Bounds {
  readonly signal: AbortSignal;
  /** For each answer of an API server, in milliseconds. */
  readonly callMs: number;
}

/**
 * Reads a selection once, page by page, in the best version of its kind that the server has; what `reduce` leaves of each
 * object is kept. What is to be followed is for a reflector.
 * @returns undefined if the server has no such kind.
 * @throws ApiError if there is no answer, or one that is no list.
 */
export async function listObjects(
  api: KubeApi,
  selection: Selection,
  bounds: Bounds,
  reduce: (object: KubeObject) => KubeObject,
): Promise<readonly KubeObject[] | undefined> {
  for (const version of selection.type.versions) {
    try {
      return await listVersion(api, selection, version, bounds, reduce);
    } catch (thrown) {
      if (!(thrown instanceof ApiError) || thrown.status !== 404) throw thrown;
    }
  }
  return undefined;
}

async function listVersion(
  api: KubeApi,
  { type, namespace, labelSelector, fieldSelector }: Selection,
  version: string,
  { signal, callMs }: Bounds,
  reduce: (object: KubeObject) => KubeObject,
): Promise<readonly KubeObject[]> {
  const query = new URLSearchParams({ limit: `${type.pageObjects ?? PAGE_OBJECTS}` });
  if (labelSelector !== undefined) query.set("labelSelector", labelSelector);
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  // The items of a list say neither.
  const apiVersion = type.group === "" ? version : `${type.group}/${version}`;
  const objects: KubeObject[] = [];
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const path = `${pathOf(type, version, namespace)}?${query.toString()}`;
    const { items, next } = pageOf(api, path, await api.call({ method: "GET", path, deadlineMs: callMs }, signal));
    for (const item of items) if (hasName(item)) objects.push(reduce({ ...item, apiVersion, kind: type.kind }));
    if (next === "") return objects;
    query.set("continue", next);
  }
  throw new ApiError("exhausted", `${api.server} has more than ${PAGES_MAX} pages of ${type.plural}`, 0, "");
}

function pageOf(
  api: KubeApi,
  path: string,
  answer: unknown,
): { readonly items: readonly unknown[]; readonly next: string } {
  if (!isFields(answer) || !Array.isArray(answer["items"]))
    throw new ApiError("unavailable", `GET ${path} at ${api.server} did not answer with a list`, 0, "");
  const next = isFields(answer["metadata"]) ? answer["metadata"]["continue"] : undefined;
  return { items: answer["items"] as readonly unknown[], next: typeof next === "string" ? next : "" };
}

function hasName(item: unknown): item is KubeObject {
  if (!isFields(item) || !isFields(item["metadata"])) return false;
  const { name, labels, annotations } = item["metadata"];
  return typeof name === "string" && areTexts(labels) && areTexts(annotations);
}

const areTexts = (map: unknown): boolean =>
  map === undefined || (isFields(map) && Object.values(map).every((value) => typeof value === "string"));
