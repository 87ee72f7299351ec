import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { writeFirst, writeWhole } from "../src/whole-file.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-files-"))));
afterEach(() => rmSync(folder, { recursive: true }));

test("a file is replaced whole, whoever writes it at the same time, and nothing is left beside it", async () => {
  const path = join(folder, "deep", "state.json");
  const texts = Array.from({ length: 20 }, (_, at) => `${at}`.repeat(10_000));
  await Promise.all(texts.map((text) => writeWhole(path, text)));
  assert.ok(texts.includes(readFileSync(path, "utf8")));
  assert.deepEqual(readdirSync(join(folder, "deep")), ["state.json"]);
});

test("of several who write a file first, one does, and the others learn it", async () => {
  const path = join(folder, "keys", "key.pem");
  const written = await Promise.all(["a", "b", "c"].map((text) => writeFirst(path, text, 0o600)));
  assert.equal(written.filter(Boolean).length, 1);
  assert.ok(["a", "b", "c"][written.indexOf(true)] === readFileSync(path, "utf8"));
  assert.deepEqual(readdirSync(join(folder, "keys")), ["key.pem"]);
});

test("a secret and the folder made for it are the owner's alone", async () => {
  const path = join(folder, "keys", "key.pem");
  await writeWhole(path, "secret", 0o600);
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(folder, "keys")).mode & 0o777], [0o600, 0o700]);
});
