import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { AdminServer } from "../../src/admin.ts";
import { topologyCommand } from "../../src/commands/multicluster-topology.ts";
import { CLUSTERS, run, serve, SHOP, viewedMesh } from "./served-mesh.ts";

const running: AdminServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function adminOf(viewed: Parameters<typeof serve>[0]): Promise<string> {
  const server = await serve(viewed);
  running.push(server);
  return `http://127.0.0.1:${server.adminPort}`;
}

test("topology prints each link with its age, says what is wrong, and ends with 1 if one is not live", async () => {
  const admin = await adminOf(viewedMesh(SHOP));
  const { code, out, err } = await run(topologyCommand, "--admin", admin);
  assert.equal(code, 1);
  assert.deepEqual(
    out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/)),
    [
      ["CLUSTER", "DIRECTION", "VIA", "STATE", "FOR", "AGE", "SERVICES", "DENIED", "REASON"],
      ["west", "we read", "secret", "stale", "1m", "2m", "-", "-", "timeout"],
    ],
  );
  assert.match(err, /^west is stale: https:\/\/10\.9\.0\.1:6443 does not answer\n/);
});

test("a mesh of one cluster is well, and JSON is what the page is made of", async () => {
  const admin = await adminOf({ ...viewedMesh(SHOP), clusters: () => CLUSTERS.slice(0, 1) });
  const { code, out } = await run(topologyCommand, "--admin", admin, "-o", "json");
  const { schema, cluster, links } = JSON.parse(out) as { schema: string; cluster: string; links: unknown[] };
  assert.deepEqual([code, schema, cluster, links], [0, "causeway.dev/topology/v1", "east", []]);
});
