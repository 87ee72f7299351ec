import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { LOOK_MS } from "../src/ca/cacerts-follower.ts";
import { requestCertificate, verifySvid } from "../src/ca/client.ts";
import type { Options } from "../src/command.ts";
import { loadConfig } from "../src/config.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { MeshError } from "../src/errors.ts";
import { SERVER_LIMITS } from "../src/grpc/limits.ts";
import { clusterId } from "../src/names.ts";
import { DeltaClient, type DeltaUpdate } from "../src/xds/delta-client.ts";
import { dialXds, type XdsTarget } from "../src/xds/dial.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../src/xds/resource.ts";
import { realHost } from "./kits/real-host.ts";
import { TestAuthority } from "./kits/tls.ts";
import { until } from "./kits/until.ts";

const examples = join(import.meta.dirname, "..", "..", "examples", "shop");
const east = clusterId("east");

let folder = "";
let manifests = "";
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "causeway-plane-"));
  manifests = join(folder, "manifests");
  cpSync(examples, manifests, { recursive: true });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly plane: ControlPlane;
  readonly target: XdsTarget;
  readonly lines: readonly string[];
}

async function start(options: Options = {}, openToAll = false, host = realHost()): Promise<Running> {
  const flags = { cluster: "east", manifests: [manifests], state: join(folder, "state"), xdsPort: "0", ...options };
  const plane = await ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  await plane.start(new AbortController().signal);
  cleanups.push(() => plane.close());
  const ztunnel = [...plane.registry.pods.entries()]
    .map(([, pod]) => pod)
    .find((pod) => pod.name.startsWith("ztunnel-"))!;
  const token = await plane.tokens.get(east)!.issue({
    namespace: ztunnel.namespace,
    serviceAccount: ztunnel.serviceAccount,
    pod: { name: ztunnel.name, uid: ztunnel.uid, node: ztunnel.node },
  });
  const roots = readFileSync(plane.rootCertificateFile, "utf8");
  const target = { address: `127.0.0.1:${plane.ports.xds}`, roots, token, clusterId: "east" };
  return { plane, target, lines: host.lines };
}

const node = {
  id: "agent~127.0.0.1~test.istio-system~istio-system.svc.cluster.local",
  metadata: new Map([["NAMESPACE", "istio-system"]]),
};

/** Connects `client` until what has arrived is `enough`. */
async function receive(
  target: XdsTarget,
  client: DeltaClient,
  enough: (updates: readonly DeltaUpdate[]) => boolean,
): Promise<readonly DeltaUpdate[]> {
  const updates: DeltaUpdate[] = [];
  const done = new AbortController();
  const onUpdate = (update: DeltaUpdate): void => {
    updates.push(update);
    if (enough(updates)) setImmediate(() => done.abort());
  };
  await dialXds({ target, client, onUpdate, signal: done.signal });
  return updates;
}
const bothTypes = (updates: readonly DeltaUpdate[]): boolean =>
  new Set(updates.map(({ typeUrl }) => typeUrl)).size === 2;
const newClient = (): DeltaClient => new DeltaClient(node, [ADDRESS_TYPE, AUTHORIZATION_TYPE]);
const sizes = (client: DeltaClient): readonly number[] => [
  client.held(ADDRESS_TYPE).size,
  client.held(AUTHORIZATION_TYPE).size,
];
const countOf = (updates: readonly DeltaUpdate[]): number =>
  updates.reduce((count, { resources, removed }) => count + resources.length + removed.length, 0);

test("a client over TLS gets what a hand count of the examples says, and a certificate it can verify", async () => {
  const { target, plane } = await start();
  const client = newClient();
  await receive(target, client, bothTypes);
  assert.deepEqual(sizes(client), [14 + 7, 3]);
  const pod = [...plane.registry.pods.entries()]
    .map(([, value]) => value)
    .find(({ name }) => name.startsWith("reviews"))!;
  const impersonate = `spiffe://cluster.local/ns/bookshop/sa/${pod.serviceAccount}`;
  const elements = await requestCertificate({
    address: target.address,
    roots: target.roots!,
    token: target.token!,
    clusterId: "east",
    impersonate,
    ttlSeconds: 600,
    signal: new AbortController().signal,
  });
  const { spiffeId } = verifySvid(elements, Date.now());
  assert.equal(spiffeId, impersonate);
  assert.equal(elements.at(-1), target.roots);
});

test("the trust domain of every workload is the one that certificates are signed for (pitfall 21)", async () => {
  const { plane, target } = await start({ trustDomain: "mesh.example" });
  const domains = [...plane.registry.workloads.entries()].map(([, { trustDomain }]) => trustDomain);
  assert.ok(domains.length > 0);
  assert.deepEqual(new Set(domains), new Set(["mesh.example"]));
  const elements = await requestCertificate({
    address: target.address,
    roots: target.roots!,
    token: target.token!,
    clusterId: "east",
    impersonate: undefined,
    ttlSeconds: 600,
    signal: new AbortController().signal,
  });
  assert.match(verifySvid(elements, Date.now()).spiffeId, /^spiffe:\/\/mesh\.example\//);
});

test("cacerts that change while we run sign from then on, and show on new connections, without a restart", async () => {
  const cacerts = join(folder, "cacerts");
  const write = (own: TestAuthority, ...roots: readonly TestAuthority[]): void => {
    mkdirSync(cacerts, { recursive: true });
    writeFileSync(join(cacerts, "ca-cert.pem"), own.root);
    writeFileSync(join(cacerts, "ca-key.pem"), own.key);
    writeFileSync(join(cacerts, "cert-chain.pem"), own.root);
    writeFileSync(join(cacerts, "root-cert.pem"), roots.map(({ root }) => root).join(""));
  };
  const [before, after] = [await TestAuthority.create("CN=before"), await TestAuthority.create("CN=after")];
  write(before, before);
  const host = realHost();
  // Looks are hurried, and nothing else: a server that waits as long would cut connections instead.
  assert.ok(!Object.values(SERVER_LIMITS).includes(LOOK_MS));
  const soon = (delayMs: number, task: () => void) => host.clock.after(delayMs === LOOK_MS ? 10 : delayMs, task);
  const { target, lines } = await start({ cacerts, rootWait: "0" }, false, {
    ...host,
    clock: { ...host.clock, after: soon },
  });
  const ask = (roots: string) => {
    const { address, token = "" } = target;
    const signal = new AbortController().signal;
    return requestCertificate({
      address,
      roots,
      token,
      clusterId: "east",
      impersonate: undefined,
      ttlSeconds: 600,
      signal,
    });
  };
  const adopted = async (count: number): Promise<void> => {
    const seen = () => lines.filter((line) => line.includes("cacerts changed, and what is there now signs")).length;
    await until(() => seen() >= count);
  };
  assert.equal((await ask(before.root)).at(-1), before.root + "\n");
  write(before, before, after);
  await adopted(1);
  write(after, before, after);
  await adopted(2);
  const elements = await ask(after.root);
  verifySvid([elements[0]!, after.root], Date.now());
  await assert.rejects(ask(before.root), { code: "unavailable" });
});

test("a client that returns after a restart with unchanged input receives nothing, and only the changed otherwise", async () => {
  const first = await start();
  const client = newClient();
  await receive(first.target, client, bothTypes);
  const held = new Map(client.held(ADDRESS_TYPE));
  await first.plane.close();

  const second = await start();
  assert.equal(countOf(await receive(second.target, client, bothTypes)), 0);
  assert.deepEqual(client.held(ADDRESS_TYPE), held);
  await second.plane.close();

  rmSync(join(manifests, "payments", "bank.yaml"));
  const third = await start();
  const updates = await receive(third.target, client, bothTypes);
  assert.ok(countOf(updates) > 0 && countOf(updates) < 5, `${countOf(updates)} resources`);
  assert.ok(updates.flatMap(({ removed }) => removed).every((name) => name.includes("bank")));
});

test("an edit of a manifest reaches a client, and a folder that goes and returns ends in the same digest", async () => {
  const { target, plane } = await start();
  const digest = plane.logs.get(ADDRESS_TYPE)!.digest;
  const bookshop = join(manifests, "bookshop");
  let step = 0;
  const client = newClient();
  await receive(target, client, (updates) => {
    if (step === 0 && bothTypes(updates)) {
      step = 1;
      renameSync(bookshop, join(folder, "away"));
    } else if (step === 1 && plane.logs.get(ADDRESS_TYPE)!.size < 14) {
      step = 2;
      renameSync(join(folder, "away"), bookshop);
    }
    return step === 2 && plane.logs.get(ADDRESS_TYPE)!.digest === digest && updates.at(-1)!.resources.length > 0;
  });
  assert.equal(step, 2);
});

test("a manifest that cannot be read keeps the last good state and names file, line and reason", async () => {
  const { plane, lines } = await start();
  const before = plane.logs.get(ADDRESS_TYPE)!.digest;
  writeFileSync(join(manifests, "bookshop", "ratings.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: [}\n");
  await until(() => plane.problems().length > 0);
  const [problem] = plane.problems();
  assert.match(`${problem!.origin} ${problem!.message}`, /bookshop\/ratings.yaml:3/);
  assert.equal(plane.logs.get(ADDRESS_TYPE)!.digest, before);
  assert.ok(lines.some((line) => line.startsWith("warn registry:") && line.includes("ratings.yaml:3")));
});

test("a workload may have its own identity, but not the mesh, unless the mesh is open to all", async () => {
  const { plane, target } = await start();
  const token = await plane.tokens
    .get(east)!
    .issue({ namespace: "bookshop", serviceAccount: "reviews", pod: undefined });
  const client = new DeltaClient(
    {
      ...node,
      id: "agent~127.0.0.1~x.bookshop~bookshop.svc.cluster.local",
      metadata: new Map([["NAMESPACE", "bookshop"]]),
    },
    [ADDRESS_TYPE, AUTHORIZATION_TYPE],
  );
  await assert.rejects(
    receive({ ...target, token }, client, bothTypes),
    /may not read the mesh: only istio-system\/ztunnel may/,
  );
  await assert.rejects(receive({ ...target, token: undefined }, client, bothTypes), /UNAUTHENTICATED/);
  await plane.close();
  const open = await start({}, true);
  await receive({ ...open.target, token }, client, bothTypes);
});

test("two clusters in one process are one mesh, each with tokens of its own", async () => {
  const west = clusterId("west");
  cpSync(join(examples, "payments"), join(folder, "west"), { recursive: true });
  const { plane, target } = await start({ manifests: [manifests, `west=${join(folder, "west")}`] }, true);
  const client = newClient();
  await receive(target, client, bothTypes);
  const uids = [...client.held(ADDRESS_TYPE).keys()];
  assert.ok(uids.some((uid) => uid.startsWith("west//Pod/payments/checkout")));
  const token = await plane.tokens
    .get(west)!
    .issue({ namespace: "istio-system", serviceAccount: "ztunnel", pod: undefined });
  await assert.rejects(receive({ ...target, token }, newClient(), bothTypes), /UNAUTHENTICATED/);
  await receive({ ...target, token, clusterId: "west" }, newClient(), bothTypes);
});

test("what cannot be used stops the start with one sentence, and leaves nothing running", async () => {
  const cases: readonly (readonly [Options, RegExp])[] = [
    [{ manifests: [join(folder, "nowhere")] }, /nowhere/],
    [
      { state: join(manifests, "README.md", "x") },
      /the state folder .* cannot be written .*; choose another with --state/,
    ],
    [{ listen: "192.0.2.1" }, /xds cannot listen on 192.0.2.1:0: this machine does not have the address/],
  ];
  for (const [options, message] of cases)
    await assert.rejects(start(options), (error) => error instanceof MeshError && message.test(error.message));
});

// Fault 21 of contract operations.md 3.4, at the start.
test("a cacerts folder that cannot be used is waited for: not ready, with no other root, and no restart once it is mended", async () => {
  const cacerts = join(folder, "cacerts");
  const root = await TestAuthority.create("CN=root");
  const own = await TestAuthority.create("CN=own", root);
  const put = (name: string, text: string): void => {
    mkdirSync(cacerts, { recursive: true });
    writeFileSync(join(cacerts, name), text);
  };
  const host = realHost();
  const { clock } = host;
  const after = (delayMs: number, task: () => void): Disposable =>
    clock.after(delayMs === LOOK_MS ? 10 : delayMs, task);
  const hurried = { ...host, clock: { now: () => clock.now(), elapsedMs: () => clock.elapsedMs(), after } };
  const flags = { cluster: "east", manifests: [manifests], state: join(folder, "state"), xdsPort: "0", cacerts };
  const plane = await ControlPlane.open(hurried, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  cleanups.push(() => plane.close());
  const started = plane.start(new AbortController().signal);
  const waits = () =>
    plane
      .readiness()
      .find(({ name }) => name === "certificates")!
      .check();
  const problems = (): string =>
    plane
      .problems()
      .map(({ message }) => message)
      .join("\n");
  for (const [spoil, why] of [
    [() => {}, /cacerts holds no ca-cert.pem and no tls.crt; put the authority there/],
    [() => put("ca-cert.pem", own.root), /cacerts lacks ca-key.pem, root-cert.pem, cert-chain.pem/],
    [
      () => [put("ca-key.pem", root.key), put("root-cert.pem", root.root), put("cert-chain.pem", "")],
      /ca-key.pem: it is not the key of ca-cert.pem/,
    ],
  ] as const) {
    spoil();
    await until(() => why.test(waits() ?? ""));
    assert.match(problems(), why);
    assert.deepEqual([plane.ports.xds, plane.signer()], [0, undefined]);
    const said = host.lines.filter((line) => line.includes("no authority that can be used") && why.test(line));
    assert.equal(said.length, 1);
  }
  put("ca-key.pem", own.key);
  await started;
  assert.deepEqual([waits(), problems()], [undefined, ""]);
  assert.ok(new X509Certificate(plane.signer()!.chain[0]!).subject.includes("CN=own"));
});

test("a cacerts folder that never can be used keeps nobody from stopping", async () => {
  const host = realHost();
  const flags = { manifests: [manifests], state: join(folder, "state"), xdsPort: "0", cacerts: join(folder, "none") };
  const plane = await ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  const stop = new AbortController();
  const started = plane.start(stop.signal);
  await until(() => /put the authority there/.test(plane.readiness().at(-1)!.check() ?? ""));
  stop.abort();
  await assert.rejects(started, /we were told to stop/);
});

test("a cluster on another network is not sent, and that is a problem that says what to do", async () => {
  cpSync(join(examples, "payments"), join(folder, "west"), { recursive: true });
  const { plane } = await start({ manifests: [manifests, `west=${join(folder, "west")}`], network: "n1" });
  assert.deepEqual(
    plane.problems().map(({ object, field }) => [object, field]),
    [["cluster west", "topology.istio.io/network"]],
  );
  assert.match(
    plane.problems()[0]!.message,
    /none of them is sent. .*east-west gateway.* label its namespace istio-system/,
  );
});
