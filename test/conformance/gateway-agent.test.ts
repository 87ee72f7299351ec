import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { after, before, test } from "mocha";
import { TestAuthority } from "../kits/tls.ts";
import { endWithUs, eventually } from "./causeway-process.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { AgentLab, echoed, get } from "./gateway-agent-lab.ts";

const lab = new AgentLab();
let envoy = "";

before(async function () {
  const found = await envoyBinary();
  if (typeof found !== "string") {
    console.log(`    skipped: ${found.missing}`);
    this.skip();
  }
  envoy = found;
  await lab.start();
});
after(() => lab.stop());

const serialOf = (socket: TLSSocket): string => socket.getPeerCertificate().serialNumber;
/** Of one that has ended, and whose end nobody has asked for yet, no program is left. */
const alive = (pid: number): boolean => existsSync(`/proc/${pid}/exe`);

test("Envoy starts with the agent's certificate, is configured over mutual TLS, and only then ready", async () => {
  const gateway = await lab.gateway("first", "--envoy", envoy);
  await eventually("Envoy asks the control plane", 20_000, () => lab.ads.seen.length > 0);
  assert.deepEqual(lab.ads.seen[0], {
    node: "waypoint~127.0.0.1~waypoint-1.shop~shop.svc.cluster.local",
    chain: 2,
  });
  await eventually("it says what it waits for", 5_000, async () =>
    /^not ready: Envoy is \w+: (the control plane|it has no listener)/.test((await gateway.readiness()).text),
  );
  const ports = await lab.listeners();
  await gateway.becomesReady();
  assert.equal(await get(await lab.http(ports.hbone)), "hello");
  assert.equal(await echoed(await lab.tcp(ports.tcp), "a"), "a");
  assert.doesNotMatch(gateway.log, /the CA has not answered|deprecated|\[error\]|\[critical\]/i);
  await gateway.kill();
});

test("the bootstrap is one that a strict Envoy takes without a word", async () => {
  const run = promisify(execFile);
  const file = join(lab.folder, "first", "bootstrap.json");
  const strict = ["--mode", "validate", "--reject-unknown-dynamic-fields", "-l", "warning", "-c", file];
  const { stdout, stderr } = await run(envoy, [...strict, "--use-dynamic-base-id"]);
  assert.match(stdout + stderr, /bootstrap\.json' OK/);
  assert.doesNotMatch(stdout + stderr, /warning|deprecated/i);
});

test("a renewal drops no connection: old ones go on, and new ones see the new certificate, in both forms of SDS", async () => {
  const ports = await lab.listeners();
  const gateway = await lab.gateway("renewal", "--envoy", envoy);
  await gateway.becomesReady();
  const [session, socket] = [await lab.http(ports.hbone), await lab.tcp(ports.tcp)];
  const before = serialOf(socket);
  assert.equal(serialOf(session.socket as TLSSocket), before);
  // Another root is another reason to renew.
  writeFileSync(lab.rootFile, `${lab.root.root}\n${(await TestAuthority.create("CN=next")).root}\n`);
  for (const [what, open] of [
    ["by deltas", async () => serialOf((await lab.http(ports.hbone)).socket as TLSSocket)],
    ["by the whole state", async () => serialOf(await lab.tcp(ports.tcp))],
  ] as const)
    await eventually(`Envoy shows the new certificate, read ${what}`, 15_000, async () => (await open()) !== before);
  assert.equal(await get(session), "hello");
  assert.equal(await echoed(socket, "still here"), "still here");
  assert.equal(serialOf(socket), before);
  const stats = await gateway.envoy("/stats?filter=update_rejected|sds");
  assert.doesNotMatch(stats, /update_rejected: [1-9]/);
  await gateway.kill();
});

/** What SPIRE is to know of the gateway, and what starts it so that nobody else could give it an identity. */
function registered(selectors: readonly string[]): {
  readonly register: () => void;
  readonly flags: readonly string[];
} {
  const entry = { id: "waypoint", spiffeId: "spiffe://cluster.local/ns/shop/sa/waypoint", selectors };
  const register = (): void => void lab.spire.entries.put({ ...entry, parentId: lab.spire.agents[0]!.id });
  register();
  return { register, flags: ["--service-account", "waypoint", "--ca", "127.0.0.1:1", "--token", "/absent"] };
}

test("SPIRE's identities reach Envoy as they rotate: no restart, no connection lost, and the CA is never asked", async () => {
  const ports = await lab.listeners();
  const pod = ["k8s:ns:shop", "k8s:pod-name:waypoint-1"];
  const { register, flags } = registered(pod);
  const agent = await lab.spire.agentSocket(pod);
  const gateway = await lab.gateway("spire", "--envoy", envoy, ...flags, "--spire-agent", agent.path);
  await gateway.becomesReady();
  const { envoyPid } = gateway;
  const [session, bytes] = [await lab.http(ports.hbone), await lab.tcp(ports.tcp)];
  const first = serialOf(bytes);
  const shown = async (): Promise<string> => serialOf(await lab.tcp(ports.tcp));
  register();
  await eventually("Envoy shows the next SVID", 15_000, async () => (await shown()) !== first);
  const second = await shown();
  // The entry is gone, and so is the agent: what there is goes on.
  lab.spire.entries.remove("waypoint");
  await eventually("the loss is told", 15_000, () => gateway.log.includes("no new identity from SPIRE"));
  await agent.stop();
  assert.equal(await get(session), "hello");
  assert.equal(await echoed(bytes, "still here"), "still here");
  assert.equal(await shown(), second);
  assert.ok((await gateway.readiness()).ok);
  register();
  await agent.resume();
  await eventually("it takes up what comes after", 30_000, async () => ![first, second].includes(await shown()));
  assert.equal(await get(session), "hello");
  assert.equal(gateway.log.split("Envoy is started").length, 2, "once");
  assert.ok(alive(envoyPid));
  await gateway.kill();
  await agent.stop();
});

test("SPIRE's agent is asked for Envoy's own process, whose identity comes once it runs", async () => {
  const ports = await lab.listeners();
  const { flags } = registered([`unix:path:${envoy}`]);
  const delegate = ["--spire-admin-socket", lab.spire.adminSocket, "--spire-selectors", "envoy"];
  const gateway = await lab.gateway("delegate", "--envoy", envoy, ...flags, ...delegate);
  await eventually("Envoy runs", 20_000, () => gateway.envoyPid > 0);
  assert.match((await gateway.readiness()).text, /^not ready: there is no identity from SPIRE yet/);
  lab.spire.processes.set(gateway.envoyPid, [`unix:path:${envoy}`]);
  await gateway.becomesReady();
  const { subjectaltname } = (await lab.tcp(ports.tcp)).getPeerCertificate();
  assert.equal(subjectaltname, "URI:spiffe://cluster.local/ns/shop/sa/waypoint");
  await gateway.kill();
});

test("when it is stopped, callers are told to go, what is open goes on, and the end is clean", async () => {
  const ports = await lab.listeners();
  const gateway = await lab.gateway("drain", "--envoy", envoy, "--drain", "30s");
  await gateway.becomesReady();
  const { envoyPid } = gateway;
  const [session, socket] = [await lab.http(ports.hbone), await lab.tcp(ports.tcp)];
  const told = once(session, "goaway");
  gateway.stop();
  await eventually("it drains", 5_000, () => gateway.log.includes("draining"));
  assert.match((await gateway.readiness()).text, /^not ready: the gateway is being stopped, and drains/);
  assert.equal(await get(session), "hello");
  await told;
  const late = await lab.http(ports.hbone);
  assert.equal(await get(late), "hello", "who has not heard yet is served");
  late.close();
  assert.equal(await echoed(socket, "b"), "b");
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  assert.equal(await echoed(socket, "c"), "c", "the shortest time is over, and this connection is still open");
  socket.end();
  assert.equal(await gateway.exit, 0);
  assert.match(gateway.log, /drained: no connection is open/);
  assert.ok(!alive(envoyPid));
});

test("a connection that stays is cut when the time to drain is over", async () => {
  const ports = await lab.listeners();
  const gateway = await lab.gateway("cut", "--envoy", envoy, "--drain", "2s");
  await gateway.becomesReady();
  const socket = await lab.tcp(ports.tcp);
  const cut = once(socket, "close");
  gateway.stop();
  assert.equal(await gateway.exit, 0);
  await cut;
  assert.match(gateway.log, /the time to drain is over: connections that are open are cut\s+connections=1/);
});

test("a second signal ends both at once", async () => {
  const ports = await lab.listeners();
  const gateway = await lab.gateway("twice", "--envoy", envoy);
  await gateway.becomesReady();
  await lab.tcp(ports.tcp);
  const { envoyPid } = gateway;
  gateway.stop();
  await eventually("it drains", 5_000, () => gateway.log.includes("draining"));
  const startedAt = performance.now();
  gateway.stop();
  assert.equal(await gateway.exit, 143);
  assert.ok(performance.now() - startedAt < 2_000);
  await eventually("Envoy is gone", 2_000, () => !alive(envoyPid));
});

test("an Envoy that ends by itself takes the agent with it, with a sentence", async () => {
  await lab.listeners();
  const gateway = await lab.gateway("killed", "--envoy", envoy);
  await gateway.becomesReady();
  process.kill(gateway.envoyPid, "SIGKILL");
  assert.equal(await gateway.exit, 2);
  assert.match(gateway.log, /causeway: Envoy ended by itself \(signal SIGKILL\), and its log says why/);
});

test("the Envoy of an agent that was killed is ended by the next, which answers for its own alone", async () => {
  await lab.listeners();
  const killed = await lab.gateway("leftover", "--envoy", envoy);
  await killed.becomesReady();
  const left = killed.envoyPid;
  await killed.killAlone();
  assert.ok(alive(left), "nobody has ended it");
  const next = await lab.gateway("leftover", "--envoy", envoy, "--envoy-admin-port", `${killed.adminPort}`);
  await next.becomesReady();
  assert.match(next.log, /the Envoy of an agent before us still runs: its connections are cut, and it is ended/);
  assert.ok(!alive(left) && alive(next.envoyPid));
  await next.kill();
});

test("an Envoy of another container waits for its bootstrap, and its preStop hook for the drain", async () => {
  const ports = await lab.listeners();
  const gateway = await lab.gateway("apart", "--drain", "20s");
  const file = join(lab.folder, "apart", "bootstrap.json");
  await eventually("the bootstrap is there", 20_000, () => existsSync(file));
  const flags = ["-c", file, "--use-dynamic-base-id", "-l", "off", "--drain-strategy", "immediate"];
  const other = spawn(envoy, flags, { stdio: "ignore" });
  endWithUs(other);
  await gateway.becomesReady();
  const session = await lab.http(ports.hbone);
  const hook = gateway.drain();
  await eventually("it drains", 5_000, () => gateway.log.includes("draining"));
  assert.equal(await get(session), "hello");
  assert.equal(await hook, "drained\n");
  assert.match(gateway.log, /drained: no connection is open/);
  assert.equal(other.exitCode, null, "it is the kubelet's to end");
  const gone = once(other, "exit");
  gateway.stop();
  assert.equal(await gateway.exit, 0);
  await gone;
});
