import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, pathOf, type ApiRequest, type KubeApi } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { CONFIG_MAPS, GATEWAYS, LEASES, PODS, SERVICES } from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";

interface ListAnswer {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly KubeObject[];
}

function lab() {
  const { clock } = new TestHost();
  const server = new FakeApiServer(clock);
  const api = server.connect();
  const put = (name: string, labels: Record<string, string> = {}, namespace = "shop") =>
    server.put({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels } });
  const ask = async <T>(request: Partial<ApiRequest> & { path: string }): Promise<T> => {
    const answer = api.call({ method: "GET", ...request });
    answer.catch(() => {});
    await clock.pass(50);
    return (await answer) as T;
  };
  const refused = async (status: number, request: Partial<ApiRequest> & { path: string }): Promise<ApiError> => {
    const error: unknown = await ask(request).then(
      (answer) => assert.fail(`answered ${JSON.stringify(answer)}`),
      (error: unknown) => error,
    );
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, status, error.message);
    return error;
  };
  return { clock, server, api, put, ask, refused };
}

const names = (list: ListAnswer) => list.items.map(({ metadata }) => metadata.name);

/** Watches, and notes what it is told as `ADDED a`, `open`, `end` or `end 410`. */
function listen(api: KubeApi, query: string): { readonly said: string[]; readonly watch: Disposable } {
  const said: string[] = [];
  const watch = api.watch(`/api/v1/pods?watch=true&${query}`, {
    onOpen: () => said.push("open"),
    onEvent: ({ type, object }) => {
      const { metadata, code } = object as { metadata?: { name?: string; annotations?: object }; code?: number };
      const what = metadata?.name ?? code ?? (metadata?.annotations ? "end-of-list" : "");
      said.push(`${type} ${what}`.trim());
    },
    onEnd: (error) => said.push(error ? `end ${error.status}` : "end"),
  });
  return { said, watch };
}

test("the fake lists in pages of one snapshot, whatever changes meanwhile, until it is compacted", async () => {
  const { server, put, ask, refused } = lab();
  for (const name of ["a", "b", "c", "d"]) put(name);
  const first = await ask<ListAnswer>({ path: "/api/v1/pods?limit=2" });
  server.remove({ apiVersion: "v1", kind: "Pod", metadata: { name: "c", namespace: "shop" } });
  const path = `/api/v1/pods?limit=2&continue=${first.metadata.continue}`;
  const second = await ask<ListAnswer>({ path });
  assert.deepEqual(
    [names(first), names(second)],
    [
      ["a", "b"],
      ["c", "d"],
    ],
  );
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  assert.equal(second.metadata.continue, undefined);
  assert.equal(second.items[0]!.kind, undefined, "items of typed lists say no kind");
  server.expireAll();
  assert.equal((await refused(410, { path })).reason, "Expired");
});

test("the fake selects by namespace, label and field", async () => {
  const { put, ask } = lab();
  put("a", { app: "x" });
  put("b", { app: "y" });
  put("a", {}, "bank");
  assert.deepEqual(names(await ask({ path: "/api/v1/namespaces/bank/pods" })), ["a"]);
  assert.deepEqual(names(await ask({ path: "/api/v1/pods?labelSelector=app%3Dx" })), ["a"]);
  assert.deepEqual(names(await ask({ path: "/api/v1/pods?labelSelector=app,app!%3Dx" })), ["b"]);
  assert.deepEqual(names(await ask({ path: "/api/v1/pods?fieldSelector=metadata.name%3Db" })), ["b"]);
});

test("a watch of the fake resumes from a version, and tells what its selector shows and no longer shows", async () => {
  const { clock, server, api, put } = lab();
  const from = put("a", { app: "x" }).metadata["resourceVersion"] as string;
  put("b", { app: "x" });
  const { said } = listen(api, `resourceVersion=${from}&labelSelector=app%3Dx&timeoutSeconds=300`);
  await clock.pass(10);
  put("b", { app: "y" });
  put("a", { app: "x", also: "z" });
  server.remove({ apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "shop" } });
  await clock.pass(10);
  assert.deepEqual(said, ["open", "ADDED b", "DELETED b", "MODIFIED a", "DELETED a"]);
  await clock.pass(300_000);
  assert.equal(said.at(-1), "end");
  assert.equal(server.watches.size, 0);
});

test("the fake answers 410 outside its history, bookmarks bring a quiet watch along", async () => {
  const { clock, server, api, put } = lab();
  server.store.historyMax = 3;
  const from = put("a").metadata["resourceVersion"] as string;
  const quiet = listen(api, `resourceVersion=${from}&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dnone`);
  await clock.pass(10);
  for (let i = 0; i < 9; i++) put(`b${i}`);
  await clock.pass(61_000);
  assert.deepEqual(quiet.said, ["open", "BOOKMARK"]);
  const old = listen(api, `resourceVersion=${from}`);
  await clock.pass(10);
  assert.deepEqual(old.said, ["open", "ERROR 410", "end"]);
  server.expireAll();
  await clock.pass(10);
  assert.deepEqual(quiet.said.slice(2), ["ERROR 410", "end"]);
});

test("the fake streams a list with its end marked, or refuses, or knows nothing of it", async () => {
  const { clock, server, api, put } = lab();
  put("a");
  const query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
  const served = listen(api, query);
  put("b");
  await clock.pass(10);
  put("c");
  await clock.pass(10);
  assert.deepEqual(served.said, ["open", "ADDED a", "ADDED b", "BOOKMARK end-of-list", "ADDED c"]);
  server.watchList = "ignored";
  const ignored = listen(api, query);
  server.watchList = "ignored";
  await clock.pass(10);
  server.watchList = "refused";
  const refused = listen(api, query);
  await clock.pass(10);
  assert.deepEqual(ignored.said, ["open", "ADDED a", "ADDED b", "ADDED c"]);
  assert.deepEqual(refused.said, ["end 422"]);
});

test("the fake refuses a write that knows an older version, and writes a status by its own path only", async () => {
  const { server, ask, refused } = lab();
  const path = pathOf(LEASES, "v1", "istio-system");
  const lease = { metadata: { name: "leader" }, spec: { holderIdentity: "a" } };
  const made = await ask<KubeObject>({ method: "POST", path, body: lease });
  assert.equal((await refused(409, { method: "POST", path, body: lease })).reason, "AlreadyExists");
  const taken = { ...made, spec: { holderIdentity: "b" }, status: { ignored: true } };
  const next = await ask<KubeObject>({ method: "PUT", path: `${path}/leader`, body: taken });
  assert.equal(next["status"], undefined);
  assert.equal(next.metadata.uid, made.metadata.uid);
  assert.equal((await refused(409, { method: "PUT", path: `${path}/leader`, body: taken })).reason, "Conflict");
  const status = { ...next, spec: {}, status: { seen: true } };
  await ask({ method: "PUT", path: `${path}/leader/status`, body: status });
  const held = server.get(LEASES, "istio-system", "leader")!;
  assert.deepEqual([held["spec"], held["status"]], [{ holderIdentity: "b" }, { seen: true }]);
  await refused(409, { method: "DELETE", path: `${path}/leader`, body: { preconditions: { uid: "other" } } });
  await ask({ method: "DELETE", path: `${path}/leader` });
  await refused(404, { path: `${path}/leader` });
});

test("the fake applies: a field that its manager leaves out goes, those of others stay or are fought over", async () => {
  const { server, ask, refused } = lab();
  const path = `${pathOf(CONFIG_MAPS, "v1", "shop", "roots")}?fieldManager=`;
  const apply = (manager: string, data: Record<string, string>, rest = "") =>
    ({
      method: "PATCH",
      path: `${path}${manager}${rest}`,
      body: { data },
      contentType: "application/apply-patch+yaml",
    }) as const;
  await ask(apply("us", { "root-cert.pem": "x", old: "y" }));
  await ask(apply("them", { own: "z" }));
  const before = server.get(CONFIG_MAPS, "shop", "roots")!;
  await ask(apply("us", { "root-cert.pem": "x" }));
  const after = server.get(CONFIG_MAPS, "shop", "roots")!;
  assert.deepEqual(after["data"], { "root-cert.pem": "x", own: "z" });
  assert.notEqual(after.metadata["resourceVersion"], before.metadata["resourceVersion"]);
  await ask(apply("us", { "root-cert.pem": "x" }));
  assert.deepEqual(server.get(CONFIG_MAPS, "shop", "roots"), after, "what changes nothing makes no version");
  assert.match((await refused(409, apply("us", { own: "mine" }))).message, /data\.own is of them/);
  await ask(apply("us", { own: "mine" }, "&force=true"));
  assert.deepEqual(server.get(CONFIG_MAPS, "shop", "roots")!["data"], { own: "mine" });
});

test("the fake applies conditions by their type, each manager its own", async () => {
  const { server, ask } = lab();
  server.put({ apiVersion: "v1", kind: "Service", metadata: { name: "cart", namespace: "shop" }, spec: { a: 1 } });
  const conditions = (manager: string, ...types: string[]) => ({
    method: "PATCH" as const,
    path: `${pathOf(SERVICES, "v1", "shop", "cart")}/status?fieldManager=${manager}&force=true`,
    body: { status: { conditions: types.map((type) => ({ type, status: "True" })) } },
    contentType: "application/apply-patch+yaml" as const,
  });
  await ask(conditions("us", "A", "B"));
  await ask(conditions("them", "C"));
  await ask(conditions("us", "B"));
  const { spec, status } = server.get(SERVICES, "shop", "cart")! as KubeObject & {
    status: { conditions: { type: string }[] };
  };
  assert.deepEqual(
    status.conditions.map(({ type }) => type),
    ["B", "C"],
  );
  assert.deepEqual(spec, { a: 1 });
});

test("the fake patches by merge and by operations", async () => {
  const { server, put, ask } = lab();
  put("a", { app: "x", b: "y" });
  const path = pathOf(PODS, "v1", "shop", "a");
  const merge = { metadata: { labels: { b: null, c: "z" } } };
  await ask({ method: "PATCH", path, body: merge, contentType: "application/merge-patch+json" });
  assert.deepEqual(server.get(PODS, "shop", "a")!.metadata.labels, { app: "x", c: "z" });
  const operations = [{ op: "add", path: "/metadata/labels/a~1b", value: "1" }];
  await ask({ method: "PATCH", path, body: operations, contentType: "application/json-patch+json" });
  assert.equal(server.get(PODS, "shop", "a")!.metadata.labels!["a/b"], "1");
});

test("kinds of the fake come and go, and discovery says so", async () => {
  const { clock, server, api, ask, refused } = lab();
  const gateways = "/apis/gateway.networking.k8s.io";
  assert.equal((await ask<{ versions: unknown[] }>({ path: gateways })).versions.length, 2);
  server.put({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name: "g", namespace: "shop" },
  });
  const said: string[] = [];
  api.watch(`${pathOf(GATEWAYS, "v1")}?watch=true&resourceVersion=${server.store.version}`, {
    onOpen: () => said.push("open"),
    onEvent: ({ type }) => said.push(type),
    onEnd: () => said.push("end"),
  });
  await clock.pass(10);
  server.uninstall(GATEWAYS);
  await clock.pass(10);
  assert.deepEqual(said, ["open", "DELETED", "end"]);
  await refused(404, { path: pathOf(GATEWAYS, "v1") });
  const { resources } = await ask<{ resources: { name: string }[] }>({ path: `${gateways}/v1` });
  assert.deepEqual(
    resources.map(({ name }) => name),
    ["gatewayclasses", "grpcroutes", "httproutes", "referencegrants"],
  );
  server.install({ ...GATEWAYS, versions: ["v1beta1"] });
  assert.equal((await ask<ListAnswer>({ path: pathOf(GATEWAYS, "v1beta1") })).items.length, 0);
  await refused(404, { path: pathOf(GATEWAYS, "v1") });
});

test("the fake's faults: down, silent, revoked, forbidden, a page that fails, half of all requests", async () => {
  const { clock, server, api, put, ask, refused } = lab();
  for (const name of ["a", "b", "c"]) put(name);
  const path = "/api/v1/pods?limit=1";
  server.faults.failPage = 2;
  const { metadata } = await ask<ListAnswer>({ path });
  await refused(500, { path: `${path}&continue=${metadata.continue}` });
  server.faults.failPage = undefined;
  server.faults.errorRate = 0.5;
  let failures = 0;
  for (let i = 0; i < 100; i++) await ask({ path: "/version" }).catch(() => failures++);
  assert.ok(failures > 30 && failures < 70, `${failures} of 100 failed`);
  server.faults.errorRate = 0;
  server.faults.forbidden = ({ verb, resource }) => verb === "list" && resource === "pods";
  assert.match((await refused(403, { path })).message, /system:serviceaccount:istio-system:causeway" cannot list/);
  server.faults.forbidden = undefined;
  const { said } = listen(api, "");
  await clock.pass(10);
  server.blackHoleWatches(35_000);
  put("d");
  await clock.pass(34_000);
  assert.deepEqual(said, ["open", "ADDED a", "ADDED b", "ADDED c"]);
  await clock.pass(2_000);
  assert.equal(said.at(-1), "end 0");
  api.revoked = true;
  await refused(401, { path });
  server.faults.down = true;
  assert.equal((await refused(0, { path })).code, "unavailable");
  server.faults.silent = true;
  const asked = api.call({ method: "GET", path, deadlineMs: 5_000 }).catch((error: ApiError) => error.code);
  await clock.pass(5_000);
  assert.equal(await asked, "timeout");
  assert.equal(server.watches.size, 0);
  assert.equal(clock.pending, 0);
});

test("closing a connection of the fake ends its calls and watches; a call can be ended by its signal", async () => {
  const { clock, server, api } = lab();
  server.faults.latencyMs = 1_000;
  const { said } = listen(api, "");
  const stop = new AbortController();
  const code = (error: ApiError) => error.code;
  const stopped = api.call({ method: "GET", path: "/version" }, stop.signal).catch(code);
  const waiting = api.call({ method: "GET", path: "/version" }).catch(code);
  stop.abort();
  assert.equal(await stopped, "unavailable");
  await api.close();
  assert.equal(await waiting, "unavailable");
  assert.deepEqual(said, ["end 0"]);
  assert.equal(clock.pending, 0);
});
