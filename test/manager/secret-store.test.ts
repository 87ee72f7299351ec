import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { SECRETS } from "../../src/kube/resource-types.ts";
import { SecretStore } from "../../src/manager/store/secret-store.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { trustStoreKit } from "../kits/trust-store.ts";

const NAMESPACE = "gloo-mesh";

function server() {
  const host = new TestHost();
  const api = new FakeApiServer(host.clock);
  /** Settles with the answer, which the fake gives as time passes. */
  const until = async <T>(answer: Promise<T>): Promise<T> => {
    let over = false;
    const mark = (): void => void (over = true);
    answer.then(mark, mark);
    for (let steps = 0; !over && steps < 10_000; steps += 1) await host.clock.pass(1);
    return answer;
  };
  return { api, until, store: () => new SecretStore(api.connect(), NAMESPACE) };
}

trustStoreKit("a namespace of Secrets", () => {
  const { until, store } = server();
  return Promise.resolve({ first: store(), second: store(), until, [Symbol.asyncDispose]: () => Promise.resolve() });
});

test("a Secret of somebody else is never read, written to, removed or listed, and whoever meets it is told", async () => {
  const { api, until, store } = server();
  const foreign = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "relay-root", namespace: NAMESPACE, labels: { "trust.causeway.dev/store": "no" } },
    data: { key: "Zm9yZWlnbg==" },
  };
  api.put(foreign);
  const why =
    /Secret gloo-mesh\/relay-root is there without the label trust\.causeway\.dev\/store: "true".*delete it or give it/;
  const refused = (code: string) => (thrown: unknown) =>
    thrown instanceof MeshError && thrown.code === code && why.test(thrown.message);
  await assert.rejects(until(store().read("relay-root")), refused("invalid"));
  await assert.rejects(until(store().write("relay-root", new Map(), undefined)), refused("conflict"));
  await until(store().remove("relay-root"));
  assert.deepEqual(await until(store().names("")), []);
  assert.deepEqual(api.get(SECRETS, NAMESPACE, "relay-root")?.["data"], foreign.data);
});

test("what others wrote on a Secret of ours beside its texts stays there", async () => {
  const { api, until, store } = server();
  const version = await until(store().write("relay-root", new Map([["key", "1"]]), undefined));
  const made = api.get(SECRETS, NAMESPACE, "relay-root")!;
  assert.equal(made["type"], "Opaque");
  const labels = { ...made.metadata.labels, "backup.example/take": "yes" };
  const changed = api.put({ ...made, metadata: { ...made.metadata, labels } });
  await assert.rejects(until(store().write("relay-root", new Map(), version)), /was changed by somebody else/);
  const now = String(changed.metadata["resourceVersion"]);
  await until(store().write("relay-root", new Map([["key", "2"]]), now));
  const after = api.get(SECRETS, NAMESPACE, "relay-root")!;
  assert.deepEqual(after.metadata.labels, { "trust.causeway.dev/store": "true", "backup.example/take": "yes" });
  assert.deepEqual(after["data"], { key: "Mg==" });
});

test("an API server that refuses or is away is no empty store, and the message says what to allow", async () => {
  const { api, until, store } = server();
  await until(store().write("relay-root", new Map([["key", "1"]]), undefined));
  api.faults.forbidden = ({ resource }) => resource === "secrets";
  const isUnavailable = (why: RegExp) => (thrown: unknown) =>
    thrown instanceof MeshError && thrown.code === "unavailable" && why.test(thrown.message);
  const rights = /Secret gloo-mesh\/relay-root cannot be read or written: .*allow get, list, create, update and delete/;
  await assert.rejects(until(store().read("relay-root")), isUnavailable(rights));
  await assert.rejects(until(store().names("")), isUnavailable(/allow get, list/));
  api.faults.forbidden = undefined;
  api.faults.down = true;
  await assert.rejects(until(store().read("relay-root")), isUnavailable(/cannot be read or written/));
  await assert.rejects(until(store().remove("relay-root")), isUnavailable(/cannot be read or written/));
});

test("more documents than one page of a list holds are all named", async () => {
  const { until, store } = server();
  const names = Array.from({ length: 230 }, (_, at) => `token-${String(at).padStart(3, "0")}`);
  for (const name of names) await until(store().write(name, new Map(), undefined));
  assert.deepEqual(await until(store().names("token-")), names);
});
