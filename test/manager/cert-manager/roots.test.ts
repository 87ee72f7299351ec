import assert from "node:assert/strict";
import { test } from "mocha";
import { CertManagerSigner } from "../../kits/cert-manager-signer.ts";
import { derOf } from "../../kits/tls.ts";
import { issuerLab, order, READY } from "./issuer-lab.ts";

const MINUTE_MS = 60_000;

test("the root is asked for once in five minutes, by a request of a key that is good for nothing", async () => {
  const lab = await issuerLab();
  for (let minute = 0; minute < 5; minute += 1) {
    await lab.good(lab.roots());
    await lab.host.clock.pass(MINUTE_MS - 5_000);
  }
  const [probe] = lab.controller.signed;
  assert.equal(lab.controller.signed.length, 1);
  const { isCA, usages, duration } = probe!["spec"] as Record<string, unknown>;
  assert.deepEqual([isCA, usages, duration], [false, ["digital signature"], "3600s"]);
  await lab.host.clock.pass(MINUTE_MS);
  await lab.good(lab.roots());
  assert.equal(lab.controller.signed.length, 2);
  assert.equal(lab.requests().length, 1, "of two one is left");
  await lab.close();
});

test("a root that changed in the issuer's Secret is known within five minutes", async () => {
  const lab = await issuerLab();
  await lab.good(lab.roots());
  const next = await lab.authority({ name: "CN=next root" });
  lab.controller.signer = new CertManagerSigner(next);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(lab.root.root)]);
  await lab.host.clock.pass(5 * MINUTE_MS);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(next.root)]);
  await lab.close();
});

test("it is known at once if the issuer itself changed, or an intermediate came under another root", async () => {
  const lab = await issuerLab();
  await lab.good(lab.roots());
  const next = await lab.authority({ name: "CN=next root" });
  lab.controller.signer = new CertManagerSigner(next);
  lab.putIssuer({ ...READY, message: "of another Secret" });
  await lab.host.clock.pass(100);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(next.root)]);
  const last = await lab.authority({ name: "CN=last root" });
  lab.controller.signer = new CertManagerSigner(last);
  await lab.good(lab.sign(await order()));
  assert.deepEqual(await lab.good(lab.roots()), [derOf(last.root)]);
  await lab.close();
});

test("what was issued under the root before is not given to who asks again under the next", async () => {
  const lab = await issuerLab();
  const asked = await order();
  await lab.good(lab.roots());
  await lab.good(lab.sign(asked));
  const next = await lab.authority({ name: "CN=next root" });
  lab.controller.signer = new CertManagerSigner(next);
  await lab.host.clock.pass(5 * MINUTE_MS);
  await lab.good(lab.roots());
  const { root } = await lab.good(lab.sign(asked));
  assert.deepEqual(root, derOf(next.root));
  await lab.close();
});

test("an approver who takes his time changes no root, and is asked by one request at a time", async () => {
  const lab = await issuerLab();
  await lab.good(lab.roots());
  lab.controller.faults.approves = false;
  for (let round = 0; round < 4; round += 1) {
    await lab.host.clock.pass(6 * MINUTE_MS);
    assert.deepEqual(await lab.good(lab.roots()), [derOf(lab.root.root)]);
    assert.equal(lab.requests().length, 1);
  }
  const next = await lab.authority({ name: "CN=next root" });
  lab.controller.signer = new CertManagerSigner(next);
  lab.controller.faults.approves = true;
  await lab.host.clock.pass(10 * MINUTE_MS);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(next.root)], "its late answer counts");
  await lab.close();
});

test("an issuer that takes longer than a glance is heard all the same", async () => {
  const lab = await issuerLab();
  lab.controller.faults.slowMs = 15_000;
  await lab.good(lab.roots());
  const next = await lab.authority({ name: "CN=next root" });
  lab.controller.signer = new CertManagerSigner(next);
  await lab.host.clock.pass(5 * MINUTE_MS);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(lab.root.root)]);
  await lab.host.clock.pass(20_000);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(next.root)]);
  await lab.close();
});

test("a manager that starts anew takes the answer of the one before, if it is not old", async () => {
  const lab = await issuerLab();
  await lab.good(lab.roots());
  const again = lab.another();
  await lab.good(again.roots(lab.signal));
  assert.equal(lab.controller.signed.length, 1);
  await lab.host.clock.pass(6 * MINUTE_MS);
  const later = lab.another();
  await lab.good(later.roots(lab.signal));
  assert.equal(lab.controller.signed.length, 2);
  await lab.outcome(Promise.all([again.close(), later.close()]));
  await lab.close();
});

test("an issuer that stopped being Ready is said, though its root is known", async () => {
  const lab = await issuerLab();
  await lab.good(lab.roots());
  lab.putIssuer({ type: "Ready", status: "False", reason: "ErrGetKeyPair", message: "gone" });
  await lab.host.clock.pass(100);
  assert.match(await lab.refusal(lab.roots()), /^unavailable: ClusterIssuer gloo-mesh-root is not Ready: gone/);
  await lab.close();
});
