import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { test } from "mocha";
import type { ObjectSink } from "../../../src/kube/object.ts";
import { FolderObjects } from "../../../src/manager/feeds/folder-objects.ts";
import { folderOf } from "../../kits/folder.ts";
import { realHost } from "../../kits/real-host.ts";
import { until } from "../../kits/until.ts";

const POLICY = `
apiVersion: admin.gloo.solo.io/v2
kind: RootTrustPolicy
metadata: { name: shared-trust, namespace: gloo-mesh }
spec: { config: { mgmtServerCa: { generated: {} } } }
`;
const SECRET = `
apiVersion: v1
kind: Secret
metadata: { name: byo, namespace: gloo-mesh }
data: { a.pem: ${Buffer.from("one").toString("base64")} }
stringData: { b.pem: two }
`;
const OTHERS = `
apiVersion: v1
kind: ConfigMap
metadata: { name: noise }
---
apiVersion: admin.solo.io/v1alpha1
kind: Workspace
metadata: { name: of-another-group }
`;

test("a folder has the trust manager's objects and Secrets, as they are saved, and nothing else", async () => {
  await using folder = await folderOf({ "policy.yaml": POLICY, "secret.yaml": `${SECRET}---${OTHERS}` });
  const heard: string[] = [];
  const sink: ObjectSink = {
    set: ({ kind, metadata }, origin) => heard.push(`set ${kind} ${metadata.namespace}/${metadata.name} ${origin}`),
    delete: ({ kind, metadata }) => heard.push(`delete ${kind} ${metadata.namespace}/${metadata.name}`),
  };
  const feed = new FolderObjects(realHost(), folder.path, "gloo-mesh");
  let secrets = 0;
  feed.onSecrets(() => (secrets += 1));
  try {
    await feed.start(sink);
    assert.deepEqual(heard, ["set RootTrustPolicy gloo-mesh/shared-trust policy.yaml:2"]);
    assert.deepEqual(await feed.secret({ namespace: "gloo-mesh", name: "byo" }), new Map([["a.pem", "one"], ["b.pem", "two"]])); // prettier-ignore
    assert.equal(await feed.secret({ namespace: "default", name: "byo" }), "absent");

    await writeFile(folder.at("policy.yaml"), POLICY.replace("generated: {}", "generated: { ttlDays: 9 }"));
    await until(() => heard.length === 2);
    await writeFile(folder.at("policy.yaml"), "kind: [");
    await until(() => feed.problems().length === 1);
    assert.match(feed.problems()[0]!.message, /the 1 objects that policy\.yaml held before stay/);
    assert.equal(heard.length, 2, "and takes nothing away");
    await writeFile(folder.at("secret.yaml"), SECRET.replace("two", "three"));
    await until(() => secrets === 2);
    await rm(folder.at("policy.yaml"));
    await until(() => heard.includes("delete RootTrustPolicy gloo-mesh/shared-trust"));
  } finally {
    await feed.close();
  }
});

test("a Secret that is not base64 is refused by its key", async () => {
  await using folder = await folderOf({ "secret.yaml": SECRET.replace(/a\.pem: .*}/, "a.pem: '?' }") });
  const feed = new FolderObjects(realHost(), folder.path, "gloo-mesh");
  try {
    await feed.start({ set: () => {}, delete: () => {} });
    await assert.rejects(
      feed.secret({ namespace: "gloo-mesh", name: "byo" }),
      /Secret gloo-mesh\/byo: a\.pem is not base64/,
    );
  } finally {
    await feed.close();
  }
});

test("an object outside of the manager's namespace has no effect and says so; of two, the one that came first is older", async () => {
  await using folder = await folderOf({ "policy.yaml": POLICY, "stray.yaml": POLICY.replace("gloo-mesh", "default") });
  const created = new Map<string, string>();
  const feed = new FolderObjects(realHost(), folder.path, "gloo-mesh");
  try {
    const set = ({
      metadata,
    }: {
      readonly metadata: { readonly name: string; readonly creationTimestamp?: string };
    }): void => void created.set(metadata.name, metadata.creationTimestamp ?? "");
    await feed.start({ set, delete: () => {} });
    assert.deepEqual([...created.keys()], ["shared-trust"]);
    assert.match(
      feed.problems()[0]!.message,
      /RootTrustPolicy default\/shared-trust has no effect: only those in namespace gloo-mesh/,
    );
    await until(() => Date.now() > Date.parse(created.get("shared-trust")!) + 1_000);
    await writeFile(folder.at("a.yaml"), POLICY.replace("shared-trust", "a-second"));
    await until(() => created.has("a-second"));
    assert.ok(created.get("shared-trust")! < created.get("a-second")!);
  } finally {
    await feed.close();
  }
});
