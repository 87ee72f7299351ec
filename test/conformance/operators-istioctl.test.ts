import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import type { Causeway } from "./causeway-process.ts";
import {
  causeway,
  istioctlBinary,
  kubectlForward,
  MachineZtunnel,
  type Ran,
  ran,
  readText,
  SYSTEM,
  writeControlPlanePod,
} from "./istioctl-lab.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";
import { skipWithout, ztunnelBinary } from "./machine.ts";
import { MeshWatcher } from "./mesh-watcher.ts";

/** What a page may take, with the kubelet's part in it (contract operations.md 1.2). */
const PAGE_MS = 1_000;
/** Of istioctl 1.30's bug-report. */
const PAGES =
  "adsz authorizationz cachez clusterz configz endpointShardz endpointz inject krtz instancesz mcsz mesh networkz push_status registryz resourcesz syncz telemetryz ambientz".split(
    " ",
  );

suite("operators-istioctl: Istio's own tools, and kubectl", () => {
  let lab: KubeLab;
  let east: KubeCluster;
  let plane: Causeway;
  before(async function () {
    lab = await KubeLab.open(this);
    east = await lab.cluster("east", { flags: ["--local-pods"] });
    await east.applyExamples();
    const flags = ["--pod-name", "istiod-1", "--ctrlz_port", "0"];
    plane = await lab.causeway({ kubeconfig: await east.kubeconfigFor("istiod"), cluster: "east", flags });
    await writeControlPlanePod(lab, east, plane);
    lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
  });
  after(async () => lab?.close());

  const kubectl = (...words: readonly string[]): Promise<Ran> => ran(east, "kubectl", ["-n", SYSTEM, ...words]);
  const level = (scope: string): Promise<Ran> =>
    causeway(east, "request", "GET", `/scopej/${scope}`, "--admin", plane.connection!.admin);

  test("through kubectl port-forward, ControlZ lists and sets levels as istioctl admin log asks it to", async () => {
    const forward = await kubectlForward(east, "istiod-1", 9876);
    try {
      const scopes = (await (await fetch(`${forward.url}/scopej`)).json()) as readonly { readonly name: string }[];
      assert.ok(
        scopes.some(({ name }) => name === "ads"),
        JSON.stringify(scopes),
      );
      const body = '{"name":"ads","output_level":"debug"}';
      assert.equal((await fetch(`${forward.url}/scopej/ads`, { method: "PUT", body })).status, 202);
      assert.match((await level("ads")).out, /"output_level": "debug"/);
      assert.match(await (await fetch(forward.url)).text(), /<select id="ads">/);
    } finally {
      await forward.close();
    }
  });

  test("through kubectl port-forward, the pages of bug-report come within a second, and those that do not apply say so", async () => {
    const forward = await kubectlForward(east, "istiod-1", 15014);
    try {
      const absent: string[] = [];
      for (const page of PAGES) {
        const startedAt = performance.now();
        const answer = await fetch(`${forward.url}/debug/${page}`);
        const text = await answer.text();
        assert.ok(performance.now() - startedAt < PAGE_MS, `${page} took ${performance.now() - startedAt} ms`);
        if (answer.status === 404) absent.push(page);
        else assert.equal(answer.status, 200, `${page}: ${text}`);
      }
      assert.deepEqual(absent, ["endpointz", "inject", "instancesz", "telemetryz"]);
    } finally {
      await forward.close();
    }
  });

  test("by kubectl exec, the program answers as pilot-discovery, and a page that does not apply is no failure", async () => {
    const request = ["exec", "istiod-1", "-c", "discovery", "--", "pilot-discovery", "request", "GET"];
    const syncz = await kubectl(...request, "debug/syncz");
    assert.equal(syncz.code, 0, syncz.err);
    const clients = JSON.parse(syncz.out) as readonly { readonly proxy: string }[];
    assert.ok(
      clients.some(({ proxy }) => proxy.startsWith("causeway-watch")),
      syncz.out,
    );
    const inject = await kubectl(...request, "debug/inject");
    assert.deepEqual([inject.code, /^inject is not served; /.test(inject.out)], [0, true]);
    assert.match((await kubectl("logs", "istiod-1", "-c", "discovery")).out, /ControlZ is served/);
  });

  test("our own commands find the control plane by a context, and say which verbs somebody lacks", async () => {
    const status = await causeway(east, "proxy-status", "--context", "kubeapi");
    assert.equal(status.code, 0, status.err);
    assert.match(status.out, /^causeway-watch\.istio-system +east +istiod-1 /m);
    const services = await causeway(east, "services", "--context", "kubeapi", "-n", "bookshop");
    assert.match(services.out, /^bookshop +reviews +10\./m);
    const reader = await east.kubeconfigFor("istio-reader-service-account");
    const refused = await causeway(east, "services", "--kubeconfig", reader);
    assert.equal(refused.code, 2);
    assert.match(
      refused.err,
      /pod istio-system\/istiod-1 cannot be reached: .*403 Forbidden.*grant the verbs get and create on pods\/portforward/,
    );
  });
});

suite("operators-istioctl: an unmodified istioctl", () => {
  let lab: KubeLab;
  let east: KubeCluster;
  let plane: Causeway;
  let binary: string;
  before(async function () {
    skipWithout(this, "operators-istioctl", istioctlBinary(process.env));
    binary = istioctlBinary(process.env) as string;
    lab = await KubeLab.open(this);
    east = await lab.cluster("east", { flags: ["--local-pods"] });
    await east.applyExamples();
    const flags = ["--pod-name", "istiod-1", "--ctrlz_port", "0"];
    plane = await lab.causeway({ kubeconfig: await east.kubeconfigFor("istiod"), cluster: "east", flags });
    await writeControlPlanePod(lab, east, plane);
    lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
  });
  after(async () => lab?.close());

  const istioctl = async (...words: readonly string[]): Promise<string> => {
    const { code, out, err } = await ran(east, binary, words);
    assert.equal(code, 0, `istioctl ${words.join(" ")}: ${err}${out}`);
    return out;
  };

  test("version, proxy-status and remote-clusters show this control plane and its clients", async () => {
    assert.match(await istioctl("version"), /^control plane version: 0\.1\.0$/m);
    const table = await istioctl("proxy-status");
    assert.match(table, /^NAME +CLUSTER +ISTIOD +VERSION +SUBSCRIBED TYPES$/m);
    assert.match(table, /^causeway-watch\.istio-system +east +istiod-1 .* 2 \(WADS,WDS\)$/m);
    assert.match(await istioctl("proxy-status", "-v", "1"), /^causeway-watch.* SYNCED \(\d+s\)/m);
    assert.match(await istioctl("proxy-status", "-o", "json"), /istio\.io\/debug\/syncz/);
    assert.match(await istioctl("remote-clusters"), /^east +synced +istiod-1/m);
  });

  test("admin log lists levels, sets them and takes them back", async () => {
    const levelOf = async (scope: string): Promise<string> => {
      // Where its port-forward ends in another way than it likes, istioctl says so on standard output.
      const lines = (await istioctl("admin", "log", "-o", "json")).split("\n").filter((line) => !/^\d{4}-/.test(line));
      const scopes = JSON.parse(lines.join("\n")) as readonly {
        readonly scope_name: string;
        readonly log_level: string;
      }[];
      return scopes.find(({ scope_name }) => scope_name === scope)!.log_level;
    };
    assert.equal(await levelOf("ads"), "info");
    await istioctl("admin", "log", "--level", "ads:debug,ca:error");
    assert.deepEqual([await levelOf("ads"), await levelOf("ca")], ["debug", "error"]);
    await istioctl("admin", "log", "--stack-trace-reset");
    assert.equal(await levelOf("ads"), "debug");
    await istioctl("admin", "log", "--reset");
    assert.deepEqual([await levelOf("ads"), await levelOf("ca")], ["info", "info"]);
  });

  test("bug-report has every page of the control plane, its metrics and its log", async () => {
    const folder = join(lab.folder, "report");
    mkdirSync(folder);
    const report = await ran(east, "env", [`TMPDIR=${folder}`, binary, "bug-report", "--timeout", "60s"], folder);
    assert.equal(report.code, 0, report.err);
    await ran(east, "tar", ["xzf", "bug-report.tar.gz"], folder);
    const pod = join(folder, "bug-report", "istio", SYSTEM, "istiod-1");
    assert.deepEqual(readdirSync(join(pod, "debug")).sort(), [...PAGES].sort());
    assert.match(readText(join(pod, "debug", "ambientz")), /"reviews"/);
    assert.match(readText(join(pod, "debug", "inject")), /^inject is not served; /);
    assert.match(readText(join(pod, "metrics")), /^pilot_info/m);
    assert.match(readText(join(pod, "discovery.log")), /ControlZ is served/);
    assert.match(readText(join(folder, "bug-report", "versions")), /Version:"0\.1\.0"/);
  });

  test("ztunnel-config shows what an unmodified ztunnel holds of ours", async function () {
    const ztunnel = ztunnelBinary(process.env);
    skipWithout(this, "operators-istioctl", ztunnel);
    const here = lab.with(await MachineZtunnel.start(ztunnel as string, lab, east, plane));
    const of = `${MachineZtunnel.POD}.${SYSTEM}`;
    assert.match(await istioctl("ztunnel-config", "workload", of), /^bookshop +ratings-1 .* HBONE$/m);
    assert.match(await istioctl("ztunnel-config", "service", of), /^bookshop +reviews +10\.\S+ .* \d\/\d$/m);
    assert.match(await istioctl("ztunnel-config", "policy", of), /^NAMESPACE +POLICY NAME +ACTION +SCOPE$/m);
    assert.match(await istioctl("ztunnel-config", "certificate", of), /^CERTIFICATE NAME /m);
    assert.match(await istioctl("ztunnel-config", "connections", of), /^WORKLOAD +DIRECTION /m);
    assert.match(await istioctl("ztunnel-config", "all", of), /^bookshop +reviews /m);
    assert.match(await istioctl("ztunnel-config", "log", of), /current log level is /);
    await here.close();
  });
});
