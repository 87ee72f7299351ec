import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { type EnrolledPod, python, ZdsAgent } from "./zds-agent.ts";
import { CART_ADDRESS, type LabPod, until, ZtunnelLab } from "./ztunnel-lab.ts";

/** The shortest that Causeway gives: at its half, counted from its back-date, ztunnel asks for the next. */
const TTL_SECONDS = 60;
/** Certificates tell whole seconds, and ztunnel is looked at a few times in each. */
const ACCURACY_MS = 4_000;
/** Of each identity: two renewals. */
const CERTIFICATES = 3;
const WATCHED_MS_MAX = 120_000;

const spiffeId = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;
const enrolled = ({ name, host: { netns } }: LabPod): EnrolledPod => ({
  uid: `uid-${name}`,
  name,
  namespace: "shop",
  serviceAccount: name,
  netns,
});

/** A certificate, and when it was first seen with ztunnel. */
interface Seen {
  readonly serial: string;
  /** The half of its life. */
  readonly dueAt: number;
  readonly seenAt: number;
}

suite("an unmodified ztunnel in shared mode, with pods from a CNI agent", () => {
  let lab: ZtunnelLab;
  let plane: ChildProcess;
  let node: ChildProcess;
  let agent: ZdsAgent;

  before(async function () {
    const binary = ztunnelBinary(process.env);
    skipWithout(this, "ztunnel-shared", binary, networkNamespaces(), python());
    lab = new ZtunnelLab(binary as string);
    lab.write("far.yaml", far);
    lab.causeway("ca", "init", "--dir", "root", "--key-type", "rsa-3072");
    lab.causeway("ca", "issue", "--root", "root", "--cluster", "Kubernetes", "--dir", "own", "--key-type", "ec-p384");
    plane = await lab.startControlPlane("--cacerts", lab.at("own"));
    agent = await ZdsAgent.start(lab.agentSocket);
    lab.startApp(lab.cart);
    const environment = { SECRET_TTL: `${TTL_SECONDS}s`, ENABLE_ORIG_SRC: "false", UNSTABLE_ENABLE_SOCKS5: "true" };
    node = lab.startNodeZtunnel(environment);
  });
  after(async () => {
    await agent?.close();
    await lab?.close();
  });

  /** What the audit log has for an identity, by serial. */
  const issued = (name: string): ReadonlyMap<string, number> => {
    const lines = lab.printed(plane).split("\n");
    const of = lines.filter((line) => line.includes(`certificate issued\tidentity=${spiffeId(name)} `));
    return new Map(of.map((line) => [/ serial=(\w+)/.exec(line)![1]!, Date.parse(line.slice(0, 27))]));
  };

  test("it takes the pods of its node, gets their identities, and carries a call between them", async () => {
    await agent.snapshot(enrolled(lab.web), enrolled(lab.cart));
    await until("it is ready", () => lab.ready(lab.node));
    await until("web reaches cart", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
    const { certificates } = lab.configDump(lab.node);
    assert.deepEqual(
      certificates.map(({ identity, state }) => `${state} ${identity}`).sort(),
      ["cart", "web"].map((name) => `Available ${spiffeId(name)}`),
    );
    for (const { certChain, rootCerts } of certificates)
      assert.deepEqual([certChain?.length, rootCerts?.length], [2, 1], "leaf and intermediate, below the root");
    assert.match(
      lab.metrics(lab.node),
      /istio_tcp_connections_opened_total\{[^}]*connection_security_policy="mutual_tls"/,
    );
  });

  test("each certificate is renewed at the half of its life, once, and calls go on", async () => {
    const seen = new Map<string, Seen[]>([
      ["cart", []],
      ["web", []],
    ]);
    let calls = 0;
    const startedAt = Date.now();
    const enough = (): boolean => [...seen.values()].every(({ length }) => length >= CERTIFICATES);
    while (!enough() && Date.now() - startedAt < WATCHED_MS_MAX) {
      look(seen);
      assert.equal(lab.call(lab.web, CART_ADDRESS, 80), "hello from cart");
      calls += 1;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    for (const [name, certificates] of seen) {
      assert.ok(certificates.length >= CERTIFICATES, `${name} has had ${certificates.length} certificates`);
      const audited = issued(name);
      assert.deepEqual(
        certificates.map(({ serial }) => serial),
        [...audited.keys()],
        "what ztunnel held is what was issued, and no more",
      );
      for (const [at, { serial, seenAt }] of certificates.entries()) {
        if (at === 0) continue;
        const early = [audited.get(serial)!, seenAt].map((time) => certificates[at - 1]!.dueAt - time);
        const what = `${name}: certificate ${at + 1} is early by ${early.join(" and ")} ms`;
        assert.ok(
          early.every((ms) => Math.abs(ms) < ACCURACY_MS),
          what,
        );
        console.log(`      ${what}`);
      }
    }
    console.log(`      ${calls} calls in ${Math.round((Date.now() - startedAt) / 1000)} s`);
  });

  function look(seen: ReadonlyMap<string, Seen[]>): void {
    for (const { identity, certChain } of lab.configDump(lab.node).certificates) {
      const certificate = new X509Certificate(Buffer.from(certChain![0]!.pem, "base64"));
      const [from, to] = [certificate.validFrom, certificate.validTo].map(Date.parse) as [number, number];
      const [serial, known] = [certificate.serialNumber.toLowerCase(), seen.get(identity.split("/").at(-1)!)!];
      if (known.at(-1)?.serial !== serial) known.push({ serial, dueAt: (from + to) / 2, seenAt: Date.now() });
    }
  }

  test("its token gets no identity of a pod elsewhere; the log says why, the answer does not", async () => {
    const denied = 'cert_issued_denied_total{reason="impersonation"}';
    assert.equal(lab.planeMetric(denied), 0, "it has not asked for others by itself");
    assert.equal(lab.ask(lab.node, spiffeId("web")), spiffeId("web"));
    for (const other of ["far", "nobody"]) {
      const answer = lab.ask(lab.node, spiffeId(other));
      assert.match(answer, /^\S+ request impersonation authentication failure \(UNAUTHENTICATED\)$/);
    }
    assert.equal(lab.planeMetric(denied), 2);
    const refusals = (): readonly string[] => lab.printed(plane).match(/certificate refused\t.*/g) ?? [];
    await until("both are logged", () => refusals().length === 2);
    for (const [at, other] of ["far", "nobody"].entries()) {
      assert.match(refusals()[at]!, new RegExp(`stage=impersonation .*pod=ztunnel-1 .*asked=${spiffeId(other)} why=`));
      assert.equal(issued(other).size, 0);
    }
    console.log(`      ${refusals().join("\n      ")}`);
  });

  test("a pod that leaves loses its proxy, and the others go on", async () => {
    await agent.remove(enrolled(lab.cart));
    await until("cart is served no more", () => lab.call(lab.web, CART_ADDRESS, 80) === "");
    assert.doesNotMatch(lab.printed(node), /Nack|certificate fetch failed/);
  });
});

const far = `apiVersion: v1
kind: Pod
metadata: {name: far, namespace: shop, labels: {app: far}}
spec: {nodeName: node-2, serviceAccountName: far, containers: [{name: app, image: app}]}
status: {phase: Running, podIPs: [{ip: 10.77.0.99}], podIP: 10.77.0.99}
`;
