import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { nextStep } from "./ca-command-line.ts";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { opensslRefuses } from "./openssl.ts";
import { CART_ADDRESS, type ConfigDump, type LabPod, until, ZtunnelLab } from "./ztunnel-lab.ts";

/** The shortest that Causeway gives, and so what is waited for between the steps. */
const TTL = "60s";
const TTL_MS = 60_000;
/** A folder is looked at every 7 s, and counts when it was the same twice. */
const INSTALL_MS = 30_000;
const BEAT_MS = 400;

/** In a config dump, a certificate is the base64 of its PEM. */
const pem = (base64: string): string => Buffer.from(base64, "base64").toString();

suite("a change of the root below unmodified ztunnels", () => {
  let lab: ZtunnelLab;
  let plane: ChildProcess;
  let ztunnels: readonly ChildProcess[];

  before(async function () {
    const binary = ztunnelBinary(process.env);
    skipWithout(this, "ztunnel-rotation", binary, networkNamespaces());
    lab = new ZtunnelLab(binary as string);
    for (const root of ["a", "b"]) lab.causeway("ca", "init", "--dir", root);
    lab.causeway("ca", "issue", "--root", "a", "--cluster", "Kubernetes", "--dir", "own");
    plane = await lab.startControlPlane("--cacerts", lab.at("own"), "--root-wait", TTL);
    lab.startApp(lab.cart);
    // A connection that nobody uses is closed at once: each call is a handshake.
    const environment = { SECRET_TTL: TTL, POOL_UNUSED_RELEASE_TIMEOUT: "50ms" };
    ztunnels = [lab.web, lab.cart].map((pod) => lab.startZtunnel(pod, environment));
    await until("web reaches cart", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
  });
  after(() => lab?.close());

  const certificateOf = (pod: LabPod): ConfigDump["certificates"][number] => lab.configDump(pod).certificates[0]!;
  const rootOf = (folder: string): string => readFileSync(lab.at(`${folder}/root-cert.pem`), "utf8");
  const nameOf = (text: string): string => new X509Certificate(text).fingerprint256;

  /** Calls, each with a handshake of its own, until it is time and `done` says so. */
  async function call(step: string, forMs: number, done: () => boolean): Promise<void> {
    const [before, startedAt] = [lab.accepted(lab.cart), Date.now()];
    let [tried, refused] = [0, 0];
    for (let over = false; !over;) {
      tried += 1;
      if (lab.call(lab.web, CART_ADDRESS, 80) !== "hello from cart") refused += 1;
      await new Promise((resolve) => setTimeout(resolve, BEAT_MS));
      over = Date.now() - startedAt >= forMs && done();
      if (!over) assert.ok(Date.now() - startedAt < forMs + INSTALL_MS + TTL_MS, `${step} did not come to its end`);
    }
    const accepted = lab.accepted(lab.cart) - before;
    console.log(`      ${step}: ${refused} of ${tried} calls refused; ${accepted} connections at cart`);
    assert.equal(refused, 0);
    assert.ok(accepted >= 2 * tried, "one by the other ztunnel, one to the program, for each call");
  }

  test("calls go on through A, A+B and B, each with a handshake of its own, and no stream ends", async () => {
    const plan = ["ca", "rotate", "--root", "a", "--to", "b", "--dir", "own", "--leaf-ttl", TTL, "--plan"];
    const installed = (): number => lab.printed(plane).split("cacerts changed, and what is there now signs").length;
    await call("A", 5_000, () => true);
    for (const step of ["add-root", "switch", "remove-root"]) {
      const next = nextStep(lab.causeway(...plan));
      assert.equal(next.at(-1), step);
      const before = installed();
      lab.causeway("ca", ...next);
      await call(`${step}, until it is in use`, 0, () => installed() > before);
      await call(`${step}, until all certificates are new`, TTL_MS + 1_000, () => true);
    }
    for (const pod of [lab.web, lab.cart]) {
      const { certChain, rootCerts } = certificateOf(pod);
      const [chain, roots] = [certChain!, rootCerts!].map((all) => all.map((one) => pem(one.pem))) as [
        string[],
        string[],
      ];
      assert.deepEqual(roots.map(nameOf), [nameOf(rootOf("b"))]);
      assert.equal(opensslRefuses(chain, rootOf("b")) ?? "", "");
      assert.notEqual(opensslRefuses(chain, rootOf("a")), "");
    }
    for (const ztunnel of ztunnels) {
      assert.equal(lab.printed(ztunnel).match(/Stream established/g)?.length, 1);
      assert.doesNotMatch(lab.printed(ztunnel), /Nack|certificate fetch failed/);
    }
  });
});
