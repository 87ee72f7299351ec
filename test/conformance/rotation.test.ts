import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { pemBlocks } from "../../src/pem.ts";
import { CaCommandLine, nextStep } from "./ca-command-line.ts";
import { eventually } from "./causeway-process.ts";
import { appPod, DrillSite, ZTUNNEL } from "./drill-site.ts";
import type { DrillWorkload } from "./drill-workload.ts";
import { Drumbeat } from "./drumbeat.ts";
import { KubeLab } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { opensslRefuses } from "./openssl.ts";

/** How old a workload lets a certificate become. */
const LEAF_MS = 4_000;
const LEAF_TTL = `${LEAF_MS / 1000}s`;
/** As ztunnel renews, at the half of a life; and one whose requests come through only in the last moment. */
const PODS = [
  [ZTUNNEL, LEAF_MS / 2],
  [appPod(1), LEAF_MS / 2],
  [appPod(2), LEAF_MS],
] as const;
/** Of each cluster. */
const STREAMS = 25;

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

suite("a change of the root, with live streams and two clusters", () => {
  let lab: KubeLab;
  let ca: CaCommandLine;
  let sites: DrillSite[];
  let workloads: DrillWorkload[];
  let streams: MeshWatcher[];
  let beat: Drumbeat;
  let openssl = 0;

  const folderOf = ({ name }: DrillSite): string => join(lab.folder, name);
  const rootOf = (folder: string): string => readFileSync(join(lab.folder, folder, "root-cert.pem"), "utf8");
  const dirs = ["--dir", "east", "--dir", "west"];
  const plan = ["rotate", "--root", "root-a", "--to", "root-b", ...dirs, "--leaf-ttl", LEAF_TTL, "--plan"];

  /** Every leaf holds, by OpenSSL, under what a workload of the other cluster trusts. */
  function checkChains(): void {
    for (const one of workloads) {
      const other = workloads.find(({ cluster }) => cluster !== one.cluster)!;
      const refused = opensslRefuses(one.material.chain, other.material.roots);
      if (refused === undefined) continue;
      assert.equal(refused, "", one.spiffeId);
      openssl += 1;
    }
  }

  function checkNothingWasRefused(): void {
    const { step, tried, refused, reasons } = beat.tally;
    console.log(`      ${step}: ${refused} of ${tried} handshakes refused`);
    assert.equal(refused, 0, reasons.join("\n"));
    assert.ok(tried > 100, `${tried} handshakes are no drill`);
    assert.deepEqual(
      streams.map(({ lost, failure }) => failure ?? lost),
      streams.map(() => 0),
    );
  }

  before(async function () {
    lab = await KubeLab.open(this);
    ca = new CaCommandLine(lab.folder);
    for (const root of ["root-a", "root-b", "root-c"]) await ca.did("init", "--dir", root);
    for (const name of ["east", "west"]) await ca.did("issue", "--root", "root-a", "--cluster", name, "--dir", name);
    sites = await Promise.all(
      ["east", "west"].map(async (name) => {
        const cluster = await DrillSite.cluster(lab, name, join(lab.folder, name));
        return DrillSite.on(lab, cluster, { flags: ["--root-wait", LEAF_TTL] });
      }),
    );
    const made = sites.flatMap((site) => PODS.map(([pod, renewMs]) => site.workload(pod, renewMs)));
    workloads = await Promise.all(made);
    for (const workload of workloads) lab.with(workload);
    streams = [];
    for (const site of sites) {
      const token = await site.token(ZTUNNEL);
      const opened = Array.from({ length: STREAMS }, () => MeshWatcher.start(site.plane, token, site.name));
      streams.push(...(await Promise.all(opened)));
    }
    for (const stream of streams) lab.with(stream);
    beat = lab.with(new Drumbeat(workloads));
  });
  after(() => lab?.close());

  test("the steps that --plan prints, cluster by cluster: no handshake is refused, no stream ends, and all end under B", async function () {
    const startedAt = performance.now();
    beat.begin("A");
    beat.start();
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
    checkChains();
    for (const step of ["add-root", "switch", "remove-root"]) {
      const command = nextStep(await ca.did(...plan));
      assert.equal(command.at(-1), step);
      beat.begin(step);
      await ca.did(...command);
      const early = await ca.run(...plan.slice(0, -1), "--step", step === "add-root" ? "switch" : "remove-root");
      if (step !== "remove-root") assert.match(early.said, /is too early: workloads may hold certificates/);
      for (const site of sites) {
        await site.install(folderOf(site));
        // The other cluster is a step behind for a while, as with people.
        await passed(500);
      }
      await beat.renewed(LEAF_MS);
      checkNothingWasRefused();
      checkChains();
    }
    assert.match(await ca.did(...plan), /3\. remove-root: done/);
    for (const { material, spiffeId } of workloads) {
      assert.equal(material.roots.trim(), rootOf("root-b").trim(), spiffeId);
      assert.notEqual(opensslRefuses(material.chain, rootOf("root-a")), "", "nothing leads to A any more");
    }
    console.log(
      `      ${workloads.length} workloads, ${streams.length} streams, ${openssl} chains verified by openssl, ` +
        `${Math.round((performance.now() - startedAt) / 1000)} s`,
    );
  });

  test("the streams from before the change still bring what is new", async () => {
    for (const site of sites) await site.addPod({ ...appPod(77), name: "after" });
    for (const stream of streams)
      await eventually("a stream hears of a new pod", 10_000, () =>
        stream.changed.some((name) => name.endsWith("/Pod/shop/after")),
      );
  });

  test("new authorities under the same root are used at once, without a wait, and no handshake is refused", async () => {
    beat.begin("renew");
    await ca.did("rotate", "--root", "root-b", ...dirs, "--step", "renew");
    for (const site of sites) await site.install(folderOf(site));
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
    checkChains();
  });

  test("a root that takes another's place at once is refused, and no handshake is", async () => {
    await ca.did("issue", "--root", "root-c", "--cluster", "east", "--dir", "east-c");
    const [east] = sites;
    beat.begin("a swap that is refused");
    await east!.put(join(lab.folder, "east-c"));
    await eventually("it is refused", 20_000, async () => (await east!.plane.metric("cacerts_refused_total")) === 1);
    assert.match(east!.plane.log, /its roots replace those of before at once, and workloads would refuse each other/);
    await beat.renewed(LEAF_MS);
    checkNothingWasRefused();
    for (const { material } of workloads) assert.equal(pemBlocks(material.roots, "CERTIFICATE").length, 1);
    await beat.close();
  });

  test("were it forced, handshakes would be refused in both directions, and counted", async () => {
    const [east, west] = sites;
    await east!.plane.stop();
    const forced = await DrillSite.on(lab, east!.cluster, { flags: ["--root-wait", "0"] });
    await eventually("its pods are told", 20_000, async () => (await forced.published()) === rootOf("root-c"));
    const torn = [await forced.workload(ZTUNNEL, LEAF_MS), await west!.workload(ZTUNNEL, LEAF_MS)];
    for (const workload of torn) lab.with(workload);
    const cut = new Drumbeat(torn);
    cut.begin("a swap that was forced");
    await cut.beat();
    const { tried, refused, reasons } = cut.tally;
    console.log(`      ${refused} of ${tried} handshakes refused: ${reasons.join("; ")}`);
    // Two certificates and two streams of discovery, each from its own control plane, and a call in each direction.
    assert.deepEqual([tried, refused], [6, 2]);
    assert.ok(reasons.every((reason) => /-> (east|west)\/ztunnel: .*(certificate|unknown ca|issuer)/.test(reason)));
  });
});
