import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { type OwnRoot, renewedRoot } from "../../src/ca/own-root.ts";
import { pemBlocks } from "../../src/pem.ts";
import type { Host } from "../../src/host.ts";
import { SECRETS } from "../../src/kube/resource-types.ts";
import { realHost } from "../kits/real-host.ts";
import { CaCommandLine, nextStep } from "./ca-command-line.ts";
import { eventually } from "./causeway-process.ts";
import { appPod, DrillSite, ZTUNNEL } from "./drill-site.ts";
import type { DrillWorkload } from "./drill-workload.ts";
import { Drumbeat } from "./drumbeat.ts";
import { KubeLab, type KubeCluster } from "./kube-lab.ts";
import { opensslRefuses } from "./openssl.ts";

const SECRET = { name: "istio-ca-secret", namespace: "istio-system" };
const YEAR_MS = 365 * 86_400_000;
const LEAF_MS = 3_000;
const LEAF_TTL = `${LEAF_MS / 1000}s`;
const SEEN_MS = 30_000;
/** The leader looks once an hour whether its root is due: here what waits for minutes waits for a part of a second. */
const HOURS_ARE_SECONDS = `data:text/javascript,${encodeURIComponent(
  "const wait = globalThis.setTimeout;" +
    "globalThis.setTimeout = (task, ms, ...rest) => wait(task, ms > 120000 ? ms / 600 : ms, ...rest);",
)}`;

/** What is written of peers has a Lease of its own, which does not count. */
const leaders = (sites: readonly DrillSite[]): readonly DrillSite[] =>
  sites.filter(({ plane }) => /this replica leads and writes.*lease=causeway-status-/.test(plane.log));
const renewals = ({ plane }: DrillSite): number => plane.log.match(/renewed the root of our own/g)?.length ?? 0;

suite("replicas that share an authority on a Kubernetes API server", () => {
  let lab: KubeLab;
  let cluster: KubeCluster;
  let sites: DrillSite[];
  let workloads: DrillWorkload[];
  let beat: Drumbeat;

  const replica = (): Promise<DrillSite> => {
    const environment = { NODE_OPTIONS: `--import=${HOURS_ARE_SECONDS}` };
    return DrillSite.on(lab, cluster, { flags: ["--root-wait", LEAF_TTL], environment });
  };
  const text = async (key: string): Promise<string> => {
    const { data } = await cluster.client.get(SECRETS, SECRET.name, SECRET.namespace);
    return Buffer.from((data as Record<string, string>)[key]!, "base64").toString();
  };
  const rootNow = async (): Promise<OwnRoot> => ({
    certificate: await text("ca-cert.pem"),
    key: await text("ca-key.pem"),
  });

  /** The root as it would be had it been made nine years ago: with its name and its key, in its last fifth. */
  async function ageRoot(): Promise<string> {
    const host = realHost();
    const before: Host = { ...host, clock: { ...host.clock, now: () => Date.now() - 9 * YEAR_MS } };
    const { certificate } = renewedRoot(before, await rootNow());
    const data = Object.fromEntries(
      ["ca-cert.pem", "root-cert.pem"].map((name) => [name, Buffer.from(certificate).toString("base64")]),
    );
    await cluster.client.merge(SECRETS, { metadata: SECRET }, { data });
    return certificate;
  }

  function checkNothingWasRefused(): void {
    const { step, tried, refused, reasons } = beat.tally;
    console.log(`      ${step}: ${refused} of ${tried} handshakes refused`);
    assert.equal(refused, 0, reasons.join("\n"));
    assert.ok(tried > 50, `${tried} handshakes are no drill`);
    for (const one of workloads)
      for (const other of workloads) assert.equal(opensslRefuses(one.material.chain, other.material.roots) ?? "", "");
  }

  /** Waits until a new root is in the Secret, and in the hands of every workload. */
  async function renewedBy(leader: DrillSite, aged: string): Promise<void> {
    const count = renewals(leader);
    await eventually("the leader renews the root", SEEN_MS, () => renewals(leader) === count + 1);
    const { certificate, key } = await rootNow();
    const [old, made] = [new X509Certificate(aged), new X509Certificate(certificate)];
    assert.ok(Date.parse(made.validTo) - Date.now() > 9.9 * YEAR_MS);
    assert.deepEqual([made.subject, made.publicKey.equals(old.publicKey)], [old.subject, true]);
    assert.match(key, /PRIVATE KEY/);
    for (const { plane } of sites)
      await eventually("every replica hands the new certificate out", SEEN_MS, async () =>
        (await plane.debug<{ signer: { roots: { sha256: string }[] } }>("certz")).signer.roots.some(
          ({ sha256 }) => sha256 === made.fingerprint256.replace(/:/g, "").toLowerCase(),
        ),
      );
  }

  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await DrillSite.cluster(lab, "Kubernetes");
  });
  after(() => lab?.close());

  test("two that start at once without cacerts make one root, and what either signs holds with the other", async () => {
    sites = await Promise.all([replica(), replica()]);
    workloads = await Promise.all([
      sites[0]!.workload(ZTUNNEL, LEAF_MS / 2),
      sites[0]!.workload(appPod(1), LEAF_MS),
      sites[1]!.workload(ZTUNNEL, LEAF_MS / 2),
      sites[1]!.workload(appPod(2), LEAF_MS),
    ]);
    for (const workload of workloads) lab.with(workload);
    beat = lab.with(new Drumbeat(workloads));
    beat.begin("a shared root");
    beat.start();
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
    for (const { material } of workloads)
      assert.deepEqual(pemBlocks(material.roots, "CERTIFICATE"), pemBlocks(await text("ca-cert.pem"), "CERTIFICATE"));
    assert.equal(sites.filter(({ plane }) => plane.log.includes("made a root of our own")).length, 1);
  });

  test("the one that holds the Lease renews the root in its last fifth; the other follows, and nothing is refused", async () => {
    await eventually("one leads", SEEN_MS, () => leaders(sites).length === 1);
    const [leader] = leaders(sites);
    beat.begin("a renewal by the leader");
    await renewedBy(leader!, await ageRoot());
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
    assert.deepEqual(
      sites.map((site) => renewals(site)),
      sites.map((site) => (site === leader ? 1 : 0)),
    );
  });

  test("the leader's death loses nothing: its certificates hold, the other signs on, leads and renews", async () => {
    const [leader] = leaders(sites);
    const left = sites.find((site) => site !== leader);
    const orphans = workloads.filter(({ plane }) => plane === leader!.plane);
    const others = workloads.filter(({ plane }) => plane === left!.plane);
    await beat.close();
    await leader!.plane.stop("SIGKILL");
    // As a Service does; what they hold, the dead one signed.
    for (const orphan of orphans) orphan.turnTo(left!.plane);
    for (const orphan of orphans) {
      if (orphan.reads) await orphan.discover();
      for (const other of others) await Promise.all([orphan.call(other), other.call(orphan)]);
    }
    const later = await replica();
    sites = [left!, later];
    workloads.push(lab.with(await later.workload(appPod(3), LEAF_MS)));
    beat = lab.with(new Drumbeat(workloads));
    beat.begin("the leader is dead");
    beat.start();
    await eventually("another leads", SEEN_MS, () => leaders(sites).length === 1);
    await renewedBy(leaders(sites)[0]!, await ageRoot());
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
  });

  test("cacerts take the place of the shared root in the steps of the manual, in every replica, and nothing is refused", async () => {
    const ca = new CaCommandLine(lab.folder);
    mkdirSync(join(lab.folder, "own"));
    for (const key of ["ca-cert.pem", "ca-key.pem", "root-cert.pem"])
      writeFileSync(join(lab.folder, "own", key), await text(key), { mode: 0o600 });
    writeFileSync(join(lab.folder, "own", "cert-chain.pem"), await text("ca-cert.pem"));
    mkdirSync(join(lab.folder, "old"));
    writeFileSync(join(lab.folder, "old", "root-cert.pem"), await text("root-cert.pem"));
    await ca.did("init", "--dir", "new");
    const plan = ["rotate", "--root", "old", "--to", "new", "--dir", "own", "--leaf-ttl", LEAF_TTL, "--plan"];
    beat.begin("from the root of our own to cacerts");
    for (const step of ["add-root", "switch", "remove-root"]) {
      const next = nextStep(await ca.did(...plan));
      assert.equal(next.at(-1), step);
      await ca.did(...next);
      await sites[0]!.put(join(lab.folder, "own"));
      for (const site of sites) await site.follows(join(lab.folder, "own"));
      await beat.renewed(LEAF_MS);
    }
    checkNothingWasRefused();
    for (const { material } of workloads) assert.equal(material.chain.length, 2);
  });
});
