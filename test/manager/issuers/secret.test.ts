import assert from "node:assert/strict";
import { test } from "mocha";
import { authorityName, newAuthorityRequest, readAuthorityRequest } from "../../../src/ca/authority-request.ts";
import { makeRoot, signIntermediate } from "../../../src/ca/intermediate.ts";
import { EMPTY_NAME, keyIdOf } from "../../../src/ca/certificate.ts";
import { readCertificate } from "../../../src/ca/certificate-fields.ts";
import { type KeyType, makeKeyPair } from "../../../src/ca/key-type.ts";
import { ownCertificate } from "../../../src/ca/own-certificate.ts";
import { MeshError } from "../../../src/errors.ts";
import type { IntermediateOrder } from "../../../src/manager/issuer.ts";
import { CheckedIssuer } from "../../../src/manager/issuers/checked.ts";
import { SecretIssuer } from "../../../src/manager/issuers/secret.ts";
import { clusterId } from "../../../src/names.ts";
import { toPem } from "../../../src/pem.ts";
import { TestHost } from "../../kits/test-host.ts";

const DAY = 86_400_000;
const signal = new AbortController().signal;
const host = new TestHost();

interface Pair {
  readonly certificate: Uint8Array;
  readonly privateKey: Awaited<ReturnType<typeof makeRoot>>["privateKey"];
}

async function root(change: { trustDomain?: string; keyType?: KeyType; lifetimeMs?: number } = {}): Promise<Pair> {
  const shape = { organization: "Example", commonName: "root", keyType: "ec-p256" as const, lifetimeMs: 3650 * DAY };
  return makeRoot(host, { ...shape, trustDomain: undefined, ...change });
}

/** An authority below others, the lowest of which signs it. */
async function below(
  path: readonly [Pair, ...Pair[]],
  pathLength: number | undefined,
  trustDomain = "mesh.example",
  commonName = "middle",
): Promise<Pair> {
  const shape = { organization: "Example", commonName, trustDomain, pathLength: 0, keyType: "ec-p256" as const };
  const { csr, privateKey } = await newAuthorityRequest(shape);
  const { publicKey } = await readAuthorityRequest(csr, shape);
  const subject = authorityName("Example", commonName);
  const [{ certificate, privateKey: key }] = path;
  const fields = readCertificate(certificate);
  const issuer = {
    title: "a test",
    key: { subject: fields.subject, keyId: keyIdOf(fields.publicKey), privateKey: key },
    path: path.map((pair) => pair.certificate),
  };
  const lower = { trustDomain, lifetimeMs: 365 * DAY, subject, publicKey, pathLength };
  return { certificate: signIntermediate(host, issuer, lower), privateKey };
}

/** As a control plane has it, who may sign for nobody. */
async function leafOf({ certificate, privateKey: key }: Pair): Promise<Pair> {
  const { publicKey, privateKey } = await makeKeyPair("ec-p256");
  const { subject, publicKey: issuerKey, notAfter } = readCertificate(certificate);
  const template = {
    serial: Buffer.alloc(16, 0x45),
    notBefore: host.clock.now() - 1000,
    notAfter: host.clock.now() + DAY,
    subject: EMPTY_NAME,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    purpose: "control-plane" as const,
    names: { uris: ["spiffe://mesh.example/ns/istio-system/sa/istiod"], dns: ["istiod"] },
  };
  return {
    certificate: ownCertificate(template, { subject, keyId: keyIdOf(issuerKey), privateKey: key }, notAfter),
    privateKey,
  };
}

const pem = (...pairs: readonly Pair[]): string =>
  pairs.map(({ certificate }) => toPem("CERTIFICATE", certificate)).join("");
const keyPem = ({ privateKey }: Pair): string => privateKey.export({ type: "pkcs8", format: "pem" }).toString();

const istio = (own: Pair, between: readonly Pair[], ...roots: readonly Pair[]) => ({
  "ca-cert.pem": pem(own),
  "ca-key.pem": keyPem(own),
  "cert-chain.pem": pem(own, ...between, roots[0]!),
  "root-cert.pem": pem(...roots),
});

function issuerOf(texts: Readonly<Record<string, string>> | "absent"): SecretIssuer {
  const found = texts === "absent" ? texts : new Map(Object.entries(texts));
  return new SecretIssuer(host, { namespace: "gloo-mesh", name: "ca" }, () => Promise.resolve(found));
}

async function order(change: Partial<IntermediateOrder> = {}): Promise<IntermediateOrder> {
  const shape = {
    organization: "Example",
    commonName: "Intermediate CA east",
    trustDomain: "mesh.example",
    pathLength: 0,
    keyType: "ec-p256" as const,
    ...change,
  };
  const request = await readAuthorityRequest((await newAuthorityRequest(shape)).csr, shape);
  return { ...shape, ...request, cluster: clusterId("east"), lifetimeMs: 30 * DAY, ...change };
}

/** What the issuer of a Secret gives passes all that any issuer is held to. */
async function chainOf(texts: Readonly<Record<string, string>>, ordered?: IntermediateOrder) {
  const issuer = issuerOf(texts);
  const signed = await new CheckedIssuer(host, issuer, "").sign(ordered ?? (await order()), signal);
  return { signed, roots: await issuer.roots(signal) };
}

test("an authority in a Secret signs, in each layout, whether it is a root or far below one", async () => {
  const top = await root({ trustDomain: "mesh.example" });
  const upper = await below([top], 2, "mesh.example", "upper");
  const lower = await below([upper, top], 1, "mesh.example", "lower");
  const layouts: readonly (readonly [Readonly<Record<string, string>>, readonly Pair[]])[] = [
    [istio(lower, [upper], top), [lower, upper]],
    [istio(upper, [], top), [upper]],
    [istio(top, [], top), []],
    [{ ...istio(top, [], top), "cert-chain.pem": "" }, []],
    [{ "tls.crt": pem(lower, upper), "tls.key": keyPem(lower), "ca.crt": pem(top) }, [lower, upper]],
    [{ "tls.crt": pem(top), "tls.key": keyPem(top), "ca.crt": pem(top) }, []],
    [{ "tls.crt": pem(top), "tls.key": keyPem(top) }, []],
    [{ "root-cert.pem": pem(top), "root-key.pem": keyPem(top) }, []],
  ];
  for (const [texts, above] of layouts) {
    const { signed, roots } = await chainOf(texts);
    assert.deepEqual(
      signed.chain.slice(1).map((der) => Buffer.from(der)),
      above.map(({ certificate }) => Buffer.from(certificate)),
    );
    assert.deepEqual([signed.root, roots.length].map(String), [top.certificate, 1].map(String));
  }
});

for (const keyType of ["ec-p384", "rsa-2048"] as const)
  test(`a root in a Secret with a key of ${keyType} signs for clusters`, async () => {
    const top = await root({ keyType });
    await chainOf({ "root-cert.pem": pem(top), "root-key.pem": keyPem(top) });
  });

test("roots that lie beside the one that signs are named after it", async () => {
  const [old, top] = [await root(), await root()];
  const own = await below([top], 1);
  const roots = await issuerOf(istio(own, [], old, top)).roots(signal);
  assert.deepEqual(
    roots.map(String),
    [top, old].map(({ certificate }) => String(certificate)),
  );
});

test("what is signed ends with the authority that signs it", async () => {
  const top = await root({ lifetimeMs: 10 * DAY });
  const { signed } = await chainOf(istio(top, [], top), await order({ lifetimeMs: 90 * DAY }));
  assert.equal(readCertificate(signed.chain[0]!).notAfter, readCertificate(top.certificate).notAfter);
});

test("a Secret that is changed is read anew", async () => {
  const [before, after] = [await root(), await root()];
  let top = before;
  const issuer = new SecretIssuer(host, { namespace: "gloo-mesh", name: "ca" }, () =>
    Promise.resolve(new Map(Object.entries(istio(top, [], top)))),
  );
  assert.equal(String((await issuer.roots(signal))[0]), String(before.certificate));
  top = after;
  assert.equal(String((await issuer.roots(signal))[0]), String(after.certificate));
  assert.equal(String((await issuer.sign(await order(), signal)).root), String(after.certificate));
});

test("what is wrong in a Secret is said, with the Secret, the key in it and what to do", async () => {
  const [top, other] = [await root(), await root()];
  const own = await below([top], 1);
  const cluster = await below([top], 0);
  const leaf = await leafOf(top);
  const good = istio(own, [], top);
  const { "ca-key.pem": _, ...keyless } = good;
  const cases: readonly (readonly [Readonly<Record<string, string>> | "absent", RegExp])[] = [
    ["absent", /^MeshError: Secret gloo-mesh\/ca is not there; create it with ca-cert\.pem, /],
    [{}, /^MeshError: Secret gloo-mesh\/ca holds no authority; fill it with ca-cert\.pem, /],
    [{ token: "x" }, /holds no authority; fill it with/],
    [keyless, /^MeshError: Secret gloo-mesh\/ca lacks ca-key\.pem/],
    [{ ...good, "ca-key.pem": keyPem(other) }, /gloo-mesh\/ca\/ca-key\.pem: it is not the key of ca-cert\.pem; put/],
    [{ ...good, "ca-key.pem": "x" }, /gloo-mesh\/ca\/ca-key\.pem: it holds no private key/],
    [{ ...good, "root-cert.pem": pem(other) }, /gloo-mesh\/ca\/root-cert\.pem: no root in it issued/],
    [{ ...good, "root-cert.pem": "" }, /gloo-mesh\/ca\/root-cert\.pem: it holds no certificate in PEM/],
    [{ ...good, "ca-cert.pem": good["ca-cert.pem"]!.slice(0, 200) }, /ca-cert\.pem: it is cut short or damaged/],
    [
      istio(leaf, [], top),
      /gloo-mesh\/ca\/ca-cert\.pem: .* is no certificate authority; put one with CA:TRUE there, not a leaf/,
    ],
    [{ "tls.crt": pem(own), "tls.key": keyPem(own) }, /^MeshError: Secret gloo-mesh\/ca lacks ca\.crt/],
  ];
  for (const [texts, why] of cases) await assert.rejects(issuerOf(texts).roots(signal), why);
  const full = istio(cluster, [], top);
  await assert.rejects(
    issuerOf(full).sign(await order(), signal),
    /^MeshError: Secret gloo-mesh\/ca allows 0 authorities below it, and with this one there may be 1; use a lower/,
  );
});

test("an authority of another trust domain signs for no cluster of this one", async () => {
  const top = await root();
  const own = await below([top], 1, "other.example");
  await assert.rejects(
    issuerOf(istio(own, [], top)).sign(await order(), signal),
    (thrown) =>
      thrown instanceof MeshError &&
      thrown.code === "denied" &&
      /Secret gloo-mesh\/ca holds an authority of trust domain other\.example, and cluster east is of mesh\.example; put/.test(
        thrown.message,
      ),
  );
});

test("no private key is in anything that the issuer of a Secret gives or says", async () => {
  const top = await root();
  const secret = keyPem(top).split("\n")[1]!;
  const { signed } = await chainOf(istio(top, [], top));
  const out = [...signed.chain, signed.root].map((der) => toPem("CERTIFICATE", der)).join("");
  assert.equal(out.includes(secret), false);
  const broken = { ...istio(top, [], top), "ca-key.pem": keyPem(top).slice(0, 120) };
  await assert.rejects(issuerOf(broken).roots(signal), (thrown) => !String(thrown).includes(secret.slice(0, 40)));
});
