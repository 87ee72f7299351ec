import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, type ApiRequest, type KubeApi } from "../../src/kube/api.ts";
import { listObjects } from "../../src/kube/list-objects.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { CONFIG_MAPS, SERVICE_ENTRIES } from "../../src/kube/resource-types.ts";

/** A server that answers with `answers`, by path; 404 for every other path. */
function serving(answers: Readonly<Record<string, unknown>>): { readonly api: KubeApi; readonly asked: ApiRequest[] } {
  const asked: ApiRequest[] = [];
  const call = (request: ApiRequest): Promise<unknown> => {
    asked.push(request);
    const answer = answers[decodeURIComponent(request.path)];
    if (answer !== undefined) return Promise.resolve(answer);
    return Promise.reject(new ApiError("absent", "no such page", 404, "NotFound"));
  };
  const api: KubeApi = { server: "https://east", call, watch: () => assert.fail(), close: () => Promise.resolve() };
  return { api, asked };
}

const bounds = { signal: new AbortController().signal, callMs: 700 };
const same = (object: KubeObject): KubeObject => object;
const named = (name: unknown): unknown => ({ metadata: { name } });
const path = (version: string, more = ""): string =>
  `/apis/networking.istio.io/${version}/serviceentries?limit=500${more}`;

test("all pages of a list are read, each in its own time, and its objects say what they are", async () => {
  const { api, asked } = serving({
    [path("v1")]: { items: [named("a"), named(7)], metadata: { continue: "2/x" } },
    [path("v1", "&continue=2/x")]: { items: [named("b"), { metadata: { name: "c", labels: { app: 3 } } }] },
  });
  const objects = await listObjects(api, { type: SERVICE_ENTRIES }, bounds, same);
  assert.deepEqual(objects, [
    { metadata: { name: "a" }, apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" },
    { metadata: { name: "b" }, apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" },
  ]);
  assert.deepEqual(
    asked.map(({ deadlineMs }) => deadlineMs),
    [700, 700],
  );
});

test("a kind is read in the best version that the server has, and one that it has in none is not there", async () => {
  const older = serving({ [path("v1beta1")]: { items: [named("a")] } });
  const [object] = (await listObjects(older.api, { type: SERVICE_ENTRIES }, bounds, same)) ?? [];
  assert.equal(object?.apiVersion, "networking.istio.io/v1beta1");
  assert.equal(await listObjects(serving({}).api, { type: SERVICE_ENTRIES }, bounds, same), undefined);
});

test("a selection is asked for as it is, and what is left of its objects is for the caller to say", async () => {
  const asked = "/api/v1/namespaces/shop/configmaps?limit=500&labelSelector=a=b&fieldSelector=metadata.name=menu";
  const { api } = serving({ [asked]: { items: [{ metadata: { name: "menu" }, data: { tea: "2" } }] } });
  const selection = { type: CONFIG_MAPS, namespace: "shop", labelSelector: "a=b", fieldSelector: "metadata.name=menu" };
  const objects = await listObjects(api, selection, bounds, ({ metadata, kind, apiVersion }) => {
    return { metadata, kind, apiVersion };
  });
  assert.deepEqual(objects, [{ metadata: { name: "menu" }, kind: "ConfigMap", apiVersion: "v1" }]);
});

test("what is no list, a list without an end, and a refusal are errors, never an empty list", async () => {
  const list = { type: SERVICE_ENTRIES };
  await assert.rejects(listObjects(serving({ [path("v1")]: { kind: "Status" } }).api, list, bounds, same), {
    message: `GET ${path("v1")} at https://east did not answer with a list`,
  });
  const page = { items: [named("a")], metadata: { continue: "again" } };
  const endless = serving({ [path("v1")]: page, [path("v1", "&continue=again")]: page });
  await assert.rejects(listObjects(endless.api, list, bounds, same), /more than 1000 pages of serviceentries/);
  const refusing = { ...endless.api, call: () => Promise.reject(new ApiError("denied", "no", 403, "Forbidden")) };
  await assert.rejects(listObjects(refusing, list, bounds, same), { status: 403 });
});
