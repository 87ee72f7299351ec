import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { KubeconfigFolder } from "../../../src/registry/kube/kubeconfig-folder.ts";
import { RemoteLab } from "./remote-lab.ts";

let dir: string;
let lab: RemoteLab;
let folder: KubeconfigFolder;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "causeway-kubeconfigs-"));
  lab = new RemoteLab();
  folder = new KubeconfigFolder(lab.host, dir, lab.remote);
});
afterEach(async () => {
  await folder.stop();
  await lab.remote.stop();
  await rm(dir, { recursive: true });
});

const write = (name: string, text: string): Promise<void> => writeFile(join(dir, name), text);
async function look(): Promise<void> {
  await folder.look();
  await lab.pass(3000);
}

test("each .yaml and .yml file of the folder is the cluster that it is called after", async () => {
  await write("west.yaml", "good 1");
  await write("north.yml", "good 2");
  await write("notes.txt", "good 3");
  await write(".hidden.yaml", "good 4");
  await look();
  assert.deepEqual(Object.fromEntries(lab.holds), { west: "good 1", north: "good 2" });
  assert.equal(lab.remote.clusters()[1]!.source, join(dir, "west.yaml"));
  assert.equal(lab.remote.whySettling(), undefined);
});

test("files that change, break and go do what secrets do", async () => {
  await write("west.yaml", "good 1");
  await look();
  await write("west.yaml", "good 22");
  await look();
  assert.equal(lab.holds.get("west"), "good 22");
  await write("west.yaml", "");
  await look();
  assert.equal(lab.holds.get("west"), "good 22");
  assert.match(lab.problems()[0]!, /^Kubeconfig .*west\.yaml users\[0\]\.user\.exec: it is no kubeconfig/);
  await rm(join(dir, "west.yaml"));
  await look();
  assert.deepEqual(lab.left, ["west"]);
  assert.deepEqual(lab.problems(), []);
});

test("of two files for one cluster the one that was read first counts", async () => {
  await write("west.yml", "good 1");
  await look();
  await write("west.yaml", "good 2");
  await look();
  assert.equal(lab.holds.get("west"), "good 1");
  assert.match(lab.problems()[0]!, /west\.yaml : .*already registered from .*west\.yml/);
});

test("a folder that cannot be listed takes nothing away, and is read when it is back", async () => {
  await write("west.yaml", "good 1");
  await look();
  await rename(dir, `${dir}-away`);
  await look();
  await look();
  assert.deepEqual(lab.left, []);
  assert.equal(lab.lines(/kubeconfigs cannot be listed/).length, 1);
  await rename(`${dir}-away`, dir);
  await write("west.yaml", "good 22");
  await look();
  assert.equal(lab.holds.get("west"), "good 22");
  assert.equal(lab.lines(/can be read again/).length, 1);
});

test("files that a kubelet swaps by links are seen to change", async () => {
  for (const [version, text] of [
    ["..1", "good 1"],
    ["..2", "good 22"],
  ] as const) {
    await mkdir(join(dir, version));
    await writeFile(join(dir, version, "west.yaml"), text);
  }
  await symlink("..1", join(dir, "..data"));
  await symlink("..data/west.yaml", join(dir, "west.yaml"));
  await look();
  assert.equal(lab.holds.get("west"), "good 1");
  await symlink("..2", join(dir, "..new"));
  await rename(join(dir, "..new"), join(dir, "..data"));
  await look();
  assert.equal(lab.holds.get("west"), "good 22");
  assert.deepEqual(lab.left, []);
});

test("what is no file, or too large for one, is refused by name", async () => {
  await mkdir(join(dir, "west.yaml"));
  await write("north.yaml", "g".repeat(300_000));
  await look();
  assert.deepEqual(lab.remote.clusters(), []);
  assert.match(lab.problems().join("\n"), /north\.yaml : it is larger than 256 KiB[^]*west\.yaml : it is no file/);
});

test("a started folder looks by itself, and a stopped one does not", async () => {
  folder.start();
  await folder.look();
  await write("west.yaml", "good 1");
  await new Promise(setImmediate);
  lab.host.clock.advance(500);
  await folder.look();
  await lab.pass(300);
  assert.equal(lab.holds.get("west"), "good 1");
  await folder.stop();
  assert.equal(lab.lines(/Number of remote clusters: 1/).length, 1);
});
