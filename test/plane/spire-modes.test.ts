import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { pemBlocks, toPem } from "../../src/pem.ts";
import type { NewEntry } from "../../src/demo/spire/entries.ts";
import { GrpcSpireServer } from "../../src/spire/server-api.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { encodeDeltaRequest } from "../../src/xds/wire.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { type Pair, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { entriesFor, hex, inPem, REVIEWS, SpireLab, trustDomain, ZTUNNEL } from "./spire-lab.ts";

const XDS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const RATINGS = `spiffe://${trustDomain}/ns/bookshop/sa/ratings`;
const OURS = ["k8s:ns:istio-system", "k8s:sa:istiod"];

let lab: SpireLab;
const clients: grpc.Client[] = [];
beforeEach(() => (lab = new SpireLab()));
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await lab.close();
});

const spireRoots = (): readonly string[] => hex(lab.spire.trust.own.roots);

/** Our own entry at SPIRE's server, below the agent of our node. */
const ourEntry = (more: Partial<NewEntry>): NewEntry => ({
  ...{ id: "causeway", spiffeId: `spiffe://${trustDomain}/ns/istio-system/sa/istiod`, selectors: OURS },
  ...{ parentId: lab.spire.agents[0]!.id, ...more },
});

/** Over TCP, as what our entry makes us. */
async function overTcp(identity: string, entry: Partial<NewEntry>) {
  lab.spire.entries.put(ourEntry(entry));
  const socket = await lab.spire.agentSocket(OURS);
  const spireServer = `127.0.0.1:${lab.spire.tcpPort}`;
  await lab.startPlane({ identity, spireServer, spireAgent: `unix:${socket.path}` });
  return socket;
}

/** What SPIRE gives a workload: its SVID, with its key. */
async function svidOf(spiffeId: string): Promise<Pair> {
  const address = { kind: "socket", path: join(lab.folder, "spire", "server.sock") } as const;
  const server = new GrpcSpireServer(lab.host, { address, trustDomain });
  const { csr, privateKey } = newCsr(spiffeId);
  const request = pemBlocks(csr, "CERTIFICATE REQUEST")[0]!;
  const { chain } = await server.mint(request, 600, new AbortController().signal);
  server.close();
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { certificate: chain.map((der) => toPem("CERTIFICATE", der)).join(""), key };
}

/** What comes of reading the mesh with a client certificate: "served", or why not. */
function readsWith({ certificate, key }: Pair): Promise<string> {
  const credentials = grpc.credentials.createSsl(Buffer.from(lab.roots), Buffer.from(key), Buffer.from(certificate));
  const client = new grpc.Client(`127.0.0.1:${lab.plane.ports.xds}`, credentials, {
    "grpc.ssl_target_name_override": "istiod.istio-system.svc",
    "grpc.enable_retries": 0,
  });
  clients.push(client);
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(XDS, same, same, new grpc.Metadata());
  const outcome = new Promise<string>((resolve) => {
    stream.once("error", (error: grpc.ServiceError) => resolve(error.details));
    stream.once("data", () => resolve("served"));
  });
  const node = { id: "agent~127.0.0.1~zt.istio-system~x", metadata: new Map([["NAMESPACE", "istio-system"]]) };
  const request = { node, typeUrl: ADDRESS_TYPE, subscribe: ["*"], unsubscribe: [], initialVersions: new Map() };
  stream.write(Buffer.from(encodeDeltaRequest({ ...request, nonce: "", rejection: undefined })));
  return outcome;
}

test("as an administrator over mutual TLS, SPIRE's server signs, and stops when our entry is revoked", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await overTcp("spire", { admin: true });
  assert.deepEqual(hex((await lab.ask()).roots), spireRoots());
  assert.equal(lab.problems(), "");
  lab.spire.entries.put(ourEntry({ admin: false }));
  lab.passSeconds(60);
  await assert.rejects(lab.ask(), { code: "unavailable" });
  await until(() => /SPIRE's server: .*admin/.test(lab.problems()));
  assert.equal(lab.ready(), "");
  lab.spire.entries.put(ourEntry({ admin: true }));
  assert.equal((await lab.askAgain()).spiffeId, REVIEWS);
  await until(() => lab.problems() === "");
});

test("with an authority that SPIRE gives us we sign, also while SPIRE is away", async () => {
  await lab.startSpire();
  await overTcp("spire-downstream", { downstream: true });
  const { spiffeId, roots, notAfter } = await lab.ask();
  assert.deepEqual([spiffeId, hex(roots)], [REVIEWS, spireRoots()]);
  assert.ok(notAfter - Date.now() <= (24 * 3_600_000) / 6, "a sixth of a day at most");
  assert.equal(lab.plane.signer()!.kind, "local key under SPIRE");
  assert.deepEqual([lab.problems(), lab.ready()], ["", ""]);
  await lab.spire.stop();
  await until(() => /^SPIRE's server: .*Its authority signs for workloads as long as it is good/m.test(lab.problems()));
  assert.equal((await lab.ask()).spiffeId, REVIEWS);
  await lab.spire.resume();
  await until(() => lab.problems() === "");
});

test("what we are to SPIRE's server nobody can be by asking us, whoever signs", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS), ...entriesFor(RATINGS));
  await overTcp("spire-downstream", { downstream: true, spiffeId: REVIEWS });
  assert.equal((await lab.ask(RATINGS)).spiffeId, RATINGS);
  await assert.rejects(lab.ask(), { code: "denied", message: /this control plane's own at SPIRE's server/ });
});

test("an authority that SPIRE gives us under another root is replaced when that root goes, and nothing is signed between", async () => {
  await lab.startSpire();
  await overTcp("spire-downstream", { downstream: true });
  await lab.ask();
  await lab.spire.rotate();
  lab.spire.trust.dropOld();
  await until(() => lab.plane.signer()!.roots.length === 1 && hex(lab.plane.signer()!.roots)[0] === spireRoots()[0]);
  const { roots } = await lab.askAgain();
  assert.deepEqual(hex(roots), spireRoots());
  await until(() => lab.problems() === "");
});

test("under the path lengths of guide 002 no authority of ours is good: it never signs, and the problem says what to do", async () => {
  await lab.startSpire({ above: [2, 1] });
  await overTcp("spire-downstream", { downstream: true });
  await until(() => /SPIRE's authority for us: .*pathlen:3.*--identity spire/.test(lab.problems()));
  await assert.rejects(lab.ask(), { code: "unavailable" });
  assert.deepEqual([lab.ready(), inPem(lab.published.at(-1)!).slice(1)], ["", spireRoots()]);
});

test("without the right to be a downstream authority nothing is signed, until the entry has it", async () => {
  await lab.startSpire();
  await overTcp("spire-downstream", {});
  await until(() => /SPIRE's authority for us: .*downstream/.test(lab.problems()));
  await assert.rejects(lab.ask(), { code: "unavailable" });
  lab.spire.entries.put(ourEntry({ downstream: true }));
  assert.equal((await lab.askAgain()).spiffeId, REVIEWS);
  await until(() => lab.problems() === "");
});

test("ztunnels with SVIDs of SPIRE's read the mesh, whatever cacerts are; strangers of its root's do not", async () => {
  await lab.startSpire();
  writeCacerts(join(lab.folder, "cacerts"), await TestAuthority.create("CN=cacerts"));
  const cacerts = join(lab.folder, "cacerts");
  await lab.startPlane({ identity: "external", cacerts });
  assert.equal(await readsWith(await svidOf(ZTUNNEL)), "served");
  assert.match(await readsWith(await svidOf(REVIEWS)), /may not read the mesh: only istio-system\/ztunnel may/);
  assert.match(await readsWith(await svidOf(`spiffe://${trustDomain}/exporter`)), /token|certificate/);
  const own = new X509Certificate(pemBlocks(lab.roots, "CERTIFICATE")[0]!);
  assert.equal(own.subject, "CN=cacerts");
  assert.deepEqual(inPem(lab.roots).slice(1), spireRoots());
  assert.deepEqual([lab.ready(), lab.problems()], ["", ""]);
});

test("where our own authority signs, SPIRE's server may be there to register pods, and nobody is believed by its roots", async () => {
  await lab.startSpire();
  await overTcp("mesh", { admin: true });
  await until(() => lab.plane.spire()!.own !== undefined);
  assert.match(await readsWith(await svidOf(ZTUNNEL)), /token|certificate/);
  const { roots } = await lab.ask();
  assert.deepEqual([roots.length, inPem(lab.published.at(-1)!).length], [1, 1]);
  assert.ok(!spireRoots().includes(hex(roots)[0]!));
  assert.deepEqual(lab.plane.trust.rootsOf(trustDomain).length, 1);
});

test("who asks for a certificate where SPIRE's agents issue them hears so, and by name", async () => {
  await lab.startSpire();
  await lab.startPlane({ identity: "external" });
  await assert.rejects(lab.ask(), /SPIRE's agents issue the identities of trust domain shop.test.*--identity external/);
  await until(() => /identity spiffe:\/\/shop.test\/ns\/bookshop\/sa\/reviews: It gets no/.test(lab.problems()));
  assert.equal(lab.spire.calls.started.get("MintX509SVID"), undefined);
});

test("without a server an agent says whom to trust, and what it said stays while it is away", async () => {
  await lab.startSpire();
  lab.spire.entries.put(ourEntry({}));
  const socket = await lab.spire.agentSocket(OURS);
  await lab.startPlane({ identity: "external", spireServer: undefined, spireAgent: `unix:${socket.path}` });
  assert.equal(await readsWith(await svidOf(ZTUNNEL)), "served");
  assert.deepEqual(inPem(lab.published.at(-1)!).slice(1), spireRoots());
  await lab.spire.rotate();
  await until(() => inPem(lab.published.at(-1)!).length === 3);
  assert.equal(await readsWith(await svidOf(ZTUNNEL)), "served");
  await socket.stop();
  await until(() => /^SPIRE's agent: /m.test(lab.problems()));
  assert.equal(await readsWith(await svidOf(ZTUNNEL)), "served");
  await socket.resume();
  await until(() => lab.problems() === "");
});

test("where nobody knows SPIRE's roots, our own are published as ever, and the problem says what to name", async () => {
  await lab.startPlane({ identity: "external", spireServer: undefined });
  assert.equal(inPem(lab.published.at(-1)!).length, 1);
  assert.match(lab.problems(), /Nobody here knows SPIRE's roots.*--spire-agent/);
});
