import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { requestCertificate, verifySvid } from "../../src/ca/client.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import type { Options } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import type { Order } from "../../src/relay/messages.ts";
import { realHost } from "../kits/real-host.ts";
import { RelayLab } from "../kits/relay-lab.ts";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { fingerprintOf } from "../../src/relay/wish.ts";
import { LabRoot, orderOf, TRUST_DOMAIN } from "../relay/agent-lab.ts";

const examples = join(import.meta.dirname, "..", "..", "..", "examples", "shop");
const east = clusterId("east");

let folder = "";
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "causeway-relayed-"));
  cpSync(examples, join(folder, "manifests"), { recursive: true });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

const cacerts = () => join(folder, "state", "cacerts");
const text = (name: string) => readFileSync(join(cacerts(), name), "utf8");

/** A manager on loopback that signs under `a` or `b`, whichever the order of the cluster names. */
async function manager() {
  const lab = await RelayLab.open();
  cleanups.push(() => lab[Symbol.asyncDispose]());
  const [a, b] = [new LabRoot(lab.host, "Root a"), new LabRoot(lab.host, "Root b")];
  let order: Order | undefined;
  lab.desk.signer = async (_, { csr }) => {
    const root = order!.signingRoot === a.fingerprint ? a : b;
    return { chain: [root.sign(await parseCsr(csr))], root: root.der };
  };
  const say = (next: Order): void => {
    order = next;
    lab.desk.change(({ words }) => words.set(east, { kind: "order", order: next }));
  };
  const token = join(folder, "token");
  writeFileSync(token, await lab.token("east"));
  return { lab, a, b, say, token };
}

/** @param port undefined for one that has no trust manager. */
function open(port: number | undefined, options: Options = {}) {
  const host = realHost();
  const flags = {
    ...{ cluster: "east", manifests: [join(folder, "manifests")], state: join(folder, "state"), xdsPort: "0" },
    ...{ trustDomain: TRUST_DOMAIN, rootWait: "0" },
    ...(port !== undefined && { trustManager: `127.0.0.1:${port}`, trustToken: join(folder, "token") }),
    ...options,
  };
  return ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  }).then((plane) => {
    cleanups.push(() => plane.close());
    return { plane, host, starting: plane.start(new AbortController().signal) };
  });
}

/** Who signed a workload's certificate, verified as a ztunnel would. */
async function issuer(plane: ControlPlane): Promise<string> {
  const ztunnel = [...plane.registry.pods.entries()]
    .map(([, pod]) => pod)
    .find((pod) => pod.name.startsWith("ztunnel-"))!;
  const { namespace, serviceAccount, name, uid, node } = ztunnel;
  const token = await plane.tokens.get(east)!.issue({ namespace, serviceAccount, pod: { name, uid, node } });
  const elements = await requestCertificate({
    address: `127.0.0.1:${plane.ports.xds}`,
    roots: readFileSync(plane.rootCertificateFile, "utf8"),
    ...{ token, clusterId: "east", impersonate: undefined, ttlSeconds: 600, signal: new AbortController().signal },
  });
  verifySvid(elements, Date.now());
  const roots = elements.at(-1)!.match(/BEGIN CERTIFICATE/g)!.length;
  // Of a root that signs itself there is no intermediate.
  const [leaf, intermediate] = elements.map((pem) => new X509Certificate(pem));
  return `${(elements.length > 2 ? intermediate! : leaf!).issuer.replace(/.*(CN|O)=/s, "")}, ${roots} roots`;
}

const certificates = (plane: ControlPlane) =>
  plane
    .readiness()
    .find(({ name }) => name === "certificates")!
    .check();

test("a cluster with nothing but a token gets its authority, serves with it, and takes up another without a restart", async () => {
  const { lab, a, b, say } = await manager();
  const { plane, host, starting } = await open(lab.port);
  await until(() => plane.relay().state === "connected");
  assert.match(
    certificates(plane) ?? "",
    /^waiting for the trust manager: it gave no order yet; .*(holds no authority|is not read) yet/,
  );
  assert.deepEqual(readdirSync(cacerts()), []);
  say(orderOf(a, [a]));
  await starting;
  await until(() => certificates(plane) === undefined);
  assert.equal(await issuer(plane), "Root a, 1 roots");
  assert.equal(statSync(join(cacerts(), "ca-key.pem")).mode & 0o077, 0);
  await until(() => lab.desk.reports.at(-1)?.report.signingRoot === a.fingerprint);

  say(orderOf(a, [a, b]));
  await until(() => lab.desk.reports.at(-1)!.report.roots.length === 2);
  assert.equal(await issuer(plane), "Root a, 2 roots");
  const switched = orderOf(b, [a, b]);
  say(switched);
  await until(() => lab.desk.reports.at(-1)!.report.generation === switched.generation);
  assert.equal(await issuer(plane), "Root b, 2 roots");
  say(orderOf(b, [b]));
  await until(() => lab.desk.reports.at(-1)!.report.roots.length === 1);
  assert.equal(await issuer(plane), "Root b, 1 roots");

  assert.equal(host.metric("relay_connected"), 1);
  assert.ok(host.metric("relay_last_heard_timestamp_seconds") > 0);
  const { kept, problems, renewsAt } = plane.relay();
  assert.deepEqual([kept?.owner, problems], ["ours", []]);
  assert.ok(renewsAt !== undefined && renewsAt > Date.now());
  // Four links into one folder, so that all of them change at once; and what was there before.
  assert.equal(readdirSync(`${cacerts()}-previous`).length, 4);
  assert.deepEqual(
    readdirSync(cacerts()).filter((name) => !name.startsWith("..")),
    ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem", "trust-cluster"],
  );
  const secrets = [text("ca-key.pem"), readFileSync(join(folder, "state", "relay", "client.json"), "utf8")];
  const said = [...host.lines, JSON.stringify([lab.desk.reports, plane.relay(), plane.problems()])].join("\n");
  assert.ok(said.length > 2_000);
  for (const secret of secrets) {
    const body = /PRIVATE KEY-----(?:\\n|\n)(.{40})/.exec(secret)![1]!;
    assert.ok(!said.includes(body) && !said.includes("PRIVATE KEY"));
  }
  assert.ok(!said.includes(readFileSync(join(folder, "token"), "utf8").trim()));
  await plane.close();
  // Another replica has the stream, and says how it is.
  assert.equal(host.metric("relay_connected"), 0);
  assert.equal(host.metric("relay_last_heard_timestamp_seconds"), 0);
});

test("with the manager away a restart serves as before, and it goes on where it was once the manager is back", async () => {
  const { lab, a, b, say } = await manager();
  say(orderOf(a, [a]));
  const first = await open(lab.port);
  await first.starting;
  await until(() => lab.desk.reports.some(({ report }) => report.signingRoot === a.fingerprint));
  await first.plane.close();
  const before = text("ca-cert.pem");

  // Nothing listens there; and the token is spent.
  const away = await open(1);
  await away.starting;
  assert.equal(await issuer(away.plane), "Root a, 1 roots");
  await until(() => /nothing listens there/.test(away.plane.relay().reason));
  assert.match(JSON.stringify(away.plane.problems()), /It is away, and all goes on without it/);
  assert.equal(text("ca-cert.pem"), before);
  await away.plane.close();

  const back = await open(lab.port);
  await back.starting;
  await until(() => back.plane.relay().generation === orderOf(a, [a]).generation);
  assert.equal(text("ca-cert.pem"), before);
  say(orderOf(a, [a, b]));
  await until(() => back.plane.relay().authority?.roots.length === 2);
  assert.equal(text("ca-cert.pem"), before);
});

test("an authority that somebody put there is used and never written, until it is handed over", async () => {
  const { lab, a, say } = await manager();
  const own = await TestAuthority.create({ name: "CN=Own root", notAfterMs: Date.now() + 86_400_000 });
  const given = join(folder, "given");
  cpSync(join(folder, "manifests"), given, { recursive: true });
  const files = { "ca-cert.pem": own.root, "ca-key.pem": own.key, "root-cert.pem": own.root, "cert-chain.pem": "" };
  for (const [name, pem] of Object.entries(files)) writeFileSync(join(given, name), pem);
  const { plane, starting } = await open(lab.port, { cacerts: given });
  await starting;
  say(orderOf(a, [a]));
  await until(() => /write east into .*trust-cluster to hand it over/.test(plane.relay().problems.join()));
  assert.equal(readFileSync(join(given, "root-cert.pem"), "utf8"), own.root);
  assert.equal(plane.relay().kept?.owner, "foreign");
  await until(() => lab.desk.reports.some(({ report }) => /trust-cluster/.test(report.problems.join())));

  writeFileSync(join(given, "trust-cluster"), "east\n");
  const rootDer = new X509Certificate(own.root).raw;
  say({ ...orderOf(undefined, [a]), generation: "both", roots: [a.der, rootDer] });
  await until(() => plane.relay().authority?.roots.length === 2);
  assert.equal(readFileSync(join(given, "ca-cert.pem"), "utf8").trim(), own.root.trim());
  assert.equal(await issuer(plane).catch(String), "Own root, 2 roots");
}).timeout(90_000);

test("a cluster that signed with a root of its own keeps it until it is told another, and then trusts both", async () => {
  const alone = await open(undefined);
  await alone.starting;
  assert.equal(await issuer(alone.plane), `${TRUST_DOMAIN}, 1 roots`);
  assert.equal(alone.plane.relay().state, "off");
  const own = Buffer.from(alone.plane.relay().authority!.roots[0]!, "base64");
  await alone.plane.close();

  const { lab, a, say } = await manager();
  const { plane, starting } = await open(lab.port);
  await starting;
  await until(() => lab.desk.reports.length > 0);
  assert.deepEqual(lab.desk.reports[0]!.report.roots.map(fingerprintOf), [fingerprintOf(own)]);
  assert.equal(lab.desk.reports[0]!.report.signingRoot, fingerprintOf(own));
  const both = { ...orderOf(undefined, [a]), generation: "both", roots: [a.der, own] };
  say(both);
  await until(() => lab.desk.reports.at(-1)!.report.generation === "both");
  assert.equal(await issuer(plane), `${TRUST_DOMAIN}, 2 roots`);
  say({ ...both, generation: "switch", signingRoot: a.fingerprint });
  await until(() => lab.desk.reports.at(-1)!.report.generation === "switch");
  assert.equal(await issuer(plane), "Root a, 2 roots");
}).timeout(90_000);

test("bounds of the order are manifests of the local cluster, and outlive the manager", async () => {
  const { lab, a, say } = await manager();
  const bounds = [
    { cluster: clusterId("west"), exports: [{ namespaces: ["shop"], services: undefined }], imports: [] },
  ];
  say(orderOf(a, [a], { bounds }));
  const { plane, starting } = await open(lab.port);
  await starting;
  await until(() => plane.relay().generation !== "");
  const grants = () => [...plane.registry.objects.peerGrants.entries()].map(([, { id }]) => id.name);
  await until(() => grants().length === 2);
  assert.deepEqual(grants().sort(), ["workspace-bound.0", "workspace-bound.west.0"]);
  await plane.close();
  const away = await open(1);
  await away.starting;
  assert.equal([...away.plane.registry.objects.peerGrants.entries()].length, 2);
  await away.plane.close();
  say(orderOf(a, [a]));
  const back = await open(lab.port);
  await back.starting;
  await until(() => [...back.plane.registry.objects.peerGrants.entries()].length === 0);
});

test("a manager of another root than the token's hears no token, and is named", async () => {
  const [{ lab, token }, other] = [await manager(), await RelayLab.open()];
  cleanups.push(() => other[Symbol.asyncDispose]());
  writeFileSync(token, await other.token("east"));
  const { plane, starting } = await open(lab.port);
  starting.catch(() => {});
  await until(() => /is not the trust manager that the bootstrap token was made by/.test(plane.relay().reason));
  assert.equal(plane.relay().state, "never");
  assert.equal(lab.host.metric("relay_enrollments_total{result=enrolled}"), 0);
  assert.equal(lab.desk.refusals.length, 0);
  // The right one, and it goes on.
  writeFileSync(token, await lab.token("east"));
  await until(() => plane.relay().state === "connected");
});

test("a token that was spent, or is another cluster's, is told with what mends it", async () => {
  const { lab, token } = await manager();
  writeFileSync(token, await lab.token("west"));
  const { plane, starting } = await open(lab.port);
  starting.catch(() => {});
  await until(() =>
    /is for cluster west, and this is east: have one made with causeway trust token/.test(plane.relay().reason),
  );
  rmSync(token);
  await until(() => /holds no bootstrap token/.test(plane.relay().reason));
});
