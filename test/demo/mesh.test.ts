import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { leaveConnection } from "../../src/commands/demo-client.ts";
import { DemoMesh } from "../../src/demo/mesh.ts";

let folder: string;
let open: DemoMesh[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "demo-"));
  open = [];
});
afterEach(async () => {
  for (const mesh of open) await mesh.close();
  await rm(folder, { recursive: true });
});

const { signal } = new AbortController();

function meshIn(state: string, identity = "spire"): DemoMesh {
  const options = { state, identity, xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" };
  const mesh = new DemoMesh({ options });
  open.push(mesh);
  return mesh;
}

test("a second demo on the same folder is refused, and takes no socket from the first", async () => {
  const first = meshIn(folder);
  await first.start(signal);
  const { config, spireDir } = first.configs[0]!;
  const plane = first.planes.get("edge")!;
  await leaveConnection(plane, config, undefined, process.pid);
  await assert.rejects(
    meshIn(folder).start(signal),
    /edge is the state folder of the control plane at .*--state <dir>/,
  );
  assert.ok(existsSync(join(spireDir!, "server.sock")));
});

test("a demo without SPIRE, with it, and without it again is ready each time, on one state folder", async () => {
  for (const identity of ["mesh", "spire", "mesh"]) {
    const mesh = meshIn(folder, identity);
    await mesh.start(AbortSignal.timeout(10_000));
    assert.equal(mesh.planes.size, 3, identity);
    await mesh.close();
  }
}).timeout(40_000);
