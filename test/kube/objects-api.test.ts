import assert from "node:assert/strict";
import { test } from "mocha";
import { createObject, getObject, replaceObject } from "../../src/kube/objects-api.ts";
import { CONFIG_MAPS, NAMESPACES } from "../../src/kube/resource-types.ts";
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

test("an object is created, read and replaced", async () => {
  const { api, settled } = mesh();
  assert.equal(await settled(getObject(api, at)), undefined);
  const made = await settled(createObject(api, at, menu({ tea: "2" })));
  assert.deepEqual((await settled(getObject(api, at)))?.["data"], { tea: "2" });
  await assert.rejects(settled(createObject(api, at, menu({}))), { code: "conflict" });
  const changed = await settled(replaceObject(api, at, { ...made, data: { tea: "3" } }));
  assert.deepEqual(changed["data"], { tea: "3" });
  await assert.rejects(settled(replaceObject(api, at, { ...made, data: {} })), { code: "conflict" });
});

test("an answer that is no object is refused", async () => {
  const { api, server, settled } = mesh();
  server.faults.tamper = () => ({ kind: "Namespace", apiVersion: "v1", metadata: {} });
  const shop = { type: NAMESPACES, version: "v1", name: "shop" };
  await assert.rejects(settled(getObject(api, shop)), /did not answer with an object with apiVersion, kind and name/);
});
