import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { test } from "mocha";
import { loadCacerts } from "../../src/ca/cacerts.ts";
import { pathLength, readCertificate } from "../../src/ca/certificate-fields.ts";
import { newCsr, verifySvid } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { pemBlocks, toPem } from "../../src/pem.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { caLab } from "../kits/ca-command.ts";
import { realHost } from "../kits/real-host.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

type Lab = Awaited<ReturnType<typeof caLab>>;

const HOUR_MS = 3_600_000;
const CLUSTERS = ["east", "west"] as const;
const FOUR = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];
const read = (lab: Lab, name: string): string => readFileSync(lab.at(name), "utf8");
const rootsIn = (lab: Lab, cluster: string): number =>
  pemBlocks(read(lab, `${cluster}/root-cert.pem`), "CERTIFICATE").length;
const own = (lab: Lab, cluster: string): X509Certificate => new X509Certificate(read(lab, `${cluster}/ca-cert.pem`));

/** Two roots, and two clusters under the first. */
async function mesh(lab: Lab): Promise<void> {
  for (const root of ["a", "b"]) assert.equal((await lab.ca("init", "--dir", `@${root}`)).code, 0);
  for (const cluster of CLUSTERS)
    assert.equal((await lab.ca("issue", "--root", "@a", "--cluster", cluster, "--dir", `@${cluster}`)).code, 0);
}

const rotate = (lab: Lab, ...more: readonly string[]) =>
  lab.ca("rotate", "--root", "@a", "--to", "@b", "--dir", "@east", "--dir", "@west", ...more);

/** Files are written with the machine's time: as if it were the lab's. */
function dated(lab: Lab): void {
  for (const cluster of CLUSTERS) utimesSync(lab.at(`${cluster}/root-cert.pem`), lab.now() / 1000, lab.now() / 1000);
}

/** A workload: its certificate with its chain, and the roots that it learned with it. */
interface Peer {
  readonly cluster: string;
  readonly at: number;
  readonly chain: readonly string[];
  readonly roots: string;
}

async function newPeer(lab: Lab, cluster: string): Promise<Peer> {
  const host = { ...realHost(), clock: { ...realHost().clock, now: lab.now } };
  const authority = (await loadCacerts(lab.at(cluster), "cluster.local", lab.now()))!;
  const signer = new LocalSigner(host, authority, "cluster.local");
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 86_400 };
  const chain = (await signer.sign(request, new AbortController().signal)).map((der) => toPem("CERTIFICATE", der));
  return { cluster, at: lab.now(), chain, roots: read(lab, `${cluster}/root-cert.pem`) };
}

const accepts = (server: Peer, client: Peer, now: number): boolean => {
  try {
    return verifySvid([...client.chain, server.roots], now).spiffeId === "spiffe://cluster.local/ns/shop/sa/cart";
  } catch {
    return false;
  }
};

test("through the three steps, every two workloads whose certificates live at the same time accept each other", async function () {
  this.timeout(60_000);
  await using lab = await caLab();
  await mesh(lab);
  const peers: Peer[] = [];
  let handshakes = 0;
  const meet = async (): Promise<void> => {
    for (const cluster of CLUSTERS) peers.push(await newPeer(lab, cluster));
    const alive = peers.filter(({ at }) => lab.now() < at + 24 * HOUR_MS);
    for (const server of alive)
      for (const client of alive) {
        assert.ok(accepts(server, client, lab.now()), `${server.cluster} refuses ${client.cluster}`);
        handshakes += 1;
      }
  };
  await meet();
  for (const step of ["add-root", "switch", "remove-root"]) {
    for (const cluster of CLUSTERS) {
      // Cluster by cluster, with workloads meeting in between.
      const ran = await rotate(lab, "--step", step, "--only", `@${cluster}`);
      assert.equal(ran.code, 0, ran.err);
      if (step === "add-root") dated(lab);
      await meet();
      lab.laterMs += HOUR_MS;
    }
    for (const hours of [11, 12, 1]) {
      lab.laterMs += hours * HOUR_MS;
      await meet();
    }
  }
  assert.ok(handshakes > 300, `${handshakes}`);
  for (const cluster of CLUSTERS) {
    assert.equal(rootsIn(lab, cluster), 1);
    assert.equal(read(lab, `${cluster}/root-cert.pem`), read(lab, "b/root-cert.pem"));
  }
  assert.ok(!accepts(peers[0]!, peers.at(-1)!, lab.now()), "had it been done at once, they would not have met");
  assert.match((await rotate(lab, "--plan")).out, /1\. add-root: done[^]*2\. switch: done[^]*3\. remove-root: done/);
});

test("a step that would cut off what is in use is refused with the plan that works, and nothing is written", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const all = () => CLUSTERS.flatMap((cluster) => FOUR.map((name) => read(lab, `${cluster}/${name}`))).join("");
  const refused = async (step: string, message: RegExp): Promise<void> => {
    const before = all();
    const ran = await rotate(lab, "--step", step);
    assert.equal(ran.code, 2);
    assert.match(ran.err, message);
    assert.match(ran.err, /1\. add-root: .*\n.*\n[^]*2\. switch: [^]*3\. remove-root: /);
    assert.equal(all(), before);
  };
  await refused("switch", /switch would cut off what is in use: add-root comes before it/);
  await refused("remove-root", /remove-root would cut off what is in use: add-root comes before it/);
  assert.equal((await rotate(lab, "--step", "add-root")).code, 0);
  await refused("switch", /switch is too early: workloads may hold certificates from before the last step until 20/);
  await refused("remove-root", /switch comes before it/);
  lab.laterMs = 25 * HOUR_MS;
  assert.equal((await rotate(lab, "--step", "switch")).code, 0);
  await refused("remove-root", /remove-root is too early/);
  lab.laterMs = 50 * HOUR_MS;
  assert.equal((await rotate(lab, "--step", "remove-root")).code, 0);
});

test("a step that is done does nothing when it is asked for again", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const snapshot = () =>
    CLUSTERS.map((cluster) => FOUR.map((name) => read(lab, `${cluster}/${name}`)).join("")).join("");
  for (const [at, step] of ["add-root", "switch", "remove-root"].entries()) {
    lab.laterMs = at * 25 * HOUR_MS;
    assert.equal((await rotate(lab, "--step", step)).code, 0);
    const after = snapshot();
    const again = await rotate(lab, "--step", step);
    assert.deepEqual([again.code, again.err, snapshot() === after], [0, `nothing to do: ${step} is done\n`, true]);
  }
});

test("clusters that switch one by one wait once: what a cluster trusts was not written anew", async () => {
  await using lab = await caLab();
  await mesh(lab);
  assert.equal((await rotate(lab, "--step", "add-root")).code, 0);
  const published = Math.floor(lab.now() / 1000) - 25 * 3_600;
  for (const cluster of CLUSTERS) utimesSync(lab.at(`${cluster}/root-cert.pem`), published, published);
  for (const cluster of CLUSTERS) {
    const ran = await rotate(lab, "--step", "switch", "--only", `@${cluster}`);
    assert.deepEqual([ran.code, /too early/.test(ran.err)], [0, false], ran.err);
    assert.equal(statSync(lab.at(`${cluster}/root-cert.pem`)).mtimeMs, published * 1000);
  }
  assert.ok(
    CLUSTERS.every((cluster) => own(lab, cluster).verify(new X509Certificate(read(lab, "b/root-cert.pem")).publicKey)),
  );
});

test("a plan says what is done, what is next and what to wait for, and writes nothing", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const listing = () => CLUSTERS.map((cluster) => readdirSync(lab.at(cluster)).join()).join();
  const before = listing();
  const { code, out } = await rotate(lab, "--plan");
  assert.equal(code, 0);
  assert.match(out, /east signs under \S+\/a, trusts \S+\/a\n/);
  assert.match(out, /1\. add-root: next\n {3}every cluster trusts the new root too/);
  assert.match(out, /causeway ca rotate --root \S+\/a --to \S+\/b --dir \S+east --dir \S+west --step add-root\n/);
  assert.match(out, /then wait 24h: workloads learn roots with their next certificate/);
  assert.match(out, /ISTIO_MULTIROOT_MESH=true/);
  assert.equal(listing(), before);
  await rotate(lab, "--step", "add-root");
  const { plan } = JSON.parse((await rotate(lab, "--plan", "-o", "json")).out) as {
    plan: readonly { state: string }[];
  };
  assert.deepEqual(
    plan.map(({ state }) => state),
    ["done", "waits", "later"],
  );
});

test("a cluster that an own list names, and whose folder was not given, stops every step", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const words = ["rotate", "--root", "@a", "--to", "@b", "--dir", "@east"];
  const plan = await lab.ca(...words, "--plan");
  assert.deepEqual([plan.code, /what may be in use in west: give its folder/.test(plan.err)], [1, true]);
  const step = await lab.ca(...words, "--step", "add-root");
  assert.equal(step.code, 2);
  assert.match(step.err, /in use in west: give its folder with --dir, or --without west if it is no more/);
  assert.equal(rootsIn(lab, "east"), 1);
  assert.equal((await lab.ca(...words, "--step", "add-root", "--without", "west")).code, 0);
  assert.equal(rootsIn(lab, "east"), 2);
});

test("a cluster that joined under the new root alone learns the old one before anything else happens", async () => {
  await using lab = await caLab();
  await mesh(lab);
  await lab.ca("issue", "--root", "@b", "--cluster", "north", "--dir", "@north");
  const early = await rotate(lab, "--step", "add-root");
  assert.match(early.err, /in use in north/);
  assert.equal((await rotate(lab, "--dir", "@north", "--step", "add-root")).code, 0);
  assert.equal(rootsIn(lab, "north"), 2);
});

test("turned round, a rotation goes back from any step before the last", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const back = (...more: readonly string[]) =>
    lab.ca("rotate", "--root", "@b", "--to", "@a", "--dir", "@east", "--dir", "@west", ...more);
  await rotate(lab, "--step", "add-root");
  lab.laterMs = 25 * HOUR_MS;
  await rotate(lab, "--step", "switch");
  assert.equal((await back("--step", "switch")).code, 0);
  assert.ok(
    CLUSTERS.every((cluster) => own(lab, cluster).verify(new X509Certificate(read(lab, "a/root-cert.pem")).publicKey)),
  );
  lab.laterMs = 50 * HOUR_MS;
  assert.equal((await back("--step", "remove-root")).code, 0);
  assert.ok(CLUSTERS.every((cluster) => read(lab, `${cluster}/root-cert.pem`) === read(lab, "a/root-cert.pem")));
});

test("renewing gives new keys under the same root, the same in all else, and keeps what was there", async () => {
  await using lab = await caLab();
  await lab.ca("init", "--dir", "@a", "--trust-domain", "td1.test");
  const shape = ["--key-type", "ec-p384", "--lifetime", "45d", "--path-length", "1"];
  await lab.ca("issue", "--root", "@a", "--cluster", "east", "--dir", "@east", ...shape);
  const [before, key, all] = [
    own(lab, "east"),
    read(lab, "east/ca-key.pem"),
    FOUR.map((name) => read(lab, `east/${name}`)),
  ];
  const renew = (...more: readonly string[]) => lab.ca("rotate", "--root", "@a", "--dir", "@east", ...more);
  assert.match((await renew("--plan")).out, /--step renew/);
  lab.laterMs = 46 * 24 * HOUR_MS;
  const ran = await renew("--step", "renew");
  assert.equal(ran.code, 0, "even once it has expired");
  assert.match(ran.out, /nothing is to wait for/);
  const now = own(lab, "east");
  assert.deepEqual(
    [now.subject, now.subjectAltName, now.issuer],
    [before.subject, before.subjectAltName, before.issuer],
  );
  const life = ({ validFrom, validTo }: X509Certificate) => Date.parse(validTo) - Date.parse(validFrom);
  assert.equal(life(now), life(before));
  assert.equal(now.publicKey.asymmetricKeyDetails?.namedCurve, "secp384r1");
  assert.notEqual(now.serialNumber, before.serialNumber);
  assert.notEqual(read(lab, "east/ca-key.pem"), key);
  assert.deepEqual(
    FOUR.map((name) => read(lab, `east/previous/${name}`)),
    all,
  );
  assert.equal(statSync(lab.at("east/previous/ca-key.pem")).mode & 0o777, 0o600);
  assert.equal((await lab.ca("verify", "--dir", "@east")).code, 0);
  assert.equal(read(lab, "a/issued.jsonl").match(/"cluster":"east"/g)?.length, 2);
});

test("an authority that others follow may be followed after it is renewed, too", async () => {
  await using lab = await caLab();
  const root = await TestAuthority.create("CN=root");
  const made = await TestAuthority.create({ name: "CN=spire", uris: ["spiffe://td1.test/ns/a/sa/citadel"] }, root);
  for (const folder of ["a", "east"]) mkdirSync(lab.at(folder));
  const files = {
    "ca-cert.pem": made.root,
    "ca-key.pem": made.key,
    "cert-chain.pem": made.root,
    "root-cert.pem": root.root,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(lab.at(`east/${name}`), text);
  writeFileSync(lab.at("a/root-cert.pem"), root.root);
  writeFileSync(lab.at("a/root-key.pem"), root.key);
  assert.equal((await lab.ca("rotate", "--root", "@a", "--dir", "@east", "--step", "renew")).code, 0);
  const renewed = own(lab, "east");
  assert.deepEqual(pathLength(readCertificate(renewed.raw)), { ca: true, max: undefined });
  assert.deepEqual([renewed.subject, renewed.subjectAltName], ["CN=spire", "URI:spiffe://td1.test"]);
  assert.equal(statSync(lab.at("east/ca-key.pem")).mode & 0o777, 0o600);
});

test("a cluster that made its own root moves under another by its certificate alone", async () => {
  await using lab = await caLab();
  await lab.ca("init", "--dir", "@b");
  await selfMadeRoot(realHost(), lab.at("own"), "cluster.local");
  mkdirSync(lab.at("a"));
  writeFileSync(lab.at("a/root-cert.pem"), read(lab, "own/root-cert.pem"));
  const move = (step: string) => lab.ca("rotate", "--root", "@a", "--to", "@b", "--dir", "@own", "--step", step);
  for (const [at, step] of ["add-root", "switch", "remove-root"].entries()) {
    lab.laterMs = at * 25 * HOUR_MS;
    const ran = await move(step);
    assert.equal(ran.code, 0, ran.err);
  }
  const { validFrom, validTo } = own(lab, "own");
  assert.equal(Math.round((Date.parse(validTo) - Date.parse(validFrom)) / (24 * HOUR_MS)), 90);
  assert.equal((await lab.ca("verify", "--dir", "@own")).code, 0);
});

test("only the switch needs the new root's key, and no step the old one's", async () => {
  await using lab = await caLab();
  await mesh(lab);
  const key = read(lab, "b/root-key.pem");
  rmSync(lab.at("a/root-key.pem"));
  rmSync(lab.at("b/root-key.pem"));
  assert.equal((await rotate(lab, "--step", "add-root")).code, 0);
  lab.laterMs = 25 * HOUR_MS;
  assert.match((await rotate(lab, "--step", "switch")).err, /b lacks root-key.pem/);
  writeFileSync(lab.at("b/root-key.pem"), key, { mode: 0o600 });
  assert.equal((await rotate(lab, "--step", "switch")).code, 0);
  rmSync(lab.at("b/root-key.pem"));
  lab.laterMs = 50 * HOUR_MS;
  assert.equal((await rotate(lab, "--step", "remove-root")).code, 0);
});

test("a list of the root outlives the authorities that it revokes: nobody is told to remove it", async () => {
  await using lab = await caLab();
  const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
  mkdirSync(lab.at("a"));
  writeFileSync(lab.at("a/root-cert.pem"), root.root);
  writeFileSync(lab.at("a/root-key.pem"), root.key, { mode: 0o600 });
  await lab.ca("issue", "--root", "@a", "--cluster", "east", "--dir", "@east");
  writeFileSync(lab.at("east/ca-crl.pem"), await root.list({ revoked: [own(lab, "east").serialNumber] }));
  assert.equal((await lab.ca("verify", "--dir", "@east")).code, 1);
  const renewed = await lab.ca("rotate", "--root", "@a", "--dir", "@east", "--step", "renew");
  assert.doesNotMatch(renewed.err, /remove/);
  assert.match(renewed.err, /keep \S+east\/ca-crl.pem, .*; stock istiod wants a list of the new/);
  assert.equal((await lab.ca("verify", "--dir", "@east")).code, 0);
});

test("a wrong rotation says what would be right", async () => {
  await using lab = await caLab();
  await mesh(lab);
  await lab.ca("init", "--dir", "@c");
  await lab.ca("issue", "--root", "@c", "--cluster", "other", "--dir", "@other");
  mkdirSync(lab.at("manager"));
  for (const name of ["tls.crt", "tls.key", "ca.crt"]) writeFileSync(lab.at(`manager/${name}`), "");
  writeFileSync(lab.at("west/ca-crl.pem"), "");
  const to = ["rotate", "--root", "@a", "--to", "@b"];
  const wrong: readonly [readonly string[], 2 | 64, RegExp][] = [
    [[...to, "--dir", "@east"], 64, /say either --plan, or which --step/],
    [[...to, "--dir", "@east", "--plan", "--step", "switch"], 64, /say either --plan/],
    [[...to, "--plan"], 64, /say which clusters with --dir DIR/],
    [[...to, "--dir", "@east", "--step", "renew"], 64, /renew stays with the root; leave out --to/],
    [["rotate", "--root", "@a", "--dir", "@east", "--step", "switch"], 64, /--step switch needs --to/],
    [["rotate", "--dir", "@east", "--plan"], 64, /which root issued what is in use with --root DIR/],
    [[...to, "--dir", "@east", "--plan", "--leaf-ttl", "soon"], 64, /--leaf-ttl is "soon"/],
    [[...to, "--dir", "@east", "--only", "@west", "--step", "add-root"], 64, /--only is ".*west", which is none/],
    [["rotate", "--root", "@a", "--to", "@a", "--dir", "@east", "--plan"], 2, /have the same key/],
    [[...to, "--dir", "@other", "--plan"], 2, /other: neither root issued its authority/],
    [["rotate", "--root", "@a", "--dir", "@other", "--step", "renew"], 2, /a did not issue its authority/],
    [[...to, "--dir", "@manager", "--plan"], 2, /manager has not the four files .* whoever made it renews it/],
    [[...to, "--dir", "@none", "--plan"], 2, /there is no folder/],
  ];
  for (const [words, code, message] of wrong) {
    const ran = await lab.ca(...words);
    assert.equal(ran.code, code, `${words.join(" ")}: ${ran.err}`);
    assert.match(ran.err, message);
  }
  const renewed = await lab.ca("rotate", "--root", "@a", "--dir", "@west", "--step", "renew");
  assert.match(
    renewed.err,
    /west\/ca-crl.pem holds no list that counts now, and nothing is loaded with it; replace or remove it/,
  );
});
