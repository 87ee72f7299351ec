import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { afterEach, test } from "mocha";
import { TestAuthority } from "../kits/tls.ts";
import { AuthorityLab, type Files, HOUR_MS, istioFiles, type Replica } from "./authority-lab.ts";

const labs: AuthorityLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});
const open = (): AuthorityLab => {
  const lab = new AuthorityLab();
  labs.push(lab);
  return lab;
};
const problems = ({ authority }: Replica): string =>
  authority
    .problems()
    .map(({ message }) => message)
    .join("\n");
const rootOf = ({ seen }: Replica): string => Buffer.from(seen.at(-1)!.roots[0]!).toString("base64");
const crlf = (text: string): string => text.replace(/\n/g, "\r\n");

const layouts: readonly (readonly [string, (own: TestAuthority, root: TestAuthority) => Files])[] = [
  ["istiod's four files", (own, root) => istioFiles(own, [root])],
  ["a chain with the root in it", (own, root) => istioFiles(own, [root], `${own.root}\n${root.root}`)],
  ["an empty chain", (own, root) => istioFiles(own, [root], "")],
  ["lines that end as on Windows", (own, root) => istioFiles(own, [root], crlf(own.root))],
  ["cert-manager's three", (own, root) => ({ "tls.crt": own.root, "tls.key": own.key, "ca.crt": root.root })],
  [
    "cert-manager's three, with other formats beside them",
    (own, root) => ({ "tls.crt": own.root, "tls.key": own.key, "ca.crt": root.root, "tls-combined.pem": own.key }),
  ],
  ["what istiod made itself", (own, root) => ({ ...istioFiles(own, [root], ""), "istio-generated": "" })],
  ["more keys than are read", (own, root) => ({ ...istioFiles(own, [root]), "notes.txt": "from Ann" })],
];
for (const [name, files] of layouts)
  test(`the Secret cacerts is the authority: ${name}`, async () => {
    const lab = open();
    const root = await TestAuthority.create("CN=root");
    lab.putSecret("cacerts", files(await TestAuthority.create("CN=own", root), root));
    const replica = lab.replica();
    await lab.pass(100);
    assert.ok(replica.ready(), replica.authority.waitingFor());
    const { leaf, roots } = await replica.sign();
    assert.match(leaf.issuer, /CN=own/);
    assert.deepEqual(
      roots.map(({ subject }) => subject),
      ["CN=root"],
    );
    assert.equal(lab.secret("istio-ca-secret"), undefined);
  });

// Fault 21 of contract operations.md 3.4, at the start.
test("a Secret that cannot be used is waited for: not ready, no root of our own, and no restart once it is mended", async () => {
  const lab = open();
  const [root, other] = [await TestAuthority.create("CN=root"), await TestAuthority.create("CN=other")];
  const own = await TestAuthority.create("CN=own", root);
  const spoiled: readonly (readonly [Files, RegExp])[] = [
    [{}, /Secret istio-system\/cacerts holds no ca-cert.pem and no tls.crt; put the authority there, or delete it/],
    [{ "ca-cert.pem": own.root }, /Secret istio-system\/cacerts lacks ca-key.pem, root-cert.pem, cert-chain.pem/],
    [{ ...istioFiles(own, [root]), "ca-key.pem": other.key }, /cacerts\/ca-key.pem: it is not the key of ca-cert.pem/],
    [istioFiles(own, [other]), /root-cert.pem: no root in it issued "CN=own"/],
    [{ ...istioFiles(own, [root]), "ca-cert.pem": own.root.slice(0, 200) }, /ca-cert.pem: it is cut short or damaged/],
  ];
  lab.putSecret("cacerts", spoiled[0]![0]);
  const replica = lab.replica();
  for (const [files, why] of spoiled) {
    lab.putSecret("cacerts", files);
    await lab.pass(20_000);
    assert.match(replica.authority.waitingFor() ?? "ready", why);
    assert.match(problems(replica), why);
    assert.equal(lab.secret("istio-ca-secret"), undefined);
    const said = replica.lines.filter((line) => line.includes("no authority that can be used") && why.test(line));
    assert.equal(said.length, 1, "said once, however often it is looked at");
  }
  lab.putSecret("cacerts", istioFiles(own, [root]));
  await lab.pass(100);
  assert.ok(replica.ready());
  assert.equal(problems(replica), "");
  await replica.sign();
});

test("a Secret that cannot be used and is deleted leaves the way to a root of our own: that was asked for", async () => {
  const lab = open();
  lab.putSecret("cacerts", {});
  const replica = lab.replica();
  await lab.pass(10_000);
  assert.equal(replica.ready(), false);
  lab.server.faults.forbidden = ({ verb, resource }) => verb === "create" && resource === "secrets";
  lab.removeSecret("cacerts");
  await lab.pass(1_000);
  assert.match(replica.authority.waitingFor()!, /grant create on secrets/);
  lab.server.faults.forbidden = undefined;
  await lab.pass(10_000);
  assert.ok(replica.ready());
  assert.ok(lab.secret("istio-ca-secret"));
});

// Fault 21 while we run.
test("a Secret that changes is followed without a restart; what cannot be used, or goes, changes nothing and is a problem", async () => {
  const lab = open();
  const root = await TestAuthority.create("CN=root");
  lab.putSecret("cacerts", istioFiles(await TestAuthority.create("CN=first", root), [root]));
  const replica = lab.replica();
  await lab.pass(100);
  lab.putSecret("cacerts", istioFiles(await TestAuthority.create("CN=second", root), [root]));
  await lab.pass(100);
  assert.match((await replica.sign()).leaf.issuer, /CN=second/);
  let refusals = 0;
  const late = await TestAuthority.create({ name: "CN=ended", notAfterMs: Date.now() - HOUR_MS }, root);
  for (const [spoil, why] of [
    [
      () => lab.putSecret("cacerts", istioFiles(late, [root])),
      /"CN=ended" expired at .*What was there before still signs/,
    ],
    [() => lab.putSecret("cacerts", {}), /holds no ca-cert.pem/],
    [() => lab.removeSecret("cacerts"), /was deleted; put it back/],
  ] as const) {
    spoil();
    await lab.pass(30_000);
    assert.match(problems(replica), why);
    refusals += 1;
    assert.equal(lab.time.metric("cacerts_refused_total"), refusals);
    assert.match((await replica.sign()).leaf.issuer, /CN=second/);
    assert.ok(replica.ready());
  }
  assert.equal(lab.secret("istio-ca-secret"), undefined, "a Secret that went never makes a root of our own");
  lab.putSecret("cacerts", istioFiles(await TestAuthority.create("CN=third", root), [root]));
  await lab.pass(100);
  assert.equal(problems(replica), "");
  assert.match((await replica.sign()).leaf.issuer, /CN=third/);
});

test("replicas that start at once without cacerts share one root, which is found again after a restart", async () => {
  const lab = open();
  const replicas = [lab.replica(), lab.replica(), lab.replica()];
  await lab.pass(10_000);
  assert.ok(replicas.every((replica) => replica.ready()));
  const made = lab.secret("istio-ca-secret")!;
  assert.equal(made["type"], "istio.io/ca-root");
  assert.equal(new Set(replicas.map(rootOf)).size, 1);
  const certificate = new X509Certificate(lab.text("istio-ca-secret", "ca-cert.pem"));
  assert.equal(rootOf(replicas[0]!), certificate.raw.toString("base64"));
  assert.deepEqual([certificate.subject, certificate.ca], ["O=cluster.local", true]);
  assert.deepEqual(Object.keys(made["data"] as Files).sort(), [
    "ca-cert.pem",
    "ca-key.pem",
    "cert-chain.pem",
    "key.pem",
    "root-cert.pem",
  ]);
  const later = lab.replica();
  await lab.pass(1_000);
  assert.equal(rootOf(later), rootOf(replicas[0]!));
  assert.deepEqual(lab.secret("istio-ca-secret"), made);
});

test("the root that istiod made is taken over, as older ones left it, too", async () => {
  for (const more of [{ "root-cert.pem": "", "cert-chain.pem": "", "key.pem": "" }, {}]) {
    const lab = open();
    const istiods = await TestAuthority.create({ name: "O=cluster.local", algorithm: "RSA" });
    lab.putSecret("istio-ca-secret", { "ca-cert.pem": istiods.root, "ca-key.pem": istiods.key, ...more });
    const replica = lab.replica();
    await lab.pass(1_000);
    const { leaf, roots } = await replica.sign();
    assert.ok(leaf.verify(new X509Certificate(istiods.root).publicKey));
    assert.equal(roots.length, 1);
  }
});

test("a root of our own that is damaged is never replaced", async () => {
  const lab = open();
  lab.putSecret("istio-ca-secret", { "ca-cert.pem": "damaged", "ca-key.pem": "damaged" });
  const before = lab.secret("istio-ca-secret");
  const replica = lab.replica();
  await lab.pass(60_000);
  assert.match(replica.authority.waitingFor()!, /Secret istio-system\/istio-ca-secret\/root-cert.pem: it holds no/);
  assert.deepEqual(lab.secret("istio-ca-secret"), before);
});

test("one leader renews the root in the last fifth of its life, with its key: all replicas follow, and nobody has to learn another", async () => {
  const lab = open();
  const old = await TestAuthority.create({
    name: "O=cluster.local",
    algorithm: "RSA",
    notAfterMs: Date.now() + 3 * HOUR_MS,
  });
  lab.putSecret("istio-ca-secret", { "ca-cert.pem": old.root, "ca-key.pem": old.key });
  const [leader, other] = [lab.replica({ leads: true }), lab.replica()];
  await lab.pass(1.5 * HOUR_MS);
  assert.deepEqual([leader.seen.length, other.seen.length], [1, 1], "not before");
  const before = await leader.sign();
  await lab.pass(1.4 * HOUR_MS);
  assert.deepEqual([leader.seen.length, other.seen.length], [2, 2], "and once");
  const [oldRoot] = before.roots;
  const { leaf, roots } = await other.sign();
  assert.ok(Date.parse(roots[0]!.validTo) > lab.now() + 9 * 365 * 24 * HOUR_MS);
  assert.equal(roots.length, 1);
  assert.ok(
    leaf.checkIssued(oldRoot!) && leaf.verify(oldRoot!.publicKey),
    "those who know the old one trust new leafs",
  );
  assert.ok(before.leaf.checkIssued(roots[0]!) && before.leaf.verify(roots[0]!.publicKey), "and the reverse");
  const writes = lab.server.requests.filter(({ verb, path }) => verb === "PUT" && path.includes("istio-ca-secret"));
  assert.equal(writes.length, 1);
});

test("a root of our own that ended while nobody ran is renewed before we are ready", async () => {
  const lab = open();
  const ended = await TestAuthority.create({ name: "O=cluster.local", notAfterMs: Date.now() - HOUR_MS });
  lab.putSecret("istio-ca-secret", { "ca-cert.pem": ended.root, "ca-key.pem": ended.key });
  const replicas = [lab.replica(), lab.replica()];
  await lab.pass(20_000);
  assert.ok(replicas.every((replica) => replica.ready()));
  assert.equal(new Set(replicas.map(rootOf)).size, 1);
  const renewed = new X509Certificate(lab.text("istio-ca-secret", "ca-cert.pem"));
  assert.ok(renewed.publicKey.equals(new X509Certificate(ended.root).publicKey));
});

test("a root of our own is renewed in root-cert.pem, too, however that writes it", async () => {
  const lab = open();
  const ended = await TestAuthority.create({ name: "O=cluster.local", notAfterMs: Date.now() - HOUR_MS });
  const windows = ended.root.replace(/\r?\n/g, "\r\n");
  lab.putSecret("istio-ca-secret", { "ca-cert.pem": ended.root, "ca-key.pem": ended.key, "root-cert.pem": windows });
  const replica = lab.replica();
  await lab.pass(20_000);
  assert.equal(replica.ready(), true);
});

test("a root of our own that is deleted while it is in use is put back, so that a restart finds it", async () => {
  const lab = open();
  const replica = lab.replica();
  await lab.pass(1_000);
  const root = lab.text("istio-ca-secret", "root-cert.pem");
  lab.removeSecret("istio-ca-secret");
  await lab.pass(10_000);
  assert.equal(lab.text("istio-ca-secret", "root-cert.pem"), root);
  const later = lab.replica();
  await lab.pass(1_000);
  assert.equal(rootOf(later), rootOf(replica));
});

test("without the right to make the Secret we say what to grant, and go on once it is granted", async () => {
  const lab = open();
  lab.server.faults.forbidden = ({ verb, resource }) => verb === "create" && resource === "secrets";
  const replica = lab.replica();
  await lab.pass(60_000);
  assert.match(
    replica.authority.waitingFor()!,
    /forbidden.*grant create on secrets in namespace istio-system, or make/,
  );
  assert.equal(replica.lines.filter((line) => line.includes("grant create on secrets")).length, 1);
  lab.server.faults.forbidden = undefined;
  await lab.pass(10_000);
  assert.ok(replica.ready());
  assert.equal(problems(replica), "");
});

test("while the API server is away we know of no authority and make none; what it says when it is back counts", async () => {
  const lab = open();
  const root = await TestAuthority.create("CN=root");
  lab.putSecret("cacerts", istioFiles(await TestAuthority.create("CN=own", root), [root]));
  lab.server.faults.down = true;
  const replica = lab.replica();
  await lab.pass(60_000);
  assert.match(replica.authority.waitingFor()!, /^Secret istio-system\/cacerts is not read yet/);
  lab.server.faults.down = false;
  await lab.pass(60_000);
  assert.match((await replica.sign()).leaf.issuer, /CN=own/);
  lab.server.faults.down = true;
  lab.server.cutWatches();
  await lab.pass(HOUR_MS / 2);
  await replica.sign();
  assert.equal(lab.secret("istio-ca-secret"), undefined);
});

test("cacerts that are put beside a root of our own take its place in steps, and not at once", async () => {
  const lab = open();
  const replica = lab.replica();
  await lab.pass(1_000);
  const self = lab.text("istio-ca-secret", "root-cert.pem");
  const root = await TestAuthority.create({ name: "CN=root" });
  const own = await TestAuthority.create({ name: "CN=own" }, root);
  lab.putSecret("cacerts", istioFiles(own, [root]));
  await lab.pass(20_000);
  assert.match(problems(replica), /its roots replace those of before at once/);
  assert.match((await replica.sign()).leaf.issuer, /O=cluster.local/);
  lab.putSecret("cacerts", { ...istioFiles(own, [root]), "root-cert.pem": `${root.root}\n${self}` });
  await lab.pass(20_000);
  assert.equal(problems(replica), "");
  const { leaf, roots } = await replica.sign();
  assert.match(leaf.issuer, /CN=own/);
  assert.equal(roots.length, 2);
});

test("a restart is no way around the steps: roots that workloads know nothing of are not signed under, and none is made", async () => {
  const lab = open();
  const [a, b] = [await TestAuthority.create("CN=a"), await TestAuthority.create("CN=b")];
  const ib = await TestAuthority.create("CN=ib", b);
  lab.publish(a.root);
  lab.putSecret("cacerts", istioFiles(ib, [b]));
  const replica = lab.replica({ rootWait: "24h" });
  await lab.pass(20_000);
  const why =
    /workloads trust the roots in ConfigMap istio-system\/istio-ca-root-cert, and none of them is among those of/;
  assert.match(replica.authority.waitingFor()!, why);
  lab.removeSecret("cacerts");
  await lab.pass(20_000);
  assert.match(replica.authority.waitingFor()!, /none of them is among a root of our own/);
  assert.equal(lab.secret("istio-ca-secret"), undefined);
  lab.putSecret("cacerts", istioFiles(ib, [a, b]));
  await lab.pass(1_000);
  assert.match((await replica.sign()).leaf.issuer, /CN=ib/);
});

test("where SPIRE signs for workloads, roots that they know are no reason to refuse cacerts of another", async () => {
  const lab = open();
  const [spires, own] = [await TestAuthority.create("CN=spire"), await TestAuthority.create("CN=own")];
  lab.publish(spires.root);
  lab.putSecret("cacerts", istioFiles(own, [own]));
  const environment = { WORKLOAD_IDENTITY: "external", SPIFFE_ENDPOINT_SOCKET: "unix:///run/spire/agent.sock" };
  const replica = lab.replica({ rootWait: "24h", environment });
  await lab.pass(20_000);
  assert.equal(replica.authority.waitingFor(), undefined);
});

test("roots that ended, what is no certificate, and --root-wait 0 keep nobody from another root", async () => {
  const b = await TestAuthority.create("CN=b");
  const ib = await TestAuthority.create("CN=ib", b);
  const ended = await TestAuthority.create({ name: "CN=a", notAfterMs: Date.now() - HOUR_MS });
  const garbage = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
  for (const [published, rootWait] of [
    [ended.root, "24h"],
    [garbage, "24h"],
    [(await TestAuthority.create("CN=a")).root, "0"],
  ] as const) {
    const lab = open();
    lab.publish(published);
    lab.putSecret("cacerts", istioFiles(ib, [b]));
    const replica = lab.replica({ rootWait });
    await lab.pass(1_000);
    assert.ok(replica.ready(), replica.authority.waitingFor());
  }
});
