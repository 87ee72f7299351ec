import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { pathLength, readCertificate } from "../../../src/ca/certificate-fields.ts";
import { CheckedIssuer } from "../../../src/manager/issuers/checked.ts";
import { CertManagerSigner } from "../../kits/cert-manager-signer.ts";
import { derOf } from "../../kits/tls.ts";
import { issuerLab, LIFETIME_MS, order, SPEC } from "./issuer-lab.ts";

const MINUTE_MS = 60_000;

test("a cluster's own request comes back as an intermediate under the root that the issuer names", async () => {
  const lab = await issuerLab();
  const checked = new CheckedIssuer(lab.host, lab.issuer, "");
  assert.deepEqual(await lab.good(checked.roots(lab.signal)), [derOf(lab.root.root)]);
  const asked = await order("east");
  const { chain, root } = await lab.good(checked.sign(asked, lab.signal));
  assert.deepEqual(root, derOf(lab.root.root));
  assert.equal(chain.length, 1);
  const made = new X509Certificate(chain[0]!);
  assert.deepEqual(made.publicKey.export({ type: "spki", format: "der" }), asked.publicKey);
  assert.deepEqual(pathLength(readCertificate(chain[0]!)), { ca: true, max: undefined });
  assert.equal(made.subjectAltName, "URI:spiffe://mesh.example");
  assert.equal(Date.parse(made.validTo) - Date.parse(made.validFrom), LIFETIME_MS);
  await lab.close();
  assert.equal(lab.host.clock.pending, 0);
});

test("the CertificateRequest is what a Certificate would make, and holds no key", async () => {
  const lab = await issuerLab();
  const asked = await order("East_1.prod");
  await lab.good(lab.sign(asked));
  const [request] = lab.controller.signed;
  assert.match(request!.metadata.name, /^causeway-east-1-prod-[0-9a-f]{16}$/);
  assert.equal(request!.metadata.namespace, "gloo-mesh");
  assert.deepEqual(request!.metadata.labels, {
    "app.kubernetes.io/managed-by": "causeway",
    "trust.causeway.dev/purpose": "intermediate",
    "trust.causeway.dev/cluster": "East_1.prod",
  });
  assert.deepEqual(request!["spec"], {
    request: Buffer.from(asked.csr).toString("base64"),
    issuerRef: SPEC.issuer,
    isCA: true,
    usages: ["cert sign", "crl sign"],
    duration: `${LIFETIME_MS / 1000}s`,
  });
  assert.doesNotMatch(JSON.stringify(lab.requests()), /PRIVATE|private/);
  await lab.close();
});

test("who asks again with the same request gets the same certificate, and nothing new is made", async () => {
  const lab = await issuerLab();
  const asked = await order();
  const first = await lab.good(lab.sign(asked));
  assert.deepEqual(await lab.good(lab.sign(asked)), first);
  const [a, b] = await Promise.all([lab.good(lab.sign(asked)), lab.good(lab.sign(asked))]);
  assert.deepEqual([a, b], [first, first]);
  assert.equal(lab.controller.signed.length, 1);
  await lab.close();
});

test("two that ask at once with the same request make one", async () => {
  const lab = await issuerLab();
  const asked = await order();
  const [a, b] = await Promise.all([lab.good(lab.sign(asked)), lab.good(lab.sign(asked))]);
  assert.deepEqual(a, b);
  assert.equal(lab.controller.signed.length, 1);
  await lab.close();
});

test("once a cluster's next intermediate is issued its request before goes, and no other cluster's", async () => {
  const lab = await issuerLab();
  await lab.good(lab.sign(await order("east")));
  await lab.good(lab.sign(await order("west")));
  await lab.host.clock.pass(5_000);
  await lab.good(lab.sign(await order("east")));
  const names = lab.requests().map(({ metadata }) => metadata.name.replace(/-[0-9a-f]+$/, ""));
  assert.deepEqual(names.sort(), ["causeway-east", "causeway-west"]);
  assert.equal(
    lab.requests().some(({ metadata }) => metadata.uid === lab.controller.signed[0]!.metadata.uid),
    false,
  );
  await lab.close();
});

test("approval that takes a person's time is said, not waited for, and what was asked is found when it comes", async () => {
  const lab = await issuerLab();
  lab.controller.faults.approves = false;
  const asked = await order();
  const startedMs = lab.host.clock.elapsedMs();
  const why = await lab.refusal(lab.sign(asked));
  assert.match(why, /^unavailable: CertificateRequest gloo-mesh\/causeway-east-[0-9a-f]{16} waits for approval/);
  assert.ok(lab.host.clock.elapsedMs() - startedMs <= 21_000);
  lab.controller.faults.approves = true;
  await lab.good(lab.sign(asked));
  assert.equal(lab.controller.signed.length, 1);
  await lab.close();
});

test("a wait ends when whoever asked gives up, or the issuer is closed", async () => {
  const lab = await issuerLab();
  lab.controller.faults.approves = false;
  const stop = new AbortController();
  const asked = lab.issuer.sign(await order(), stop.signal);
  await lab.host.clock.pass(1_000);
  stop.abort();
  assert.match(await lab.refusal(asked), /^unavailable: /);
  const other = lab.sign(await order());
  await lab.host.clock.pass(1_000);
  const closing = lab.issuer.close();
  assert.match(await lab.refusal(other), /^unavailable: /);
  await lab.good(closing);
  assert.match(await lab.refusal(lab.roots()), /^unavailable: .* was closed/);
  await lab.close();
});

test("cert-manager passes over the path length, which is said unless what is above bounds it", async () => {
  const lab = await issuerLab();
  assert.deepEqual(lab.issuer.notes, []);
  await lab.good(lab.sign(await order()));
  assert.match(
    lab.issuer.notes.join(),
    /^ClusterIssuer gloo-mesh-root sets no path length, .* than the 0 of the policy; .* a path length of 1 bounds it$/,
  );
  const bounded = await lab.authority({ name: "CN=bounded root", pathLength: 1 });
  lab.controller.signer = new CertManagerSigner(bounded);
  await lab.good(lab.sign(await order()));
  assert.deepEqual(lab.issuer.notes, []);
  await lab.close();
});

test("a certificate that waited so long that it is half over, or outlives its root, is asked for anew", async () => {
  const lab = await issuerLab();
  const asked = await order("east", 40 * MINUTE_MS);
  const first = await lab.good(lab.sign(asked));
  await lab.host.clock.pass(16 * MINUTE_MS);
  assert.deepEqual(await lab.good(lab.sign(asked)), first);
  await lab.host.clock.pass(8 * MINUTE_MS);
  assert.notDeepEqual(await lab.good(lab.sign(asked)), first);
  const root = await lab.authority({ name: "CN=short root", notAfterMs: lab.host.clock.now() + 20 * MINUTE_MS });
  lab.controller.signer = new CertManagerSigner(root);
  const late = await order("east", 40 * MINUTE_MS);
  const long = await lab.good(lab.sign(late));
  await lab.good(lab.roots());
  const { chain } = await lab.good(lab.sign(late));
  const [before, after] = [long.chain[0]!, chain[0]!].map((der) => readCertificate(der).notAfter);
  assert.ok(before! > Date.parse(new X509Certificate(root.root).validTo));
  assert.ok(after! <= Date.parse(new X509Certificate(root.root).validTo));
  await lab.close();
});

test("an intermediate is never asked to outlive the root that is to sign it", async () => {
  const lab = await issuerLab();
  const root = await lab.authority({ name: "CN=short root", notAfterMs: lab.host.clock.now() + 10 * 86_400_000 });
  lab.controller.signer = new CertManagerSigner(root);
  await lab.good(lab.roots());
  const { chain } = await lab.good(lab.sign(await order()));
  assert.ok(Date.parse(new X509Certificate(chain[0]!).validTo) <= lab.host.clock.now() + 10 * 86_400_000);
  await lab.close();
});

test("between an intermediate and its root there may be others, which come with it", async () => {
  const lab = await issuerLab();
  const middle = await lab.authority({ name: "CN=middle" }, lab.root);
  lab.controller.signer = new CertManagerSigner(middle, [lab.root.root]);
  assert.deepEqual(await lab.good(lab.roots()), [derOf(lab.root.root)]);
  const { chain, root } = await lab.good(lab.sign(await order()));
  assert.deepEqual([chain[1], chain.length, root], [derOf(middle.root), 2, derOf(lab.root.root)]);
  await lab.close();
});
