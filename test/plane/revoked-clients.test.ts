import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, test } from "mocha";
import { LOOK_MS } from "../../src/ca/cacerts-follower.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { encodeDeltaRequest } from "../../src/xds/wire.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";
import { type Pair, SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const XDS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const ZTUNNEL = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
const usages = SIGNS_LISTS;

let folder = "";
const cleanups: (() => unknown)[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-revoked-"))));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

/** A control plane over a folder with an authority, whose looks at it are hurried. */
async function lab() {
  const cacerts = join(folder, "cacerts");
  mkdirSync(join(folder, "manifests"));
  mkdirSync(cacerts);
  const root = await TestAuthority.create({ name: "CN=root", usages });
  const own = await TestAuthority.create({ name: "CN=own", usages }, root);
  const put = (name: string, text: string): void => writeFileSync(join(cacerts, name), text);
  for (const [name, text] of [
    ["ca-cert.pem", own.root],
    ["ca-key.pem", own.key],
    ["cert-chain.pem", own.root],
    ["root-cert.pem", root.root],
  ] as const)
    put(name, text);
  const host = realHost();
  const { clock } = host;
  const after = (delayMs: number, task: () => void): Disposable =>
    clock.after(delayMs === LOOK_MS ? 10 : delayMs, task);
  const hurried = { ...host, clock: { now: () => clock.now(), elapsedMs: () => clock.elapsedMs(), after } };
  const flags = { cacerts, manifests: [join(folder, "manifests")], state: join(folder, "state"), xdsPort: "0" };
  const plane = await ControlPlane.open(hurried, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new Error("no pages here")),
  });
  await plane.start(new AbortController().signal);
  cleanups.push(() => plane.close());
  return { plane, root, own, put, lines: host.lines };
}

/** Opens a stream with a certificate, and what the client sends beside it. */
function connect(
  { plane, root }: { plane: ControlPlane; root: TestAuthority },
  { certificate, key }: Pair,
  beside = "",
) {
  const chain = Buffer.from(`${certificate}\n${beside}`);
  const credentials = grpc.credentials.createSsl(Buffer.from(root.root), Buffer.from(key), chain);
  const client = new grpc.Client(`127.0.0.1:${plane.ports.xds}`, credentials, {
    "grpc.ssl_target_name_override": "istiod.istio-system.svc",
    "grpc.enable_retries": 0,
  });
  cleanups.push(() => client.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(XDS, same, same, new grpc.Metadata());
  const ended = new Promise<grpc.ServiceError>((resolve) => stream.once("error", resolve));
  const answered = new Promise<Buffer>((resolve) => stream.once("data", resolve));
  const node = { id: "agent~127.0.0.1~zt.istio-system~x", metadata: new Map([["NAMESPACE", "istio-system"]]) };
  const request = { node, typeUrl: ADDRESS_TYPE, subscribe: ["*"], unsubscribe: [], initialVersions: new Map() };
  stream.write(Buffer.from(encodeDeltaRequest({ ...request, nonce: "", rejection: undefined })));
  return { ended, answered };
}

test("a client whose certificate its authority revokes loses its stream, no other does, and it finds no way back", async () => {
  const mesh = await lab();
  const [good, bad] = [
    await mesh.own.issue([ZTUNNEL], 3_600_000, "0a"),
    await mesh.own.issue([ZTUNNEL], 3_600_000, "0b"),
  ];
  const [staying, leaving] = [connect(mesh, good, mesh.own.root), connect(mesh, bad, mesh.own.root)];
  await Promise.all([staying.answered, leaving.answered]);
  mesh.put("ca-crl.pem", await mesh.own.list({ revoked: ["0b"] }));
  const { code, details } = await leaving.ended;
  assert.deepEqual([code, details], [grpc.status.UNAUTHENTICATED, "the client certificate counts no more"]);
  await until(() => mesh.plane.discovery.clients().length === 1);
  assert.equal((await connect(mesh, bad, mesh.own.root).ended).code, grpc.status.UNAUTHENTICATED);
  await connect(mesh, good, mesh.own.root).answered;
  assert.ok(mesh.lines.some((line) => /stream ended.*serial number 0b is revoked/.test(line)));
});

test("an authority that the root revokes takes the streams of all that it certified", async () => {
  const mesh = await lab();
  const other = await TestAuthority.create({ name: "CN=other", usages, serial: "0c" }, mesh.root);
  const clients = [
    connect(mesh, await other.issue([ZTUNNEL], 3_600_000, "0d"), other.root),
    connect(mesh, await other.issue([ZTUNNEL], 3_600_000, "0e"), other.root),
  ];
  const ours = connect(mesh, await mesh.own.issue([ZTUNNEL]), mesh.own.root);
  await Promise.all([ours, ...clients].map(({ answered }) => answered));
  mesh.put("ca-crl.pem", await mesh.root.list({ revoked: ["0c"] }));
  for (const { ended } of clients) assert.equal((await ended).code, grpc.status.UNAUTHENTICATED);
  await until(() => mesh.plane.discovery.clients().length === 1);
});

test("a disk that takes nothing more keeps no revocation from being in force", async () => {
  const site = await lab();
  const kept = join(folder, "state", "root-cert.pem");
  rmSync(kept);
  mkdirSync(join(kept, "in-the-way"), { recursive: true });
  site.put("ca-crl.pem", await site.root.list({ revoked: ["0a"] }));
  await until(
    () => site.plane.revocations.length === 1 && site.lines.some((line) => /what is there now signs/.test(line)),
  );
  const said = site.lines.filter((line) => /error ca: .*root-cert.pem/.test(line));
  assert.equal(said.length, 1, site.lines.join("\n"));
});
