import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "mocha";
import { FolderStore } from "../../src/manager/store/folder-store.ts";
import { folderOf } from "../kits/folder.ts";
import { trustStoreKit } from "../kits/trust-store.ts";

trustStoreKit("a folder", async () => {
  const folder = await folderOf({});
  const path = folder.at("state");
  return {
    first: new FolderStore(path),
    second: new FolderStore(path),
    until: (answer) => answer,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});

test("what the trust manager keeps in a folder is its owner's alone, and one file for each document", async () => {
  await using folder = await folderOf({});
  const path = folder.at("deep/state");
  const store = new FolderStore(path);
  const version = await store.write("relay-root", new Map([["key", "secret"]]), undefined);
  await store.write("relay-root", new Map([["key", "secret 2"]]), version);
  const [file, ...more] = await readdir(path);
  assert.deepEqual(more, []);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
  assert.equal((await stat(join(path, file!))).mode & 0o777, 0o600);
});

test("what a person changed by hand is read, and is another version", async () => {
  await using folder = await folderOf({});
  const store = new FolderStore(folder.path);
  const version = await store.write("relay-root", new Map([["key", "1"]]), undefined);
  await writeFile(folder.at("relay-root.1.json"), '{"key": "by hand"}');
  assert.equal((await store.read("relay-root"))?.data.get("key"), "by hand");
  await assert.rejects(store.write("relay-root", new Map(), version), /was changed by somebody else meanwhile/);
});

test("of two texts that a crash left the later one counts, and the next writer clears the other away", async () => {
  await using folder = await folderOf({ "relay-root.7.json": '{"key": "7"}', "relay-root.11.json": '{"key": "11"}' });
  const store = new FolderStore(folder.path);
  const read = await store.read("relay-root");
  assert.equal(read?.data.get("key"), "11");
  await store.write("relay-root", new Map([["key", "12"]]), read?.version);
  assert.deepEqual(await readdir(folder.path), ["relay-root.12.json"]);
});

test("a document that cannot be read is named, is not taken for none, and is never overwritten", async () => {
  for (const text of ["", "[]", '{"key": 1}', "null", '{"key": "cut sh']) {
    await using folder = await folderOf({ "relay-root.1.json": text });
    const store = new FolderStore(folder.path);
    await assert.rejects(store.read("relay-root"), /relay-root\.1\.json is no JSON object of texts; restore it from/);
    await assert.rejects(store.write("relay-root", new Map(), undefined), /is no JSON object of texts/);
  }
});

test("no name of a document leads out of the folder", async () => {
  await using folder = await folderOf({});
  const store = new FolderStore(folder.at("state"));
  for (const name of ["../escape", "a/b", "", ".", "A", "x\0y"])
    await assert.rejects(store.write(name, new Map(), undefined), /named like a Secret/);
  assert.deepEqual(await readdir(folder.path), []);
});
