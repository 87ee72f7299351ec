import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { afterEach, test } from "mocha";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { agentLab, eavesdropper, secretOf, startAgent } from "./agent-lab.ts";
import { SmallAgent } from "./small-agent.ts";

const OURS = "spiffe://cluster.local/ns/shop/sa/waypoint";
const CART = "spiffe://cluster.local/ns/shop/sa/cart";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A gateway's agent beside an agent of SPIRE, whose authority is not the mesh's; whoever is asked for certificates is heard. */
async function spireLab() {
  const lab = await agentLab();
  const authority = await TestAuthority.create("CN=SPIRE");
  const socket = lab.folder.at("spire.sock");
  const spire = await SmallAgent.listen(socket, authority);
  cleanups.push(() => spire.close());
  const { address: ca, heard } = await eavesdropper(lab);
  rmSync(lab.folder.at("token"));
  const start = (options: Readonly<Record<string, string>>) =>
    startAgent(lab, { ca, serviceAccount: "waypoint", trustDomain: "cluster.local", ...options });
  return { lab, authority, socket, spire, start, caHeard: () => heard().length };
}

async function leafShown(lab: Awaited<ReturnType<typeof agentLab>>): Promise<X509Certificate> {
  const { tlsCertificate } = await secretOf(lab, "workload");
  const leaf = new X509Certificate(Buffer.from(tlsCertificate!.certificateChain!.inlineBytes!));
  assert.ok(leaf.checkPrivateKey(createPrivateKey(Buffer.from(tlsCertificate!.privateKey!.inlineBytes!))));
  return leaf;
}

test("over the Workload API a gateway has SPIRE's identity, Envoy each new one, and the CA is never asked", async () => {
  const { lab, socket, spire, start, caHeard } = await spireLab();
  const [first] = await spire.give(OURS);
  const { lines, metrics, agent } = await start({ spireAgent: `unix://${socket}` });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.deepEqual((await leafShown(lab)).raw, first);
  const { validationContext } = await secretOf(lab, "control-plane-root");
  const root = new X509Certificate(Buffer.from(validationContext!.trustedCa!.inlineBytes!));
  assert.deepEqual(root.raw, new X509Certificate(lab.root.root).raw, "the control plane is the mesh's, not SPIRE's");
  const [second] = await spire.give(OURS);
  await until(() => lines.filter((line) => line.includes("we have an identity from SPIRE")).length === 2);
  assert.deepEqual((await leafShown(lab)).raw, second);
  assert.match(await metrics(), /^spire_agent_connected\{api="workload"\} 1$/m);
  assert.match((await agent.whyNotReady())!, /^Envoy does not answer/);
  assert.equal(caHeard(), 0);
});

test("an entry that is removed leaves Envoy its identity, and the next one follows when the entry is back", async () => {
  const { lab, socket, spire, start, caHeard } = await spireLab();
  const [first] = await spire.give(OURS);
  const { lines, agent } = await start({ spireAgent: socket });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  await spire.give();
  await until(() => lines.some((line) => line.startsWith("error gateway: no new identity from SPIRE")));
  const error = lines.find((line) => line.startsWith("error gateway"))!;
  assert.match(error, /no entry gives us an identity: register one.*; we are spiffe:.*waypoint until=the old one/);
  assert.deepEqual((await leafShown(lab)).raw, first);
  assert.match((await agent.whyNotReady())!, /^Envoy does not answer/, "nothing is wrong with our identity");
  const [second] = await spire.give(OURS);
  await until(() => lines.filter((line) => line.includes("we have an identity from SPIRE")).length === 2);
  assert.deepEqual((await leafShown(lab)).raw, second);
  assert.equal(caHeard(), 0);
});

test("with nothing from SPIRE there is no identity, whatever the CA would give, and readiness says why", async () => {
  const { lab, socket, spire, start, caHeard } = await spireLab();
  await spire.give(CART);
  const { lines, get } = await start({ spireAgent: socket });
  await until(() => lines.some((line) => line.startsWith("error gateway")));
  const why = `not ready: there is no identity from SPIRE yet: SPIRE's agent says that we are ${CART}, and we are ${OURS}`;
  assert.ok((await get("/healthz/ready")).startsWith(why));
  assert.ok((await get("/healthz/startup")).startsWith(why), "Envoy is not to start");
  assert.ok(!existsSync(lab.folder.at("run/bootstrap.json")));
  assert.equal(caHeard(), 0);
});

test("an agent that is not there is named, and found once it is", async () => {
  const { lab, authority, start } = await spireLab();
  const late = lab.folder.at("late.sock");
  const { lines, get } = await start({ spireAgent: late });
  await until(() => lines.some((line) => line.startsWith("error gateway")));
  assert.match(
    await get("/healthz/ready"),
    /^not ready: there is no identity from SPIRE yet: SPIRE's agent at unix:.*late\.sock: there is no socket: is it/,
  );
  const agent = await SmallAgent.listen(late, authority);
  cleanups.push(() => agent.close());
  await agent.give(OURS);
  await until(() => lines.some((line) => line.includes("Envoy may start")));
});

test("a delegate asks for its own pod, by the selectors that entries have", async () => {
  const { lab, socket, spire, start } = await spireLab();
  const [leaf] = await spire.give(OURS);
  const { lines, agent } = await start({ spireAdminSocket: socket });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.deepEqual(spire.asked, [{ pid: 0, selectors: ["k8s:ns:shop", "k8s:sa:waypoint", "k8s:pod-name:waypoint-1"] }]);
  assert.deepEqual((await leafShown(lab)).raw, leaf);
  await spire.give();
  await until(() => lines.some((line) => line.includes(`no registration entry for ${OURS} matches; make one`)));
  assert.deepEqual((await leafShown(lab)).raw, leaf);
  await agent.close();
  await until(() => spire.followers === 0);
});

test("a delegate that asks for Envoy's process lets Envoy start first, and asks no more once it has ended", async () => {
  const { lab, socket, spire, start } = await spireLab();
  const [leaf] = await spire.give(OURS);
  const { lines, get } = await start({ spireAdminSocket: socket, spireSelectors: "envoy" });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.equal(await get("/healthz/startup"), "ready\n");
  assert.match(
    await get("/healthz/ready"),
    /^not ready: there is no identity from SPIRE yet: its agent has not answered/,
  );
  // An Envoy of another container, as far as anybody sees: it has our bootstrap among its arguments.
  const envoy = spawn("sleep", ["60"], { argv0: lab.folder.at("run/bootstrap.json"), stdio: "ignore" });
  cleanups.push(() => envoy.kill("SIGKILL"));
  await until(() => lines.some((line) => line.includes("we have an identity from SPIRE")));
  assert.deepEqual(spire.asked, [{ pid: envoy.pid, selectors: [] }]);
  assert.deepEqual((await leafShown(lab)).raw, leaf);
  envoy.kill("SIGKILL");
  await once(envoy, "exit");
  await until(() => spire.followers === 0);
  assert.ok(
    lines.some((line) => line.includes(`Envoy's process ${envoy.pid} has ended, and SPIRE's agent is asked no`)),
  );
});

test("roots that nobody mounted are what readiness tells of once SPIRE has given an identity", async () => {
  const { lab, socket, spire, start } = await spireLab();
  await spire.give(OURS);
  const { lines, get } = await start({ spireAgent: socket, root: lab.folder.at("absent.pem") });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  assert.match(
    await get("/healthz/ready"),
    /^not ready: the root file .*absent\.pem cannot be used: there is none; mount/,
  );
});
