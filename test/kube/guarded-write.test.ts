import assert from "node:assert/strict";
import { test } from "mocha";
import { SERVICES } from "../../src/kube/resource-types.ts";
import type { WantedObject } from "../../src/kube/wanted-object.ts";
import { Writer } from "../../src/kube/writer.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { WantedMap } from "./wanted-kit.ts";

const OWNER = { apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", name: "wp", uid: "uid-of-gateway" };
const WANTED: WantedObject = {
  type: SERVICES,
  namespace: "shop",
  name: "wp",
  owner: OWNER,
  fields: { spec: { type: "ClusterIP" } },
  guard: { uid: undefined },
  found: "different",
};

function lab() {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const wanted = new WantedMap();
  const writer = new Writer(host, server.connect(), wanted);
  const reports: string[] = [];
  writer.onWrite = ({ key, outcome }) => void reports.push(`${key} ${outcome}`);
  const begin = (): void => {
    wanted.set("wp", WANTED);
    const { signal } = new AbortController();
    writer.begin({ signal, lives: () => true });
  };
  const put = (spec: object, owners: readonly object[] = []) =>
    server.put({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "wp", namespace: "shop", ownerReferences: owners as never },
      spec,
    });
  const spec = () => server.get(SERVICES, "shop", "wp")?.["spec"];
  const writes = () => server.requests.filter(({ verb }) => verb === "PATCH").length;
  return { server, wanted, begin, put, spec, writes, reports, clock: host.clock };
}

test("an object that may be somebody else's is looked for, and made if there is none", async () => {
  const { server, begin, spec, reports, clock } = lab();
  begin();
  await clock.pass(100);
  assert.deepEqual([spec(), reports], [{ type: "ClusterIP" }, ["wp written"]]);
  assert.deepEqual(server.get(SERVICES, "shop", "wp")?.metadata.ownerReferences, [OWNER]);
});

test("somebody else's is never written, and within a minute of its going ours is there", async () => {
  const { server, begin, put, spec, writes, reports, clock } = lab();
  const theirs = put({ type: "NodePort" }, [{ ...OWNER, uid: "uid-of-another" }]);
  begin();
  await clock.pass(3_600_000);
  assert.deepEqual([spec(), writes()], [{ type: "NodePort" }, 0]);
  assert.ok(reports.length > 50 && reports.length < 130, `${reports.length} looks in an hour`);
  assert.ok(reports.every((report) => report === "wp foreign"));
  server.remove(theirs);
  await clock.pass(61_000);
  assert.deepEqual(spec(), { type: "ClusterIP" });
});

test("what somebody makes between our look and our write is a conflict, and stays theirs", async () => {
  const { server, begin, spec, reports, clock } = lab();
  server.faults.latencyMs = 100;
  begin();
  // Our look is answered after 100 ms, and our write is there 100 ms later.
  await clock.pass(50);
  const path = "/api/v1/namespaces/shop/services/wp?fieldManager=theirs";
  const body = { apiVersion: "v1", kind: "Service", metadata: { name: "wp" }, spec: { type: "NodePort" } };
  const made = server.connect().call({ method: "PATCH", path, body, contentType: "application/apply-patch+yaml" });
  await clock.pass(10_000);
  await made;
  assert.deepEqual(spec(), { type: "NodePort" });
  assert.deepEqual([reports[0], reports[1]], ["wp conflict", "wp foreign"]);
});

test("ours is mended although nothing showed it, and only as long as it is that very one", async () => {
  const { server, wanted, begin, put, spec, reports, clock } = lab();
  const ours = put({ type: "NodePort" }, [OWNER]);
  begin();
  await clock.pass(100);
  assert.deepEqual([spec(), reports], [{ type: "ClusterIP" }, ["wp written"]]);
  server.remove(ours);
  put({ type: "NodePort" });
  wanted.set("wp", { ...WANTED, guard: { uid: ours.metadata.uid } });
  await clock.pass(5_000);
  assert.deepEqual(spec(), { type: "NodePort" });
  assert.equal(reports.filter((report) => report === "wp written").length, 1);
});
