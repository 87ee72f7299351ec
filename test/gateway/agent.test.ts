import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "mocha";
import { toPem } from "../../src/pem.ts";
import { gatewayCommand } from "../../src/commands/gateway.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { UNSEEN } from "../kits/unseen.ts";
import { until } from "../kits/until.ts";
import { agentLab, eavesdropper, secretOf, startAgent } from "./agent-lab.ts";

const pem = (...roots: readonly string[]): string => roots.map((root) => toPem("CERTIFICATE", derOf(root))).join("");
const textOf = (source: { inlineBytes?: Uint8Array | null } | null | undefined): string =>
  Buffer.from(source?.inlineBytes ?? []).toString();

test("a gateway gets its identity from the control plane, and Envoy a bootstrap that leads to both", async () => {
  const lab = await agentLab();
  const { agent, get, lines, metrics } = await startAgent(lab);
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const { tlsCertificate } = await secretOf(lab, "workload");
  const leaf = new X509Certificate(textOf(tlsCertificate?.certificateChain));
  assert.equal(leaf.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/waypoint");
  assert.ok(leaf.checkPrivateKey(createPrivateKey(textOf(tlsCertificate?.privateKey))));
  const { validationContext } = await secretOf(lab, "control-plane-root");
  assert.equal(textOf(validationContext?.trustedCa), pem(lab.root.root));
  const { node } = JSON.parse(readFileSync(lab.folder.at("run/bootstrap.json"), "utf8")) as { node: unknown };
  assert.deepEqual(node, {
    id: "waypoint~127.0.0.1~waypoint-1.shop~shop.svc.cluster.local",
    cluster: "waypoint.shop",
    locality: { region: "", zone: "", sub_zone: "" },
    metadata: {
      ...{ GATEWAY: "waypoint", NAME: "waypoint-1", NAMESPACE: "shop", SERVICE_ACCOUNT: "waypoint" },
      ...{ CLUSTER_ID: "east", NETWORK: "" },
    },
  });
  assert.equal(await get("/healthz/startup"), "ready\n");
  assert.equal(await get("/healthz/live"), "live\n");
  assert.match(
    (await agent.whyNotReady())!,
    /^Envoy does not answer on 127\.0\.0\.1:1: .*; it is starting, or has ended/,
  );
  assert.match(await get("/healthz/ready"), /^not ready: Envoy does not answer/);
  assert.match(await metrics(), /^gateway_certificate_requests_total\{result="issued"\} 1$/m);
});

test("that a gateway is not ready is no warning while it starts, and one soon after", async () => {
  const { lines, firstLook } = await startAgent(await agentLab());
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const warnings = () => lines.filter((line) => /not ready/.test(line));
  assert.deepEqual(warnings(), []);
  firstLook();
  await until(() => warnings().length > 0);
  assert.match(warnings()[0]!, /^warn .*the gateway is not ready: Envoy does not answer/);
});

test("no private key crosses the network, nor is one on disk or in the log", async () => {
  const lab = await agentLab();
  const { address, heard } = await eavesdropper(lab);
  const { lines } = await startAgent(lab, { ca: address });
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const { tlsCertificate } = await secretOf(lab, "workload");
  const key = createPrivateKey(textOf(tlsCertificate?.privateKey));
  const der = key.export({ type: "pkcs8", format: "der" });
  const scalar = Buffer.from(key.export({ format: "jwk" }).d!, "base64url");
  const forms = ["latin1", "hex", "base64", "base64url"] as const;
  // Base64 of a part depends on where it begins: the scalar is looked for as bytes, the whole key in every form.
  const secrets = [...forms.map((form) => Buffer.from(der.toString(form).slice(0, 60), "latin1")), scalar];
  const sent = heard();
  assert.ok(sent.includes("BEGIN CERTIFICATE REQUEST"), "what is sent can be read here");
  const files = readdirSync(lab.folder.at("run")).filter((name) => !name.endsWith(".sock"));
  assert.deepEqual(files, ["bootstrap.json"]);
  const seen = [sent, readFileSync(lab.folder.at("run/bootstrap.json")), Buffer.from(lines.join("\n"))];
  for (const bytes of seen) {
    for (const secret of secrets) assert.ok(!bytes.includes(secret));
    assert.ok(!bytes.includes("PRIVATE KEY"));
  }
});

test("a root file that changes is followed: Envoy gets the new roots, and a certificate under them", async () => {
  const lab = await agentLab();
  const { lines } = await startAgent(lab);
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  const before = textOf((await secretOf(lab, "workload")).tlsCertificate?.certificateChain);
  const next = await TestAuthority.create("CN=next root");
  // As a kubelet does it. There is no line end between them.
  writeFileSync(lab.folder.at("roots.new"), lab.root.root + next.root);
  renameSync(lab.folder.at("roots.new"), lab.folder.at("roots.pem"));
  await until(() => lines.filter((line) => line.includes("we have a certificate")).length === 2);
  assert.ok(lines.some((line) => line.includes("the roots have changed")));
  const { validationContext } = await secretOf(lab, "control-plane-root");
  assert.equal(textOf(validationContext?.trustedCa), pem(lab.root.root, next.root));
  assert.notEqual(textOf((await secretOf(lab, "workload")).tlsCertificate?.certificateChain), before);
  writeFileSync(lab.folder.at("roots.pem"), "-----BEGIN CERTIFICATE-----\nAAAA");
  await until(() => lines.some((line) => /cut short or damaged.*; the roots before it stay in use/.test(line)));
  const { validationContext: kept } = await secretOf(lab, "control-plane-root");
  assert.equal(textOf(kept?.trustedCa), pem(lab.root.root, next.root));
});

/** What readiness says once an agent could not get its identity. */
async function refusal(lab: Awaited<ReturnType<typeof agentLab>>, options = {}): Promise<string> {
  const { agent, lines, get } = await startAgent(lab, { ...options, runDir: lab.folder.at(`run-${Math.random()}`) });
  await until(() => lines.some((line) => line.startsWith("error gateway: no new certificate")));
  const why = await get("/healthz/ready");
  assert.equal(await get("/healthz/startup"), why);
  await agent.close();
  return why;
}

test("why there is no identity is a sentence that says where to look", async () => {
  const lab = await agentLab();
  const at = lab.folder.at;
  writeFileSync(at("expired"), await lab.tokenFor("waypoint", -60));
  writeFileSync(at("cart"), await lab.tokenFor("cart"));
  writeFileSync(at("empty"), "\n");
  writeFileSync(at("noise"), "not a token of anybody");
  writeFileSync(at("stranger.pem"), (await TestAuthority.create("CN=stranger")).root);
  const said: readonly [object, RegExp][] = [
    [{ token: at("absent") }, /there is no token at .*absent: mount a projected volume with a serviceAccountToken/],
    [{ token: at("empty") }, /the token file .*empty is empty: mount/],
    [{ token: at("noise") }, /noise holds something that is no token/],
    [{ token: at("expired") }, /request authenticate failure.*; the token in .* ended at .*: look why the kubelet/],
    [{ token: at("cart") }, /it is for spiffe:.*\/sa\/cart, and we are .*\/sa\/waypoint/],
    [{ cluster: "nowhere" }, /request authenticate failure.*; the token in .* is of shop\/waypoint/],
    [{ root: at("absent.pem") }, /the root file .*absent\.pem cannot be used: there is none; mount the ConfigMap/],
    [
      { root: at("stranger.pem") },
      /; it must be there and show a certificate for 127\.0\.0\.1 under a root in .*stranger/,
    ],
    [{ ca: "127.0.0.1:1" }, /127\.0\.0\.1:1: nothing listens there .*; it must be there and show/],
    [{ controlPlaneName: "elsewhere.svc" }, /show a certificate for elsewhere\.svc/],
    [{ trustDomain: "other" }, /it is for spiffe:\/\/cluster\.local\/.*, and we are spiffe:\/\/other\//],
  ];
  for (const [options, sentence] of said) {
    const why = await refusal(lab, { serviceAccount: "waypoint", ...options });
    assert.match(why, /^not ready: there is no certificate yet: /);
    assert.match(why, sentence);
  }
}).timeout(60_000);

test("a token that arrives late is used at the next attempt, without a restart", async () => {
  const lab = await agentLab();
  const token = readFileSync(lab.folder.at("token"));
  rmSync(lab.folder.at("token"));
  const { lines } = await startAgent(lab);
  await until(() => lines.some((line) => line.includes("no new certificate")));
  writeFileSync(lab.folder.at("token"), token);
  await until(() => lines.some((line) => line.includes("we have a certificate")));
});

test("a port that is taken ends the start with one sentence, and leaves nothing open", async () => {
  const lab = await agentLab();
  const taken = createServer().listen(0, "0.0.0.0");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  await assert.rejects(
    startAgent(lab, { metricsPort: `${port}` }),
    new RegExp(`metrics cannot listen on 0\\.0\\.0\\.0:${port}: another program has it`),
  );
  taken.close();
});

test("an Envoy that cannot be run ends the agent with a sentence", async () => {
  const lab = await agentLab();
  const { agent } = await startAgent(lab, { envoy: lab.folder.at("no-envoy") });
  await assert.rejects(
    agent.failed,
    /Envoy ended by itself \(.*no-envoy cannot be run: .*ENOENT\), and its log says why/,
  );
});

test("one that is stopped before it was ever ready says why, and fails", async () => {
  const lab = await agentLab();
  const err: string[] = [];
  const options = {
    ...{ gateway: "waypoint", pod: "waypoint-1", namespace: "shop", address: "127.0.0.1", ca: "127.0.0.1:1" },
    ...{ root: lab.folder.at("absent.pem"), token: lab.folder.at("token"), runDir: lab.folder.at("run") },
    ...{ readyPort: "0", metricsPort: "0", envoyAdminPort: "1", log_output_level: "none" },
  };
  const printer = { out: () => {}, err: (text: string) => void err.push(text) };
  const signal = AbortSignal.abort();
  assert.equal(await gatewayCommand.run({ args: [], options, environment: {}, printer, ...UNSEEN, signal }), 1);
  assert.match(
    err.join(""),
    /^causeway: the gateway was stopped before it was ever ready: there is no certificate yet: /,
  );
});

test("only who has the key may have a gateway drained, and hears when that is done", async () => {
  const lab = await agentLab();
  const { agent, get, lines } = await startAgent(lab, {}, { DRAIN_KEY: "d0a1b2c3-key" });
  const own = (path: string): Promise<string> => get(path, agent.metricsPort);
  await until(() => lines.some((line) => line.includes("Envoy may start")));
  for (const path of ["/drain/", "/drain/another-key", "/drain"]) assert.match(await own(path), /^there is \/metrics/);
  assert.match(await get("/drain/d0a1b2c3-key"), /^there are/, "callers of its Service reach that port");
  assert.doesNotMatch((await agent.whyNotReady())!, /drains/);
  // Nobody answers as Envoy here, so there is nothing to wait for.
  assert.equal(await own("/drain/d0a1b2c3-key"), "drained\n");
  assert.match(await get("/healthz/ready"), /the gateway is being stopped, and drains/);
  await agent.stop();
  assert.equal(lines.filter((line) => line.includes("Envoy cannot be drained")).length, 1, "it drains once");
  const { agent: other, get: ask } = await startAgent(lab, { runDir: lab.folder.at("other") });
  assert.match(await ask("/drain/undefined", other.metricsPort), /^there is/);
});
