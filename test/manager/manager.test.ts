import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { authorityName, newAuthorityRequest } from "../../src/ca/authority-request.ts";
import { authorityOf } from "../../src/ca/cacerts.ts";
import { readCsr } from "../../src/ca/csr.ts";
import { signIntermediate } from "../../src/ca/intermediate.ts";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import { newRoot } from "../../src/ca/own-root.ts";
import { ROOT_LAYOUT } from "../../src/ca/root-folder.ts";
import { pemBlocks, toPem } from "../../src/pem.ts";
import { GUIDE_004 } from "../kits/trust-objects.ts";
import { clusterId, ManagerLab } from "./manager-lab.ts";

const registered = (name: string): string => `
apiVersion: admin.gloo.solo.io/v2
kind: KubernetesCluster
metadata: { name: ${name}, namespace: gloo-mesh, uid: uid-${name}, creationTimestamp: "2026-01-01T00:00:00Z" }
spec: { clusterDomain: cluster.local }
`;
const provider = (trustDomain: string): string => `
apiVersion: admin.gloo.solo.io/v2
kind: IdentityProvider
metadata: { name: spiffe-default, namespace: gloo-mesh }
spec: { spiffe: { trustDomain: ${trustDomain} } }
`;
const byo = (passive = ""): string => `
apiVersion: admin.gloo.solo.io/v2
kind: RootTrustPolicy
metadata: { name: shared-trust, namespace: gloo-mesh }
spec:
  config:
    caSourceRef: { name: byo-root, namespace: gloo-mesh }
${passive === "" ? "" : `    passiveCertificateAuthorities: [{ certificate: ${JSON.stringify(passive)} }]`}
`;
const POLICY = GUIDE_004["generated"]!;

interface MadeRoot {
  readonly certificate: string;
  readonly secret: string;
}

/** A root in a Secret as CASource wants it. */
function madeRoot(lab: ManagerLab): MadeRoot {
  const { certificate, key } = newRoot(lab.host, "cluster.local");
  const data = {
    "ca-cert.pem": certificate,
    "ca-key.pem": key,
    "root-cert.pem": certificate,
    "cert-chain.pem": certificate,
  };
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "shared-ca-bundle", namespace: "gloo-mesh" } };
  return { certificate, secret: JSON.stringify({ ...secret, stringData: data }) };
}

test("each registered cluster gets one intermediate under one root, and who is not registered is refused by name", async () => {
  await using lab = await ManagerLab.open(POLICY, registered("east"), registered("west"));
  for (const name of ["east", "west"]) lab.call(name);
  const [east, west] = [await lab.join("east"), await lab.join("west")];
  assert.deepEqual(east.root, west.root);
  for (const [name, { chain, root }] of [
    ["east", east],
    ["west", west],
  ] as const) {
    // prettier-ignore
    const certificate = new X509Certificate(chain[0]!);
    assert.ok(certificate.ca && certificate.verify(new X509Certificate(root).publicKey));
    assert.match(certificate.subject, new RegExp(`Intermediate CA ${name}`));
    assert.equal(certificate.subjectAltName, "URI:spiffe://cluster.local");
  }
  await lab.until(() => lab.view.clusters.every(({ current }) => current));
  assert.deepEqual(lab.view.clusters.map(({ cluster, state }) => [cluster, state]), [["east", "ACCEPTED"], ["west", "ACCEPTED"]]); // prettier-ignore
  assert.match(
    lab.desk.whyNot(clusterId("north"))!,
    /cluster north is not registered; apply a KubernetesCluster of that name/,
  );
});

test("a request that is by an older order, or asks for other names, is not signed", async () => {
  await using lab = await ManagerLab.open(POLICY, registered("east"));
  lab.call("east");
  const order = await lab.order("east");
  await assert.rejects(
    lab.ask(clusterId("east"), { ...order, generation: "other" }),
    /the order is .* by now, and the request is by other/,
  );
  const named = { ...order, intermediate: { ...order.intermediate, commonName: "Intermediate CA west" } };
  await assert.rejects(lab.ask(clusterId("east"), named), /its subject is not .*Intermediate CA east, as was ordered/);
  await assert.rejects(lab.ask(clusterId("north"), order), /cluster north is not registered/);
});

test("without a policy clusters are told so; a second one does not count; one that goes leaves all as it was", async () => {
  await using lab = await ManagerLab.open(registered("east"));
  const none = await lab.word("east");
  assert.ok(none.kind === "refusal" && none.code === "absent");
  assert.match(none.reason, /RootTrustPolicy/);
  lab.call("east");
  lab.feed.put(POLICY);
  const order = await lab.order("east");
  const second = POLICY.replace("shared-trust", "younger").replace("generated: {}", "generated: { orgName: other }");
  lab.feed.put(second);
  await lab.until(() => lab.view.objects.some(({ title }) => title === "RootTrustPolicy gloo-mesh/younger"));
  const [younger] = lab.view.objects;
  assert.equal(younger!.state, "INVALID");
  assert.match(younger!.messages.join(" "), /shared-trust/);
  lab.feed.take(second);
  lab.feed.take(POLICY);
  await lab.until(() => lab.view.policy === undefined);
  assert.equal((await lab.order("east")).generation, order.generation);
});

test("a cluster's trust domain is not changed in place, across a restart either", async () => {
  await using lab = await ManagerLab.open(POLICY, provider("bank.example"), registered("east"));
  lab.call("east");
  await lab.join("east");
  await lab.restart();
  lab.feed.put(provider("shop.example"));
  await lab.until(() => lab.desk.wordFor(clusterId("east"))?.kind === "refusal");
  const word = await lab.word("east");
  assert.ok(word.kind === "refusal" && word.code === "conflict");
  assert.match(word.reason, /East|east.*bank\.example.*shop\.example/);
  lab.feed.put(provider("bank.example"));
  lab.call("east");
  await lab.order("east");
});

test("a CASource that is missing, and then has a leaf, is said; once it is right clusters get their order", async () => {
  const source = GUIDE_004["CASource"]!;
  await using lab = await ManagerLab.open(byo(), registered("east"));
  lab.call("east");
  const missing = await lab.word("east");
  assert.ok(missing.kind === "refusal");
  assert.match(missing.reason, /CASource.*byo-root/);
  lab.feed.put(source);
  await lab.until(() => /Secret gloo-mesh\/shared-ca-bundle/.test(lab.view.policy?.messages.join(" ") ?? ""));
  assert.equal(lab.view.policy!.state, "PENDING");
  const { secret } = madeRoot(lab);
  lab.feed.put(secret);
  const signed = await lab.join("east");
  assert.equal((await lab.order("east")).signingRoot, fingerprintOf(signed.root));
});

test("an authority that has no room for another is refused before any cluster changes to it", async () => {
  await using lab = await ManagerLab.open(byo(), GUIDE_004["CASource"]!, registered("east"));
  const root = newRoot(lab.host, "cluster.local");
  const { csr, privateKey } = await newAuthorityRequest({ organization: "o", commonName: "full", trustDomain: "cluster.local", keyType: "ec-p256", pathLength: 0 }); // prettier-ignore
  const { publicKey } = await readCsr(csr);
  const [der] = pemBlocks(root.certificate, "CERTIFICATE");
  const shape = {
    publicKey,
    subject: authorityName("o", "full"),
    trustDomain: "cluster.local",
    pathLength: 0,
    lifetimeMs: 86_400_000,
  };
  const key = authorityOf({ folder: "", layout: ROOT_LAYOUT, text: new Map([["root-cert.pem", root.certificate], ["root-key.pem", root.key]]), digest: "" }, "", lab.host.clock.now()); // prettier-ignore
  const certificate = toPem("CERTIFICATE", signIntermediate(lab.host, { title: "the root", key, path: [der!] }, shape));
  const data = { "ca-cert.pem": certificate, "ca-key.pem": privateKey.export({ type: "pkcs8", format: "pem" }), "root-cert.pem": root.certificate, "cert-chain.pem": certificate + root.certificate }; // prettier-ignore
  const metadata = { name: "shared-ca-bundle", namespace: "gloo-mesh" };
  lab.feed.put(JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, stringData: data }));
  await lab.until(() => /allows 0 authorities below it/.test(lab.view.policy?.messages.join(" ") ?? ""));
  assert.match(
    lab.view.policy!.messages[0]!,
    /put one there that has room for one more, as causeway ca issue makes with --path-length 1/,
  );
});

test("a root that replaces another at once is refused with the plan that works, and that plan works", async () => {
  await using lab = await ManagerLab.open(byo(), GUIDE_004["CASource"]!, registered("east"), registered("west"));
  const [first, second] = [madeRoot(lab), madeRoot(lab)];
  lab.feed.put(first.secret);
  for (const name of ["east", "west"]) {
    lab.call(name);
    await lab.join(name);
  }
  const before = (await lab.order("east")).generation;
  lab.feed.put(second.secret);
  await lab.until(() => lab.view.rotation.phase === "refused");
  assert.equal(lab.view.policy!.state, "FAILED");
  assert.match(lab.view.policy!.messages.join(" "), /passiveCertificateAuthorities/);
  assert.equal((await lab.order("east")).generation, before, "all goes on under the old one");

  lab.feed.put(byo(first.certificate));
  const roots = [first, second].map(({ certificate }) => fingerprintOf(pemBlocks(certificate, "CERTIFICATE")[0]!));
  await lab.until(() => lab.view.rotation.phase === "add");
  assert.equal(lab.view.policy!.state, "ACCEPTED");
  lab.feed.put(madeRoot(lab).secret);
  await lab.until(() => lab.view.policy!.state === "WARNING");
  assert.match(lab.view.policy!.messages.join(" "), /third root waits/);
  lab.feed.put(second.secret);
  await lab.until(() => lab.view.policy!.state === "ACCEPTED");
  for (const name of ["east", "west"]) await reportTrust(lab, name);
  for (const name of ["east", "west"]) {
    await lab.until(() => signingRootOf(lab, name) === roots[1]);
    await lab.join(name);
  }
  lab.feed.put(byo());
  await lab.until(() => lab.view.roots.length === 1 && lab.view.roots[0]!.sha256 === roots[1]);
});

test("whatever a cluster complains of, its status is one that an API server takes and gives back as it is", async () => {
  await using lab = await ManagerLab.open(POLICY, registered("east"));
  lab.call("east");
  const problems = Array.from({ length: 100 }, () => "\u{1f512}".repeat(999));
  lab.desk.reported(clusterId("east"), { ...lab.reportOf("east"), clock: lab.host.clock.now(), problems });
  const message = (): string => lab.messageOf("KubernetesCluster", "east");
  await lab.until(() => message().includes("\u{1f512}"));
  assert.ok(message().length <= 32_768, "the schema's most");
  assert.doesNotMatch(message(), /\p{Surrogate}/u);
});

const STATE = "causeway-trust-state";

test("what the manager remembers is not written again for each word of a cluster, and is put back if it is deleted", async () => {
  await using lab = await ManagerLab.open(POLICY, registered("east"));
  lab.call("east");
  await lab.join("east");
  await lab.until(() => lab.view.clusters[0]!.current);
  const written = async (): Promise<number> => Number.parseInt((await lab.store.read(STATE))!.version, 10);
  const before = await written();
  for (let at = 0; at < 20; at++) {
    const clock = lab.host.clock.now() + at;
    lab.desk.reported(clusterId("east"), { ...lab.reportOf("east"), clock, problems: [`problem ${at}`] });
    await lab.until(() => lab.messageOf("KubernetesCluster", "east").includes(`problem ${at}.`));
  }
  assert.ok((await written()) <= before + 1, "but for what it said when it joined");
  await lab.store.remove(STATE);
  await lab.ask(clusterId("east"), await lab.order("east"));
  assert.match((await lab.store.read(STATE))!.data.get("rotation")!, /"name":"east"/);
});

const signingRootOf = (lab: ManagerLab, name: string): string | undefined => {
  const word = lab.desk.wordFor(clusterId(name));
  return word?.kind === "order" ? word.order.signingRoot : undefined;
};

const rootsOf = (lab: ManagerLab, name: string): number => {
  const word = lab.desk.wordFor(clusterId(name));
  return word?.kind === "order" ? word.order.roots.length : 0;
};

/** The cluster signs as before, and trusts all that it was told to. */
async function reportTrust(lab: ManagerLab, name: string): Promise<void> {
  await lab.until(() => rootsOf(lab, name) === 2);
  const order = await lab.order(name);
  lab.desk.reported(clusterId(name), { ...lab.reportOf(name), roots: order.roots, generation: order.generation });
}
