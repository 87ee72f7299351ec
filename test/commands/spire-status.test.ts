import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "mocha";
import { AdminServer } from "../../src/admin.ts";
import { spireCommands } from "../../src/commands/spire.ts";
import { spireView } from "../../src/commands/spire-view.ts";
import { DebugPages } from "../../src/debug-page.ts";
import { parseLogLevels } from "../../src/log-levels.ts";
import { LogScopes } from "../../src/log.ts";
import { PrometheusMetrics } from "../../src/prometheus.ts";
import type { SpireFacts } from "../../src/spire/status/facts.ts";
import { systemClock } from "../../src/system-host.ts";
import { agent, bundle, census, goodFacts, NOW, peer, registrar, root, server } from "../spire/status/good-facts.ts";
import { type Ran, run, serve, viewedMesh } from "./served-mesh.ts";

const golden = join(import.meta.dirname, "..", "..", "..", "test", "commands", "golden");

/** `UPDATE=1` writes them anew. */
function assertGolden(name: string, text: string): void {
  const path = join(golden, name);
  if (process.env["UPDATE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

let admin: AdminServer | undefined;
afterEach(async () => {
  await admin?.close();
  admin = undefined;
});

/** What the command says of a control plane that knows this. */
async function status(facts: SpireFacts, ...words: readonly string[]): Promise<Ran> {
  const page = { name: "spirez", help: "", render: () => spireView(facts, "istiod-1") };
  const log = new LogScopes({ now: () => NOW, write: () => {} }, parseLogLevels("test", "info"));
  const host = { clock: systemClock, log, metrics: new PrometheusMetrics() };
  const pages = new DebugPages([page]);
  const ports = { address: "127.0.0.1", healthPort: 0, adminPort: 0 };
  admin = new AdminServer(host, { ...ports, checks: () => [], pages: () => pages });
  await admin.start();
  return run(spireCommands, "status", "--admin", `http://127.0.0.1:${admin.adminPort}`, ...words);
}

/** SPIRE's server has been away for a while, after an entry was removed. */
const TROUBLED = goodFacts({
  server: server({
    connected: false,
    error: "SPIRE's server at 10.9.0.1:8081: nothing listens there: is it running? (UNAVAILABLE: ECONNREFUSED)",
    ...{ answeredAt: NOW - 300_000, inFlight: 0 },
  }),
  bundles: [
    bundle({ roots: [root("a"), root("d", { tainted: true })], saidAt: NOW - 300_000 }),
    bundle({ trustDomain: "west.test", roots: [root("b")], sequence: undefined, saidAt: NOW - 300_000 }),
  ],
  peers: [
    peer({
      announced: [root("b").sha256, root("c").sha256],
      held: [root("b").sha256],
      missing: [root("c").sha256],
      ageMs: 90_000,
    }),
  ],
  census: census({
    ...{ at: NOW - 320_000, uncovered: 1, bareNodes: ["node-3"], trouble: "nothing listens there" },
    shown: [
      {
        ...{ spiffeId: "spiffe://east.test/ns/shop/sa/cart", node: "node-3" },
        why: "SPIRE has no live agent on node node-3, so nobody vouches for pods there as spiffe://east.test/ns/shop/sa/cart: run one",
      },
    ],
  }),
  registration: {
    ...goodFacts().registration!,
    state: registrar({ phase: "failing", reason: "nothing listens there", settledAt: NOW - 320_000 }),
  },
  delegates: [{ who: "Gateway shop/waypoint", spiffeId: "spiffe://east.test/ns/shop/sa/waypoint", proven: 0 }],
  refused: [
    {
      ...{ spiffeId: "spiffe://east.test/ns/shop/sa/web", at: NOW - 30_000, node: "node-1" },
      why: "SPIRE's server at 10.9.0.1:8081: nothing listens there",
    },
  ],
});

test("spire status is a line for each check, and ends well where nothing is wrong", async () => {
  const { code, out, err } = await status(goodFacts());
  assertGolden("spire-status-good.txt", out);
  assert.deepEqual([code, err], [0, ""]);
});

test("spire status says under each check that is not ok what mends it, and its exit code is 1", async () => {
  const { code, out } = await status(TROUBLED);
  assertGolden("spire-status-troubled.txt", out);
  assert.equal(code, 1);
});

test("spire status prints what scripts read: all that is known, and the checks with their states", async () => {
  const { code, out } = await status(TROUBLED, "-o", "json");
  assertGolden("spire-status-troubled-json.txt", out);
  assert.equal(code, 1);
});

test("a warning, or what cannot be seen from here, is no reason for a script to stop", async () => {
  const warned = goodFacts({
    agent: agent({ connected: false, error: undefined }),
    server: server({ inFlight: 16, waiting: 100 }),
  });
  const { code, out } = await status(warned);
  assert.match(out, /^warn +server .*100 waiting/m);
  assert.match(out, /^unknown +agent /m);
  assert.equal(code, 0);
});

test("what an agent or a server says cannot move the cursor", async () => {
  const { out } = await status(goodFacts({ agent: agent({ connected: false, error: "\u001b[2Jgone" }) }));
  assert.match(out, /\\u\{1b\}\[2Jgone/);
});

test("a control plane that asks nothing of SPIRE says so", async () => {
  admin = await serve(viewedMesh([]));
  const { code, out } = await run(spireCommands, "status", "--admin", `http://127.0.0.1:${admin.adminPort}`);
  assert.equal(out, "ok       mode  mesh: our own authority signs for workloads, and not SPIRE\n");
  assert.equal(code, 0);
});
