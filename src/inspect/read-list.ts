import { messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import type { Selection } from "../kube/list-paths.ts";
import type { KubeObject } from "../kube/object.ts";
import type { KindFacts } from "./cluster-facts.ts";
import { reducedObject } from "./reduced-object.ts";

const PAGE_OBJECTS = 500;
/** Half a million objects: what takes longer is cut short by the time that a cluster has. */
const PAGES_MAX = 1_000;

export interface Bounds {
  readonly signal: AbortSignal;
  /** For each answer of an API server. */
  readonly callMs: number;
}

/** All objects of a selection, page by page and reduced; or why not. Never throws. */
export async function readList(api: KubeApi, selection: Selection, bounds: Bounds): Promise<KindFacts> {
  const { type } = selection;
  for (const version of type.versions) {
    try {
      return { objects: await listOf(api, selection, version, bounds) };
    } catch (thrown) {
      if (!(thrown instanceof ApiError) || thrown.status !== 404) return { why: messageOf(thrown), absent: false };
    }
  }
  const why = `${api.server} serves no ${type.plural} of ${type.group || "the core"}`;
  return { why, absent: type.group !== "" };
}

/** @throws ApiError */
async function listOf(
  api: KubeApi,
  selection: Selection,
  version: string,
  { signal, callMs }: Bounds,
): Promise<readonly KubeObject[]> {
  const { type, labelSelector, fieldSelector } = selection;
  const objects: KubeObject[] = [];
  const query = new URLSearchParams({ limit: `${type.pageObjects ?? PAGE_OBJECTS}` });
  if (labelSelector !== undefined) query.set("labelSelector", labelSelector);
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  const apiVersion = type.group === "" ? version : `${type.group}/${version}`;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const path = `${pathOf(type, version)}?${query.toString()}`;
    const answer = await api.call({ method: "GET", path, deadlineMs: callMs }, signal);
    const { items, next } = pageOf(api, path, answer);
    for (const item of items) if (hasName(item)) objects.push(reducedObject({ ...item, apiVersion, kind: type.kind }));
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
