import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { AdminServer } from "../../src/admin.ts";
import { proxyStatusCommand } from "../../src/commands/proxy-status.ts";
import type { ClientStatus } from "../../src/xds/client-status.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, FSDS_TYPE, SGDS_TYPE } from "../../src/xds/resource.ts";
import { client, NOW, type Ran, run, serve, subscription, viewedMesh } from "./served-mesh.ts";

let server: AdminServer | undefined;
afterEach(() => server?.close());

async function status(clients: readonly ClientStatus[], ...words: readonly string[]): Promise<Ran> {
  server = await serve(viewedMesh([], clients));
  return run(proxyStatusCommand, "--admin", `http://127.0.0.1:${server.adminPort}`, ...words);
}

const wads = (more = {}) => subscription({ typeUrl: AUTHORIZATION_TYPE, ...more });

test("clients that have all they should are listed as istioctl lists them, with exit code 0", async () => {
  const clients = [client("ztunnel-b", [subscription()]), client("ztunnel-a", [subscription(), wads()])];
  assert.deepEqual(await status(clients), {
    code: 0,
    err: "",
    out: [
      "NAME                     CLUSTER   ISTIOD     VERSION   SUBSCRIBED TYPES",
      "ztunnel-a.istio-system   east      istiod-1   1.31.0    2 (WADS,WDS)",
      "ztunnel-b.istio-system   east      istiod-1   1.31.0    1 (WDS)",
      "",
    ].join("\n"),
  });
});

test("a peer that reads us is listed with its own cluster and its three types, as guide 002 has it", async () => {
  const types = [ADDRESS_TYPE, FSDS_TYPE, SGDS_TYPE].map((typeUrl) => subscription({ typeUrl }));
  const ztunnel = client("ztunnel-5f8rb", [subscription(), wads()]);
  const plain = client("istiod-6bc6765484-5bbhd", types);
  const peer = {
    ...plain,
    cluster: "cluster2",
    node: { ...plain.node!, id: plain.node!.id.replace(/^ztunnel~/, "istiod~") },
  };
  const { out, code } = await status([ztunnel, peer]);
  assert.deepEqual(
    [
      code,
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {3,}/)),
    ],
    [
      0,
      [
        ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"],
        ["istiod-6bc6765484-5bbhd.istio-system", "cluster2", "istiod-1", "1.31.0", "3 (FSDS,SGDS,WDS)"],
        ["ztunnel-5f8rb.istio-system", "east", "istiod-1", "1.31.0", "2 (WADS,WDS)"],
      ],
    ],
  );
});

test("-v shows the state and age of each type", async () => {
  const fresh = { sentNonce: "1-5", sentAt: NOW - 2000 };
  const clients = [
    client("a", [subscription(), wads({ sentNonce: "", ackedNonce: "", sentAt: 0, ackedAt: 0 })]),
    client("b", [subscription(fresh)]),
    client("c", [subscription({ backlog: 3 })]),
  ];
  const { code, out } = await status(clients, "-v");
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {3,}/).slice(4)),
    [
      ["WADS", "WDS"],
      ["NOT SENT", "SYNCED (3m)"],
      ["IGNORED", "SYNCING (2s)"],
      ["IGNORED", "SYNCING (3m)"],
    ],
  );
});

test("a client that lags or refuses is a finding, with the reason, on standard error and as exit code 1", async () => {
  const clients = [
    client("lags", [subscription({ sentNonce: "1-5", sentAt: NOW - 60_000 })]),
    client("refuses", [wads({ sentNonce: "1-5", lastRejection: "unknown action\u001b[2J", rejections: 4 })]),
    client("fine", [subscription()]),
  ];
  const { code, err, out } = await status(clients, "-v");
  assert.equal(code, 1);
  assert.deepEqual(err.split("\n"), [
    "lags.istio-system has not taken WDS: STALE (1m)",
    "refuses.istio-system has not taken WADS: NACKED: unknown action\\u{1b}[2J",
    "",
  ]);
  assert.ok(!out.includes("\u001b"));
});

test("a part of a name narrows the list, and what it leaves out is no finding", async () => {
  const clients = [client("a", [subscription()]), client("b", [subscription({ lastRejection: "no" })])];
  const { code, out } = await status(clients, "a.istio", "-o", "json");
  assert.equal(code, 0);
  assert.deepEqual(
    (JSON.parse(out) as { proxy: string }[]).map(({ proxy }) => proxy),
    ["a.istio-system"],
  );
});

test("syncz has istiod's names for who a client is, and leaves out streams that asked for nothing", async () => {
  const silent = { ...client("silent", []), node: undefined };
  const { out } = await status([client("a", [subscription()]), silent, client("asked-nothing", [])], "-o", "json");
  const [only, ...more] = JSON.parse(out) as Record<string, unknown>[];
  assert.deepEqual(more, []);
  assert.deepEqual(
    [only!["proxy"], only!["proxy_type"], only!["cluster_id"], only!["istio_version"]],
    ["a.istio-system", "ztunnel", "east", "1.31.0"],
  );
  assert.deepEqual((only!["types"] as Record<string, unknown>[])[0], {
    name: "WDS",
    type_url: "type.googleapis.com/istio.workload.Address",
    state: "SYNCED",
    wildcard: true,
    subscribed: 0,
    sent: "1-4",
    acked: "1-4",
    sent_at: "2026-11-21T05:57:00.000Z",
    acked_at: "2026-11-21T05:57:00.010Z",
    sent_ms_ago: 180_000,
    last_error: "",
    rejections: 0,
    backlog: 0,
  });
});
