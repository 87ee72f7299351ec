import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setup, teardown, test } from "mocha";
import { MeshError } from "../../../src/errors.ts";
import { clusterId } from "../../../src/names.ts";
import { FileAssignmentStore } from "../../../src/registry/embedded/assignment-store.ts";
import { EmbeddedCluster, type EmbeddedClusterOptions } from "../../../src/registry/embedded/embedded-cluster.ts";
import { FILE_BYTES_MAX } from "../../../src/registry/embedded/manifest-folder.ts";
import { deployment, realHost, RecordingSink } from "./lab.ts";

let top: string;
let folder: string;
let clusters: EmbeddedCluster[];

setup(() => {
  top = mkdtempSync(join(tmpdir(), "causeway-embedded-"));
  folder = join(top, "manifests");
  mkdirSync(folder);
  clusters = [];
});
teardown(async () => {
  await Promise.all(clusters.map((cluster) => cluster.close()));
  rmSync(top, { recursive: true, force: true });
});

const pod = (name: string, labels = "") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {${labels}}}\n`;

function write(path: string, text: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

async function started(options: Partial<EmbeddedClusterOptions> = {}) {
  const sink = new RecordingSink();
  const cluster = new EmbeddedCluster(realHost(), {
    cluster: clusterId("east"),
    folder,
    sink,
    knows: (kind) => kind === "Pod",
    store: new FileAssignmentStore(join(top, "state", "assignments.json")),
    clusterDomain: "cluster.local",
    ...options,
  });
  clusters.push(cluster);
  await cluster.start();
  return { cluster, sink, names: () => [...sink.objects.keys()].map((key) => key.split("/")[1]) };
}

/** Resolves once `holds`, looking after each change that the cluster reports. */
function until(cluster: EmbeddedCluster, holds: () => boolean): Promise<number> {
  const before = performance.now();
  if (holds()) return Promise.resolve(0);
  return new Promise((resolve) => {
    const watching = cluster.observe(() => {
      if (!holds()) return;
      watching[Symbol.dispose]();
      resolve(performance.now() - before);
    });
  });
}

test("every object is in the sink once start resolves, with the file and line it came from", async () => {
  write("a.yaml", pod("a"));
  write("deep/er/b.yml", `# b\n---\n${pod("b")}`);
  write("c.json", '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}}');
  write("notes.txt", pod("no"));
  write(".hidden/d.yaml", pod("no"));
  write(".#a.yaml", pod("no"));
  write("a.yaml~", pod("no"));
  const { sink, names } = await started();
  assert.deepEqual(names().sort(), ["a", "b", "c"]);
  assert.equal(sink.origins.get("Pod default/b"), "deep/er/b.yml:3");
});

test("a saved edit reaches the sink within 100 ms, written in place or renamed over, and changes nothing else", async () => {
  write("a.yaml", pod("a"));
  write("b.yaml", pod("b"));
  const { cluster, sink } = await started();
  const times: number[] = [];
  for (const [at, save] of [write, replaceFile, write, replaceFile].entries()) {
    sink.told = [];
    save("a.yaml", pod("a", `edit: n${at}`));
    const tookMs = await until(
      cluster,
      () => sink.objects.get("Pod default/a")?.metadata.labels?.["edit"] === `n${at}`,
    );
    times.push(Math.round(tookMs));
    assert.deepEqual(sink.told, ["set Pod default/a"]);
  }
  // The median, since a machine that is busy with something else may well take longer once.
  assert.ok(times.sort((a, b) => a - b)[1]! < 100, `took ${times.join(", ")} ms`);
});

/** As editors save: whole, under another name, then renamed. */
function replaceFile(path: string, text: string): void {
  writeFileSync(join(folder, `${path}.tmp`), text);
  renameSync(join(folder, `${path}.tmp`), join(folder, path));
}

test("the second of two quick saves is not lost", async () => {
  write("a.yaml", pod("a"));
  const { cluster, sink } = await started();
  write("a.yaml", pod("a", "edit: x1"));
  await until(cluster, () => sink.objects.get("Pod default/a")?.metadata.labels?.["edit"] === "x1");
  write("a.yaml", pod("a", "edit: x2"));
  await until(cluster, () => sink.objects.get("Pod default/a")?.metadata.labels?.["edit"] === "x2");
});

test("a file that is removed and written anew at once is an edit, not an absence", async () => {
  write("a.yaml", pod("a"));
  const { cluster, sink } = await started();
  sink.told = [];
  rmSync(join(folder, "a.yaml"));
  write("a.yaml", "");
  write("a.yaml", pod("a", "edit: again"));
  await until(cluster, () => sink.told.length > 0);
  assert.deepEqual(sink.told, ["set Pod default/a"]);
});

test("a folder that is removed and restored, even the whole one, ends in the same objects", async () => {
  write("shop/a.yaml", deployment("cart", 3));
  write("b.yaml", pod("b"));
  const { cluster, sink } = await started();
  const before = new Map(sink.objects);
  for (const away of [join(folder, "shop"), folder]) {
    renameSync(away, join(top, "away"));
    await until(cluster, () => sink.objects.size === (away === folder ? 0 : 1));
    renameSync(join(top, "away"), away);
    await until(cluster, () => sink.objects.size === before.size);
    assert.deepEqual(new Map([...sink.objects].sort()), new Map([...before].sort()));
  }
  write("b.yaml", pod("b", "edit: still-watched"));
  await until(cluster, () => sink.objects.get("Pod default/b")?.metadata.labels?.["edit"] === "still-watched");
});

test("a file that cannot be read is one problem with its name, and its objects stay", async () => {
  write("a.yaml", pod("a"));
  const { cluster, names } = await started();
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    [Buffer.alloc(FILE_BYTES_MAX + 1, "#"), /^it is larger than 10 MiB; split it/],
    [Uint8Array.of(0xff, 0xfe, 0x61), /^it is not UTF-8/],
    ["a: [", /^Flow sequence in block collection must be/],
  ];
  for (const [text, reason] of cases) {
    write("a.yaml", text);
    await until(cluster, () => reason.test(cluster.problems[0]?.message ?? ""));
    assert.equal(cluster.problems.length, 1);
    assert.match(cluster.problems[0]!.origin, /^a\.yaml:\d+$/);
    assert.deepEqual(names(), ["a"]);
  }
  write("a.yaml", pod("a2"));
  await until(cluster, () => cluster.problems.length === 0);
  assert.deepEqual(names(), ["a2"]);
});

test("a link inside the folder counts, and one that leads out of it is a problem", async () => {
  write("a.yaml", pod("a"));
  write(".store/b", pod("b"));
  writeFileSync(join(top, "secret.yaml"), pod("secret"));
  symlinkSync(join(folder, ".store", "b"), join(folder, "b.yaml"));
  symlinkSync(join(top, "secret.yaml"), join(folder, "c.yaml"));
  const { cluster, names } = await started();
  assert.deepEqual(names().sort(), ["a", "b"]);
  assert.match(cluster.problems[0]!.message, /^it is a link that leads out of the folder/);
  assert.equal(cluster.problems[0]!.origin, "c.yaml:1");
});

test("a folder that is missing, or a file, is one sentence", async () => {
  const missing = {
    code: "absent",
    message: `the manifest folder ${top}/none does not exist; create it or name another one`,
  };
  await assert.rejects(started({ folder: join(top, "none") }), missing);
  write("a.yaml", "");
  await assert.rejects(started({ folder: join(folder, "a.yaml") }), {
    code: "invalid",
    message: /is a file; name the folder/,
  });
  await assert.rejects(
    started({ podCidr: "10.0.0.0/33" }),
    (error) => error instanceof MeshError && error.code === "invalid",
  );
});

test("only the kinds that the sink reads reach it, and those that nobody reads are listed", async () => {
  write("a.yaml", `${deployment("cart", 1)}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n`);
  const { cluster, sink } = await started();
  assert.deepEqual(
    sink.told.map((line) => line.split(" ")[1]),
    ["Pod"],
  );
  assert.deepEqual(cluster.unknownKinds, [{ apiVersion: "v1", kind: "ConfigMap", count: 1, origin: "a.yaml:11" }]);
});

test("after a restart pods have the addresses they had, even those that a fresh start would give others", async () => {
  write("a.yaml", deployment("cart", 3));
  write("b.yaml", deployment("till", 3));
  const small = { podCidr: "10.1.0.0/28", nodeCidr: "10.2.0.0/24" };
  const first = await started(small);
  rmSync(join(folder, "a.yaml"));
  await until(first.cluster, () => first.sink.objects.size === 3);
  write("a.yaml", deployment("cart", 5));
  await until(first.cluster, () => first.sink.objects.size === 8);
  await first.cluster.close();
  const second = await started(small);
  assert.deepEqual(new Map([...second.sink.objects].sort()), new Map([...first.sink.objects].sort()));
  assert.match(readFileSync(join(top, "state", "assignments.json"), "utf8"), /"pods"/);
});

test("saved addresses that cannot be read cost a warning, not the start", async () => {
  write("a.yaml", pod("a"));
  mkdirSync(join(top, "state"));
  writeFileSync(join(top, "state", "assignments.json"), "{");
  const { cluster, names } = await started();
  assert.deepEqual(names(), ["a"]);
  assert.match(cluster.problems[0]!.message, /^the saved addresses in .* cannot be read: .*; starting with new ones$/);
});

test("two clusters in one process share nothing", async () => {
  write("a.yaml", pod("a"));
  const east = await started();
  const west = await started({
    cluster: clusterId("west"),
    podCidr: "10.245.0.0/16",
    store: new FileAssignmentStore(join(top, "w.json")),
  });
  const [a, b] = [east.sink.objects.get("Pod default/a")!, west.sink.objects.get("Pod default/a")!];
  assert.notEqual(a.metadata.uid, b.metadata.uid);
  assert.match(JSON.stringify(a["status"]), /"10\.244\./);
  assert.match(JSON.stringify(b["status"]), /"10\.245\./);
});

test("a further folder is the same cluster, and its files are followed as well", async () => {
  const furtherFolder = join(top, "links");
  mkdirSync(furtherFolder);
  write("a.yaml", pod("a"));
  writeFileSync(join(furtherFolder, "b.yaml"), pod("b"));
  const { cluster, names } = await started({ furtherFolders: [furtherFolder] });
  assert.deepEqual(names().sort(), ["a", "b"]);
  rmSync(join(furtherFolder, "b.yaml"));
  await until(cluster, () => !names().includes("b"));
  writeFileSync(join(furtherFolder, "c.yaml"), "kind: [");
  await until(cluster, () => cluster.problems.length > 0);
  assert.equal(cluster.problems[0]!.origin, `${furtherFolder}/c.yaml:1`);
});
