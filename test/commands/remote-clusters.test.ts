import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { AdminServer } from "../../src/admin.ts";
import { remoteClustersCommand } from "../../src/commands/remote-clusters.ts";
import { CLUSTERS, type Ran, run, serve, viewedMesh } from "./served-mesh.ts";

let server: AdminServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function listed(clusters: typeof CLUSTERS, ...words: readonly string[]): Promise<Ran> {
  server = await serve({ ...viewedMesh([]), clusters: () => clusters });
  return run(remoteClustersCommand, "--admin", `http://127.0.0.1:${server.adminPort}`, ...words);
}

test("remote-clusters lists our own cluster, then the others, and says what is wrong with one", async () => {
  const { code, out, err } = await listed(CLUSTERS);
  assert.equal(
    out,
    [
      "NAME   SECRET                                  STATUS    ISTIOD",
      "east                                           synced    istiod-1",
      "west   istio-system/istio-remote-secret-west   timeout   istiod-1",
      "",
    ].join("\n"),
  );
  assert.equal(err, "cluster west is timeout: https://10.9.0.1:6443 does not answer; what is served of it is 2m old\n");
  assert.equal(code, 1);
});

test("remote-clusters ends well if every cluster is synced, and warns of new credentials that do not work", async () => {
  const west = { ...CLUSTERS[1]!, state: "synced", staleMs: undefined } as const;
  const good = await listed([CLUSTERS[0]!, { ...west, reason: "" }]);
  assert.deepEqual([good.code, good.err], [0, ""]);
  await server?.close();
  const warned = await listed([{ ...west, reason: "the token was refused" }]);
  assert.deepEqual([warned.code, warned.err], [0, "cluster west is synced: the token was refused\n"]);
});

test("remote-clusters prints what scripts read, in the names that istioctl knows", async () => {
  const { out } = await listed(CLUSTERS, "-o", "json");
  assert.deepEqual(JSON.parse(out), [
    { id: "east", secretName: "", syncStatus: "synced", since: "", reason: "", control_plane: "istiod-1" },
    {
      id: "west",
      secretName: "istio-system/istio-remote-secret-west",
      syncStatus: "timeout",
      since: "2026-11-21T05:58:30.000Z",
      reason: "https://10.9.0.1:6443 does not answer",
      staleMs: 120_000,
      control_plane: "istiod-1",
    },
  ]);
});
