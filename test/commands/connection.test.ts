import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { type Connection, readConnection, writeConnection } from "../../src/commands/connection.ts";
import { MeshError } from "../../src/errors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "causeway-connection-"));
});
afterEach(() => rm(folder, { recursive: true }));

const connection: Connection = {
  cluster: "east",
  xds: "127.0.0.1:15012",
  admin: "http://127.0.0.1:15014",
  health: "http://127.0.0.1:8080",
  rootCertificate: "/state/root-cert.pem",
  token: "/state/token",
  pid: 4242,
};

test("what a control plane leaves is what other commands find, also in a folder that was not there", async () => {
  const state = join(folder, "deep", "state");
  await writeConnection(state, connection);
  assert.deepEqual(await readConnection(state), connection);
  await writeConnection(state, { ...connection, pid: 1 });
  assert.equal((await readConnection(state)).pid, 1);
});

test("a damaged file is told from an absent one, and both say what to do", async () => {
  await assert.rejects(readConnection(folder), (error) => {
    assert.ok(error instanceof MeshError && error.code === "absent");
    assert.match(error.message, /start one with "causeway demo", or say where one is with --admin <url>$/);
    return true;
  });
  for (const text of ["", "{", "null", "[]", '{"admin":7}', JSON.stringify({ ...connection, pid: "1" })]) {
    await writeFile(join(folder, "connection.json"), text);
    await assert.rejects(readConnection(folder), (error) => {
      assert.ok(error instanceof MeshError && error.code === "invalid", text);
      assert.match(error.message, /connection\.json is damaged: restart the control plane/);
      return true;
    });
  }
});
