import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually, PROGRAM } from "./causeway-process.ts";
import { CheckedSite, EAST_WEST, meshRoot } from "./checked-site.ts";
import { controlPlaneLog, type Ran } from "./istioctl-lab.ts";
import { KubeLab } from "./kube-lab.ts";
import { writeMergedKubeconfig } from "./merged-kubeconfig.ts";

const SOON_MS = 30_000;
const RUN_MS = 60_000;
const BOTH = ["--contexts", "east,west"];
const run = promisify(execFile);

suite("operators-check: the check and the bug report, on real API servers", () => {
  let lab: KubeLab;
  let east: CheckedSite;
  let west: CheckedSite;
  let kubeconfig: string;
  let archive: string;
  before(async function () {
    lab = await KubeLab.open(this);
    const root = await meshRoot();
    [east, west] = await Promise.all([CheckedSite.open(lab, "east", 1, root), CheckedSite.open(lab, "west", 2, root)]);
    kubeconfig = join(lab.folder, "contexts.yaml");
    writeMergedKubeconfig(kubeconfig, [east.cluster, west.cluster]);
    archive = join(lab.folder, "report.tar.gz");
  });
  after(() => lab?.close());

  async function ran(program: string, words: readonly string[]): Promise<Ran> {
    const env = { ...process.env, KUBECONFIG: kubeconfig, TMPDIR: lab.folder };
    try {
      const { stdout, stderr } = await run(program, words, { env, timeout: RUN_MS, maxBuffer: 1 << 26 });
      return { code: 0, out: stdout, err: stderr };
    } catch (thrown) {
      const { code, stdout = "", stderr = "" } = thrown as { code?: unknown; stdout?: string; stderr?: string };
      return { code: typeof code === "number" ? code : -1, out: stdout, err: stderr };
    }
  }
  const causeway = (...words: readonly string[]): Promise<Ran> => ran(process.execPath, [PROGRAM, ...words]);
  const check = (...words: readonly string[]): Promise<Ran> => causeway("multicluster", "check", ...words);
  /** A fix as somebody pastes it, from the root of the repository. */
  const pasted = async (command: string): Promise<void> => {
    const { code, err } = await ran("sh", ["-ec", command]);
    assert.equal(code, 0, `${command}: ${err}`);
  };

  test("before clusters are exposed and linked, the check says what is missing, and --precheck that nothing is wrong", async () => {
    const { code, out, err } = await check(...BOTH);
    assert.equal(code, 1, out + err);
    for (const { name } of [east, west]) assert.match(out, new RegExp(`^=== Cluster: ${name} ===$`, "m"));
    assert.match(out, /^✅ Pod Check \(istiod\): all pods healthy$/m);
    assert.match(out, /^❌ Gateway Check: no configured eastwest gateways$/m);
    assert.match(out, /^❌ Peers Check: no configured peers$/m);
    assert.match(out, /^ +fix: causeway multicluster link --contexts east,west$/m);
    const precheck = await check(...BOTH, "--precheck");
    assert.equal(precheck.code, 0, precheck.out + precheck.err);
  });

  test("linked by the real commands, every check of the guide passes with the conditions that the peers' Gateways have", async () => {
    const exposed = await causeway("multicluster", "expose", ...BOTH);
    assert.equal(exposed.code, 0, exposed.err);
    await Promise.all([east, west].map((site) => site.runEastWest()));
    const addresses = ["--address", "east=127.0.0.1", "--address", "west=127.0.0.1"];
    const linked = await causeway("multicluster", "link", ...BOTH, ...addresses);
    assert.equal(linked.code, 0, linked.err);
    await Promise.all([east.relayTo(west), west.relayTo(east)]);
    const { code, out, err } = await check(...BOTH, "--verbose", "--wait", "30s");
    assert.equal(code, 0, out + err);
    assert.ok(out.includes(PEERS), out);
  });

  test("an archive of the same clusters says the same as they do, holds nothing that is secret, and replays", async () => {
    const [{ token }] = [await east.cluster.secretToken("istiod")];
    const secrets = [
      ...east.secrets,
      ...west.secrets,
      token,
      east.cluster.api.admin.token,
      west.cluster.api.admin.token,
    ];
    appendFileSync(controlPlaneLog(lab, east.cluster), `GET /x authorization: Bearer ${token}\n`);
    let live!: Awaited<ReturnType<typeof check>>;
    await eventually("control planes have tried each port", SOON_MS, async () => {
      live = await check(...BOTH, "--verbose");
      return !live.out.includes("for traffic unknown");
    });
    const report = await causeway("bug-report", ...BOTH, "--file", archive);
    assert.equal(report.code, 0, report.out + report.err);
    const folder = join(lab.folder, "unpacked");
    mkdirSync(folder);
    await run("tar", ["xzf", archive, "-C", folder]);
    const archived = await check("--directory", join(folder, "report"), "--verbose");
    assert.equal(archived.code, 0, archived.out + archived.err);
    assert.equal(masked(archived.out), masked(live.out));
    const texts = textsIn(folder);
    assert.ok(
      texts.some(([path]) => path.endsWith("istiod-1/discovery.log")),
      texts.map(([path]) => path).join(),
    );
    for (const [path, text] of texts)
      for (const secret of secrets) assert.ok(!text.includes(secret), `${path} holds a secret`);
    const replayed = await causeway("replay", archive, "--once");
    assert.equal(replayed.code, 0, replayed.out + replayed.err);
    assert.match(replayed.out, /derives what was served: \d+ workloads/);
  });

  test("a remote gateway with the wrong network is named, and the fix mends it as it is pasted", async () => {
    await pasted(
      `kubectl --context east -n ${EAST_WEST} label --overwrite gateway istio-remote-peer-west ${NETWORK}=net-x`,
    );
    const { code, out } = await check(...BOTH);
    assert.equal(code, 1, out);
    assert.match(out, /^ +CWY0904 Gateway istio-eastwest\/istio-remote-peer-west metadata\.labels\[.*network\]$/m);
    await pasted(fixOf(out, "CWY0904"));
    const mended = await check(...BOTH, "--wait", "30s");
    assert.equal(mended.code, 0, mended.out);
  });

  test("an account that lost a right is named with the verbs that it lacks, and the fix gives them back", async () => {
    await pasted("kubectl --context east delete clusterrolebinding istiod-gateways-istio-system");
    const { code, out } = await check(...BOTH);
    assert.equal(code, 1, out);
    assert.match(out, /^ +CWY1101 system:serviceaccount:istio-system:istiod deployments\.apps$/m);
    const [apply, canI] = fixOf(out, "CWY1101").split("; ");
    await pasted(apply!);
    await pasted(canI!);
    const mended = await check(...BOTH, "--wait", "30s");
    assert.equal(mended.code, 0, mended.out);
  });

  test("of a control plane that was killed its peers are not connected, and its own links are connected but stale", async () => {
    await west.plane.stop("SIGKILL");
    let out = "";
    await eventually("the check tells it", SOON_MS, async () => {
      const ended = await check(...BOTH);
      out = ended.out;
      return ended.code === 1 && out.includes("PeerConnected is False");
    });
    assert.match(out, /^ +CWY0603 Gateway istio-eastwest\/istio-remote-peer-west /m);
    assert.match(out, /CWY0605 Gateway istio-eastwest\/istio-remote-peer-east /m);
    assert.match(out, /cluster east is connected but stale: /);
  });

  test("an intermediate under another root is named, with who issued it", async () => {
    await west.signUnder(await meshRoot("CN=another root"));
    const { code, out } = await check(...BOTH);
    assert.equal(code, 1, out);
    assert.match(out, /^ +CWY0802 Secret istio-system\/cacerts data\[ca-cert\.pem\]$/m);
    assert.match(out, /does not verify what cluster west signs: CN=west was issued by CN=another root/);
  });
});

const NETWORK = "topology.istio.io/network";

/** Ages of pods and of secrets, times, and an API server's clock, which tells whole seconds, are not the same twice. */
const masked = (text: string): string =>
  text
    .replace(/ +(?:\d+[dhms])+$/gm, " <age>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replace(/^(API server:) [01] s (?:ahead of|behind) ours$/gm, "$1 as ours");

/** What stands behind a finding, of those with that code the first. */
const fixOf = (text: string, code: string): string => {
  const fix = new RegExp(`^ +${code} .*\\n(?: {5}[❌⚠].*\\n)? +fix: (.*)$`, "m").exec(text)?.[1];
  assert.ok(fix !== undefined, text);
  return fix;
};

const textsIn = (folder: string): readonly (readonly [path: string, text: string])[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => [path, readFileSync(path, "utf8")]);

/** As guide 002 shows it. */
const PEERS = `--- Peers Check ---
Cluster: west
Addresses:
- 127.0.0.1
Conditions:
- Accepted: True
- Programmed: True
- gloo.solo.io/PeerConnected: True
- gloo.solo.io/PeeringSucceeded: True
- gloo.solo.io/PeerDataPlaneProgrammed: True
Status: connected ✅
✅ Peers Check: all clusters connected
`;
