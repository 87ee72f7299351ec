import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { afterEach, test } from "mocha";
import { SpireStandIn } from "../../src/demo/spire/stand-in.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";
import { agentLab, eavesdropper, secretOf, startAgent } from "./agent-lab.ts";

const OURS = "spiffe://cluster.local/ns/shop/sa/waypoint";
const CART = "spiffe://cluster.local/ns/shop/sa/cart";
/** What attestation finds of our pod. */
const POD = ["k8s:ns:shop", "k8s:sa:waypoint", "k8s:pod-name:waypoint-1"];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A gateway's agent beside SPIRE, whose authority is not the mesh's; whoever is asked for certificates is heard. */
async function spireLab() {
  const lab = await agentLab();
  const spire = await SpireStandIn.start({
    host: realHost(),
    folder: lab.folder.at("spire"),
    trustDomain: "cluster.local",
    authorizedDelegates: [CART],
  });
  cleanups.push(() => spire.close());
  const { address: ca, heard } = await eavesdropper(lab);
  rmSync(lab.folder.at("token"));
  const register = (spiffeId = OURS, selectors: readonly string[] = POD): void =>
    void spire.entries.put({ id: spiffeId.slice(-4), spiffeId, parentId: spire.agents[0]!.id, selectors });
  const start = (options: Readonly<Record<string, string>>) =>
    startAgent(lab, { ca, serviceAccount: "waypoint", trustDomain: "cluster.local", ...options });
  return { lab, spire, register, start, caHeard: () => heard().length };
}

/** What Envoy shows, with its key. */
async function leafShown(lab: Awaited<ReturnType<typeof agentLab>>): Promise<X509Certificate> {
  const { tlsCertificate } = await secretOf(lab, "workload");
  const leaf = new X509Certificate(Buffer.from(tlsCertificate!.certificateChain!.inlineBytes!));
  assert.ok(leaf.checkPrivateKey(createPrivateKey(Buffer.from(tlsCertificate!.privateKey!.inlineBytes!))));
  assert.equal(leaf.subjectAltName, `URI:${OURS}`);
  return leaf;
}

const issuedBy = (leaf: X509Certificate, root: Uint8Array): boolean =>
  leaf.verify(new X509Certificate(Buffer.from(root)).publicKey);
const timesSaid = (lines: readonly string[], words: string): number =>
  lines.filter((line) => line.includes(words)).length;

test("over the Workload API a gateway has SPIRE's identity, Envoy each new one, and the CA is never asked", async () => {
  const { lab, spire, register, start, caHeard } = await spireLab();
  register();
  const { path } = await spire.agentSocket(POD);
  const { lines, metrics, agent } = await start({ spireAgent: `unix://${path}` });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const [root] = spire.trust.own.roots;
  assert.ok(issuedBy(await leafShown(lab), root!));
  const { validationContext } = await secretOf(lab, "control-plane-root");
  const mounted = new X509Certificate(Buffer.from(validationContext!.trustedCa!.inlineBytes!));
  assert.deepEqual(mounted.raw, new X509Certificate(lab.root.root).raw, "the control plane is the mesh's, not SPIRE's");
  await spire.rotate();
  spire.trust.taintOld();
  await until(() => timesSaid(lines, "we have an identity from SPIRE") === 2);
  const leaf = await leafShown(lab);
  assert.ok(!issuedBy(leaf, root!) && spire.trust.own.roots.some((newer) => issuedBy(leaf, newer)));
  assert.match(await metrics(), /^spire_agent_connected\{api="workload"\} 1$/m);
  assert.match((await agent.whyNotReady())!, /^Envoy does not answer/);
  assert.equal(caHeard(), 0);
});

test("an entry that is removed leaves Envoy its identity, and the next one follows when the entry is back", async () => {
  const { lab, spire, register, start, caHeard } = await spireLab();
  register();
  const { path } = await spire.agentSocket(POD);
  const { lines, agent } = await start({ spireAgent: path });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const first = await leafShown(lab);
  spire.entries.remove(OURS.slice(-4));
  await until(() => lines.some((line) => line.startsWith("error gateway: no new identity from SPIRE")));
  const error = lines.find((line) => line.startsWith("error gateway"))!;
  assert.match(error, /no entry gives us an identity: register one.*; we are spiffe:.*waypoint until=the old one/);
  assert.deepEqual((await leafShown(lab)).raw, first.raw);
  assert.match((await agent.whyNotReady())!, /^Envoy does not answer/, "nothing is wrong with our identity");
  register();
  await until(() => timesSaid(lines, "we have an identity from SPIRE") === 2);
  assert.notDeepEqual((await leafShown(lab)).raw, first.raw);
  assert.equal(caHeard(), 0);
});

test("with nothing from SPIRE there is no identity, whatever the CA would give, and readiness says why", async () => {
  const { lab, spire, register, start, caHeard } = await spireLab();
  register(CART);
  const { path } = await spire.agentSocket(POD);
  const { lines, get } = await start({ spireAgent: path });
  await until(() => lines.some((line) => line.startsWith("error gateway")));
  const why = `not ready: there is no identity from SPIRE yet: SPIRE's agent says that we are ${CART}, and we are ${OURS}`;
  assert.ok((await get("/healthz/ready")).startsWith(why));
  assert.ok((await get("/healthz/startup")).startsWith(why), "Envoy is not to start");
  assert.ok(!existsSync(lab.folder.at("run/bootstrap.json")));
  assert.equal(caHeard(), 0);
});

test("whatever is wrong with what SPIRE's agent gives, it never reaches Envoy, and what is right does at once", async () => {
  const faults = ["other-key", "other-identity", "other-issuer", "two-names", "expired", "authority"] as const;
  const refusedThenTaken = async (leaf: (typeof faults)[number]): Promise<void> => {
    const { lab, spire, register, start } = await spireLab();
    spire.faults = { leaf };
    register();
    const { path } = await spire.agentSocket(POD);
    const { lines, get } = await start({ spireAgent: path });
    await until(() => lines.some((line) => line.startsWith("error gateway: no new identity from SPIRE")));
    assert.match(await get("/healthz/ready"), /^not ready: there is no identity from SPIRE yet: /, leaf);
    spire.faults = {};
    await until(() => lines.some((line) => line.includes("Envoy may start")));
    assert.ok(issuedBy(await leafShown(lab), spire.trust.own.roots[0]!));
  };
  await Promise.all(faults.map(refusedThenTaken));
});

test("an agent that is not there is named, and found once it is", async () => {
  const { spire, register, start } = await spireLab();
  register();
  const socket = await spire.agentSocket(POD);
  await socket.stop();
  const { lines, get } = await start({ spireAgent: socket.path });
  await until(() => lines.some((line) => line.startsWith("error gateway")));
  assert.match(
    await get("/healthz/ready"),
    /^not ready: there is no identity from SPIRE yet: SPIRE's agent at unix:.*\.sock: there is no socket: is it/,
  );
  await socket.resume();
  await until(() => lines.some((line) => line.includes("Envoy may start")));
});

test("a delegate asks for its own pod, by the selectors that entries have", async () => {
  const { lab, spire, register, start } = await spireLab();
  register();
  const { lines } = await start({ spireAdminSocket: spire.adminSocket });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const first = await leafShown(lab);
  spire.entries.remove(OURS.slice(-4));
  await until(() => lines.some((line) => line.includes(`no registration entry for ${OURS} matches; make one`)));
  assert.deepEqual((await leafShown(lab)).raw, first.raw);
});

test("one that is no delegate, or has no entry, is told what the agent's configuration lacks", async () => {
  const { spire, register, start, lab } = await spireLab();
  const { path } = await spire.adminSocketFor(POD);
  register();
  const first = await start({ spireAdminSocket: path });
  await until(() => first.lines.some((line) => line.startsWith("error gateway")));
  const named = /we are no delegate: name our identity in authorized_delegates .*; we are spiffe:.*\/sa\/waypoint/;
  assert.match(await first.get("/healthz/ready"), named);
  spire.entries.remove(OURS.slice(-4));
  const second = await start({ spireAdminSocket: path, runDir: lab.folder.at("other") });
  await until(() => second.lines.some((line) => line.startsWith("error gateway")));
  assert.match(await second.get("/healthz/ready"), /no entry gives us an identity: register one/);
});

test("a delegate that asks for Envoy's process lets Envoy start first, and asks no more once it has ended", async () => {
  const { lab, spire, register, start } = await spireLab();
  register();
  const options = { spireAdminSocket: spire.adminSocket, spireSelectors: "envoy" };
  const { lines, get, metrics } = await start(options);
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.equal(await get("/healthz/startup"), "ready\n");
  assert.match(await get("/healthz/ready"), /^not ready: there is no identity from SPIRE yet: its agent has not/);
  // An Envoy of another container, as far as anybody sees: it has our bootstrap among its arguments.
  const envoy = spawn("sleep", ["60"], { argv0: lab.folder.at("run/bootstrap.json"), stdio: "ignore" });
  cleanups.push(() => envoy.kill("SIGKILL"));
  spire.processes.set(envoy.pid!, POD);
  await until(() => lines.some((line) => line.includes("we have an identity from SPIRE")));
  const shown = await leafShown(lab);
  assert.match(await metrics(), /^spire_agent_connected\{api="delegated"\} 1$/m);
  envoy.kill("SIGKILL");
  await once(envoy, "exit");
  const ended = `Envoy's process ${envoy.pid} has ended, and SPIRE's agent is asked no more`;
  await until(() => lines.some((line) => line.includes(ended)));
  assert.doesNotMatch(await metrics(), /^spire_agent_connected\{/m);
  assert.deepEqual((await leafShown(lab)).raw, shown.raw);
});

test("roots that nobody mounted are what readiness tells of once SPIRE has given an identity", async () => {
  const { lab, spire, register, start } = await spireLab();
  register();
  const { path } = await spire.agentSocket(POD);
  const { lines, get } = await start({ spireAgent: path, root: lab.folder.at("absent.pem") });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.match(
    await get("/healthz/ready"),
    /^not ready: the root file .*absent\.pem cannot be used: there is none; mount/,
  );
});
