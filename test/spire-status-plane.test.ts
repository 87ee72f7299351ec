import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { type RunningPlane, startPlane } from "../src/commands/running-plane.ts";
import { spireCommands } from "../src/commands/spire.ts";
import type { SpireStatusView } from "../src/commands/spire-view.ts";
import type { Options } from "../src/command.ts";
import { loadConfig } from "../src/config.ts";
import { k8sAgent } from "../src/demo/spire/agent-service.ts";
import type { NewEntry } from "../src/demo/spire/entries.ts";
import { SpireStandIn } from "../src/demo/spire/stand-in.ts";
import { type Ran, run } from "./commands/served-mesh.ts";
import { realHost } from "./kits/real-host.ts";
import { until } from "./kits/until.ts";

const folder = mkdtempSync(join(tmpdir(), "causeway-spire-status-"));
const trustDomain = "shop.test";
const admin = `spiffe://${trustDomain}/ns/istio-system/sa/istiod`;
const OURS = ["k8s:ns:istio-system", "k8s:sa:istiod"];
let spire: SpireStandIn;
let plane: RunningPlane;
/** Our own entry. */
let us: NewEntry;

/** The example's cluster, and SPIRE's stand-in, whose server knows us as an administrator, and no agent on one of two nodes. */
before(async () => {
  const agent = k8sAgent(trustDomain, "east", "harbour-1", Number.MAX_SAFE_INTEGER);
  const shape = { host: realHost(), folder: join(folder, "spire"), trustDomain, agents: [agent] };
  spire = await SpireStandIn.start(shape);
  us = { id: "us", spiffeId: admin, parentId: agent.id, selectors: OURS, admin: true };
  spire.entries.put(us);
  const socket = await spire.agentSocket(OURS);
  const agentSocket = `unix:${socket.path}`;
  plane = await start({ identity: "spire", spireServer: `127.0.0.1:${spire.tcpPort}`, spireAgent: agentSocket });
});
after(async () => {
  await plane.close();
  await spire.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(how: Options): Promise<RunningPlane> {
  const flags = {
    ...{ cluster: "east", manifests: [join(import.meta.dirname, "..", "..", "examples", "shop")], trustDomain },
    ...{ state: join(folder, String(how["identity"])), xdsPort: "0", adminPort: "0", healthPort: "0" },
    ...{ log_output_level: "none", ...how },
  };
  const config = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" });
  return startPlane({ config, openToAll: false });
}

const status = (...words: readonly string[]): Promise<Ran> =>
  run(spireCommands, "status", "--admin", `http://127.0.0.1:${plane.admin.adminPort}`, ...words);

async function states(): Promise<Readonly<Record<string, string>>> {
  const { checks } = JSON.parse((await status("-o", "json")).out) as SpireStatusView;
  return Object.fromEntries(checks.map(({ name, state }) => [name, state]));
}

test("of a running control plane spire status says what works, and for whom SPIRE lacks entries and agents", async () => {
  await until(() => plane.plane.registration()?.census?.at !== undefined);
  const { entries, "node agents": agents, templates, ...rest } = await states();
  assert.deepEqual([entries, agents, templates], ["fail", "fail", "unknown"]);
  assert.deepEqual(rest, {
    ...{ mode: "ok", server: "ok", agent: "ok", identity: "ok", "may sign": "ok", "bundle shop.test": "ok" },
    ...{ delegates: "ok", refusals: "ok" },
  });
  const { code, out } = await status();
  assert.equal(code, 1);
  assert.match(out, /^ok +identity +we are spiffe:\/\/shop\.test\/ns\/istio-system\/sa\/istiod until /m);
  assert.match(out, /^fail +node agents +1 live agent for 2 nodes .*; none on harbour-2$/m);
  assert.match(out, /^fail +entries +1 in all, counted .* they hold for 0 of \d+ identities on nodes/m);
  assert.match(out, /^shop\.test +[0-9a-f]{16} .* SPIRE's server$/m);
});

test("before SPIRE signs, spire status says who would be refused then, and believes nothing that SPIRE says", async () => {
  const before = await start({ identity: "mesh", spireServer: `unix:${spire.socketPath}` });
  try {
    const registration = () => before.plane.registration();
    await until(() => registration()?.census?.at !== undefined);
    const { out } = await run(spireCommands, "status", "--admin", `http://127.0.0.1:${before.admin.adminPort}`);
    assert.match(out, /^ok +mode +mesh: /m);
    assert.match(out, /^ok +may sign +over its socket we are SPIRE's operator/m);
    assert.match(out, /^fail +entries .* they hold for 0 of \d+ identities on nodes/m);
    assert.doesNotMatch(out, /TRUST DOMAIN/);
    assert.match(registration()!.problems[0]!.message, /identities .* would get no certificate with --identity spire/);
  } finally {
    await before.close();
  }
});

test("once our entry is no administrator's spire status names it, with what it lacks", async () => {
  spire.entries.put({ ...us, admin: false });
  const isDenied = () => [...plane.plane.spire()!.server!.rights.values()].some(({ denied }) => denied !== undefined);
  await until(isDenied);
  const { out } = await status();
  assert.match(out, /^fail +may sign .*\n +fix +at SPIRE's server .*: give the entry of spiffe:.*istiod admin: true/m);
  spire.entries.put(us);
  await until(() => [...plane.plane.spire()!.server!.rights.values()].every(({ denied }) => denied === undefined));
  assert.equal((await states())["may sign"], "ok");
});

test("once the server is away spire status says so, and that the rest is as it was last known", async () => {
  await spire.stop();
  await until(() => plane.plane.spire()?.server?.connected === false);
  const { out } = await status();
  assert.match(out, /^fail +server +SPIRE's server at 127\.0\.0\.1:\d+.*\n +fix +.*good until they end$/m);
  assert.match(out, /^ok +may sign /m);
});
