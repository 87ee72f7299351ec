import assert from "node:assert/strict";
import { test } from "mocha";
import type { ResourceType } from "../../src/kube/api.ts";
import {
  applyObject,
  applyStatus,
  createObject,
  deleteObject,
  discover,
  getObject,
  patchObject,
  replaceObject,
} from "../../src/kube/objects-api.ts";
import { AUTHORIZATION_POLICIES, CONFIG_MAPS, GATEWAYS, NAMESPACES, PODS } from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";

function mesh() {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
  const api = server.connect();
  /** Lets time pass until it is settled. */
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    promise.catch(() => {});
    await host.clock.pass(20);
    return promise;
  };
  return { server, api, settled };
}

const at = { type: CONFIG_MAPS, version: "v1", namespace: "shop", name: "menu" };
const menu = (data: object) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "menu", namespace: "shop" },
  data,
});

test("an object is created, read, replaced, patched and deleted", async () => {
  const { api, settled } = mesh();
  assert.equal(await settled(getObject(api, at)), undefined);
  const made = await settled(createObject(api, at, menu({ tea: "2" })));
  assert.deepEqual((await settled(getObject(api, at)))?.["data"], { tea: "2" });
  await assert.rejects(settled(createObject(api, at, menu({}))), { code: "conflict" });
  const changed = await settled(replaceObject(api, at, { ...made, data: { tea: "3" } }));
  assert.deepEqual(changed["data"], { tea: "3" });
  await assert.rejects(settled(replaceObject(api, at, { ...made, data: {} })), { code: "conflict" });
  const patched = await settled(patchObject(api, at, [{ op: "add", path: "/data/cake", value: "4" }]));
  assert.deepEqual(patched["data"], { tea: "3", cake: "4" });
  await assert.rejects(settled(deleteObject(api, at, { uid: "another" })), { code: "conflict" });
  assert.equal(await settled(deleteObject(api, at, { uid: made.metadata.uid! })), true);
  assert.equal(await settled(deleteObject(api, at)), false);
});

test("what is applied is so afterwards, and what is applied no more is gone", async () => {
  const { api, server, settled } = mesh();
  const options = { fieldManager: "causeway", force: true };
  await settled(applyObject(api, at, menu({ tea: "2", cake: "4" }), options));
  await settled(applyObject(api, at, menu({ tea: "3" }), options));
  assert.deepEqual(server.get(CONFIG_MAPS, "shop", "menu")?.["data"], { tea: "3" });
});

test("a status is applied, and the rest of the object left alone", async () => {
  const { api, server, settled } = mesh();
  const [apiVersion, kind] = ["security.istio.io/v1", "AuthorizationPolicy"];
  const metadata = { name: "deny", namespace: "shop" };
  server.put({ apiVersion, kind, metadata, spec: { action: "DENY" } });
  const policy = { type: AUTHORIZATION_POLICIES, version: "v1", namespace: "shop", name: "deny" };
  const status = { conditions: [{ type: "Accepted", status: "True" }] };
  await settled(applyStatus(api, policy, { apiVersion, kind, metadata, status }, { fieldManager: "causeway" }));
  const stored = server.get(AUTHORIZATION_POLICIES, "shop", "deny");
  assert.deepEqual([stored?.["spec"], stored?.["status"]], [{ action: "DENY" }, status]);
});

test("of the versions that we read, the best that is served is found; a CRD that is not installed has none", async () => {
  const { api, server, settled } = mesh();
  assert.equal(await settled(discover(api, PODS)), "v1");
  assert.equal(await settled(discover(api, GATEWAYS)), "v1");
  server.uninstall(GATEWAYS);
  assert.equal(await settled(discover(api, GATEWAYS)), undefined);
  const old: ResourceType = { ...GATEWAYS, versions: ["v1beta1"] };
  server.install(old);
  assert.equal(await settled(discover(api, GATEWAYS)), "v1beta1");
});

test("only the server's word makes a kind absent: no other failure does", async () => {
  const { api, server, settled } = mesh();
  server.faults.errorRate = 1;
  await assert.rejects(settled(discover(api, GATEWAYS)), { code: /unavailable|exhausted/ });
  server.faults.errorRate = 0;
  server.faults.tamper = () => ({});
  await assert.rejects(settled(discover(api, GATEWAYS)), /did not answer with a list of resources/);
});

test("an answer that is no object is refused", async () => {
  const { api, server, settled } = mesh();
  server.faults.tamper = () => ({ kind: "Namespace", apiVersion: "v1", metadata: {} });
  const shop = { type: NAMESPACES, version: "v1", name: "shop" };
  await assert.rejects(settled(getObject(api, shop)), /did not answer with an object with apiVersion, kind and name/);
});
