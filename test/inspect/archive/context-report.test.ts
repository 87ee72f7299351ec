import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "mocha";
import { collectReport } from "../../../src/inspect/archive/collect-report.ts";
import { contextSource } from "../../../src/inspect/archive/context-source.ts";
import type { ClusterAccess } from "../../../src/inspect/cluster-access.ts";
import { Redactor } from "../../../src/inspect/redact/redactor.ts";
import { FakeApiServer } from "../../kits/fake-api-server.ts";
import { folderOf } from "../../kits/folder.ts";
import { TestHost } from "../../kits/test-host.ts";
import { survivors } from "../redaction-corpus/survivors.ts";

const SECRET = randomBytes(12).toString("hex");
const pod = (namespace: string, name: string, labels: Readonly<Record<string, string>>, restartCount = 0) => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels } },
  spec: { containers: [{ name: "main" }] },
  status: { phase: "Running", containerStatuses: [{ name: "main", restartCount }] },
});
const PAGES: Readonly<Record<string, string>> = {
  "/debug/list": JSON.stringify([{ name: "peerz" }, { name: "krtz" }, { name: "explain" }]),
  "/debug/peerz": "[]",
  "/debug/krtz": JSON.stringify([{ name: "pods", note: `Authorization: Bearer ${SECRET}` }]),
  "/debug/registryz": JSON.stringify([
    { hostname: "cart.shop.mesh.internal" },
    { hostname: "cart.shop.svc.cluster.local" },
  ]),
  "/debug/explain?host=cart.shop.mesh.internal": JSON.stringify({ verdict: "ok" }),
  "/metrics": "pilot_services 3\n",
  "/version": "{}",
};

/** One cluster; `silent` pods never answer a question for their log. */
async function collected(namespaces: readonly string[] = []) {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  server.put(pod("istio-system", "istiod-1", { app: "istiod" }, 2));
  server.put(pod("istio-system", "ztunnel-a", { app: "ztunnel" }));
  server.put(pod("istio-system", "ztunnel-silent", { app: "ztunnel" }));
  server.put(pod("shop", "cart-1", {}));
  server.answer = ({ path }) =>
    path.endsWith("/subjectaccessreviews")
      ? { status: { allowed: true } }
      : path.includes("/events?")
        ? { kind: "EventList", items: [{ message: `pulled with password=${SECRET}` }] }
        : undefined;
  const asked: string[] = [];
  const api = Object.assign(server.connect(), { aheadMs: 0 });
  const access: ClusterAccess = {
    ...{ context: "kind-east", api, close: () => api.close() },
    page: (_, path) =>
      PAGES[path] === undefined ? Promise.reject(new Error("no such page")) : Promise.resolve(PAGES[path]),
    logs: ({ name }, { container, previous, sinceSeconds, limitBytes }, signal) => {
      asked.push(`${name} ${container ?? ""} ${previous === true} ${sinceSeconds ?? 0} ${limitBytes}`);
      if (name !== "ztunnel-silent") return Promise.resolve(`${name} says token=${SECRET}\nall is well\n`);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    },
  };
  const folder = await folderOf({});
  const options = { sinceSeconds: 600, namespaces, signal: new AbortController().signal, progress: () => {} };
  const doing = collectReport(host.clock, [contextSource(host.clock, access)], {
    ...options,
    folder: folder.path,
    redactor: new Redactor(),
    systemNamespace: "istio-system",
  });
  let done = false;
  void doing.finally(() => (done = true));
  while (!done) await host.clock.pass(1_000);
  return { folder, asked, ...(await doing) };
}

test("of a cluster come all pages, what is explained, metrics, logs of the mesh's pods by time, and events", async () => {
  const { folder, manifest, asked } = await collected();
  await using _ = folder;
  const paths = manifest.files.map(({ path }) => path.replace(/^clusters\/[^/]+\//, ""));
  for (const path of [
    "objects/pods.yaml",
    "planes/istio-system_istiod-1/peerz.json",
    "planes/istio-system_istiod-1/krtz.json",
    "planes/istio-system_istiod-1/metrics.txt",
    "planes/istio-system_istiod-1/explain/cart.shop.mesh.internal.json",
    "logs/istio-system_istiod-1/main.log",
    "logs/istio-system_istiod-1/main.previous.log",
    "logs/istio-system_ztunnel-a/main.log",
    "events/istio-system.json",
  ])
    assert.ok(paths.includes(path), `${path} is not among ${paths.join(", ")}`);
  assert.ok(!paths.some((path) => path.includes("cart-1")), "logs of applications are nobody's business");
  assert.ok(asked.includes(`ztunnel-a main false 600 ${2 * 1024 * 1024}`), asked.join());
  for (const { path } of manifest.files)
    assert.deepEqual(survivors(await readFile(folder.at(path), "utf8"), SECRET), [], path);
});

test("a pod that never answers is listed with the reason, and stops nothing", async () => {
  const { folder, manifest } = await collected();
  await using _ = folder;
  const missing = manifest.notCollected.find(({ path }) => path.includes("ztunnel-silent"));
  assert.equal(missing?.why, "it did not come within 20 s");
});

test("logs and events of another namespace come only if it is named", async () => {
  const { folder, manifest } = await collected(["shop"]);
  await using _ = folder;
  const paths = manifest.files.map(({ path }) => path);
  assert.ok(
    paths.some((path) => path.endsWith("logs/shop_cart-1/main.log")),
    paths.join(),
  );
  assert.ok(paths.some((path) => path.endsWith("events/shop.json")));
});
