import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { AdminServer } from "../../src/admin.ts";
import { topologyCommand } from "../../src/commands/multicluster-topology.ts";
import { DrilledSites, pods } from "../kits/drilled-sites.ts";
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

test("what is drained is said with what that means for calls, state by state", async () => {
  const sites = new DrilledSites({ east: 1, west: 1, north: 0 }).start();
  const { registry } = sites.all.site("east");
  const admin = await adminOf({ ...viewedMesh([]), registry, clusters: () => CLUSTERS.slice(0, 1) });
  const said = async (): Promise<string> =>
    (await run(topologyCommand, "--admin", admin)).err.replace(/^\d+ .*\n/gm, "");
  assert.equal(await said(), "");
  sites.drainCart("east", sites.in(600_000));
  assert.match(await said(), /^Service shop\/cart is leaving, to be drained until 2023-11-14T22:23:20Z: [^\n]+\n$/);
  sites.pass(5_000);
  assert.match(await said(), /^Service shop\/cart is drained until 2023-11-14T22:23:20Z: [^\n]+\n$/);
  sites.all.site("west").remove(...pods(1));
  sites.settle();
  assert.match(await said(), /^Service shop\/cart is to be drained until [^,]+, and keeps its calls: [^\n]+\n$/);
  sites.drainCart("east", undefined);
  sites.all.site("west").apply(...pods(1));
  sites.drainPeer("east", "west", sites.in(600_000));
  assert.match(await said(), /^Peer west is drained here until 2023-11-14T22:23:25Z: [^;]+ ready endpoints\.\n$/);
  sites.all.site("east").remove(...pods(1));
  sites.settle();
  assert.match(await said(), /^Peer west is drained [^;]+; 1 of them keeps its calls, as no other has\.\n$/);
});
