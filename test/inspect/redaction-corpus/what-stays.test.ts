import assert from "node:assert/strict";
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { parseAllDocuments } from "yaml";
import { Redactor } from "../../../src/inspect/redact/redactor.ts";
import { TestAuthority } from "../../kits/tls.ts";

const sha256 = (text: string) => createHash("sha256").update(text);

test("certificates, requests, lists and public keys stay, however they are written", async () => {
  const authority = await TestAuthority.create();
  const { certificate } = await authority.issue(["spiffe://cluster.local/ns/shop/sa/cart"]);
  const publicKey = createPublicKey(certificate).export({ format: "pem", type: "spki" }) as string;
  const rsa = await TestAuthority.create({ algorithm: "RSA" });
  for (const pem of [
    certificate,
    authority.root,
    rsa.root,
    await authority.list(),
    publicKey,
    `${certificate}\n${rsa.root}`,
  ]) {
    const written = [
      pem,
      JSON.stringify({ chain: pem }),
      JSON.stringify({ inner: JSON.stringify({ chain: pem }) }),
      `caBundle: ${Buffer.from(pem).toString("base64")}\n`,
      `certificate-authority-data: ${Buffer.from(pem).toString("base64")}\n`,
      `root.pem: |\n${pem.replace(/^/gm, "  ")}`,
    ];
    for (const text of written) assert.equal(new Redactor().text(text), text);
    const value = { chain: pem, x5c: [new X509Certificate(authority.root).raw.toString("base64")] };
    assert.deepEqual(new Redactor().value(value), value);
  }
});

test("names, digests, UIDs, addresses and times stay", () => {
  const lines = [
    `Pod shop/cart-7d9f8b6c5d-x2x7k 10.244.1.7 uid 8f14e45f-ceea-467f-a8b1-6d2b0a4c0f11`,
    `image: registry.example.com/istio/pilot@sha256:${sha256("a").digest("hex")}`,
    `pin-sha256="${sha256("b").digest("base64")}"`,
    `serial 0x5F2A9B11C0FFEE00112233445566778899AABBCC fingerprint AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89`,
    `spiffe://cluster.local/ns/istio-system/sa/istiod 2026-11-22T01:02:03.456789Z`,
    `tokenFile: /var/run/secrets/tokens/istio-token`,
    `secretName: istio-remote-secret-east`,
    `secret=istio-system/cacerts event=add`,
    `automountServiceAccountToken: true`,
    `audience=istio-ca tokenExpirationSeconds: 43200`,
    `the token of cluster east expired; run causeway trust token --cluster east`,
    `token: expired`,
    `pilot_xds_pushes{type="wds"} 17`,
    `process_start_time_seconds 1.763773323e+09`,
    `Bearer authentication is required; Basic authentication is not`,
    `https://10.96.0.1:443/api/v1/namespaces/istio-system/pods?limit=500&resourceVersion=12345`,
    `networking.istio.io/v1, Kind=WorkloadEntry autogenflat.east.shop.cart-7d9f8b6c5d-x2x7k`,
    `key: app, keys: 17, keyRef: cart, "key":"shop/cart", primary-key-name=cart`,
    `istio-eastwest-gateway-istio-eastwest-7f6d5c4b3a-9x8w7 outbound|15008||cart.shop.mesh.internal`,
  ];
  for (const line of lines) {
    assert.equal(new Redactor().text(line), line);
    assert.deepEqual(new Redactor().value({ line, lines: [line] }), { line, lines: [line] });
  }
});

test("nothing of the demo's manifests is taken for a secret", () => {
  const folder = join(import.meta.dirname, "..", "..", "..", "..", "examples");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".yaml"));
  assert.ok(files.length > 5);
  for (const file of files) {
    const redactor = new Redactor();
    for (const document of parseAllDocuments(readFileSync(join(folder, file), "utf8")))
      if (Array.isArray(document.errors)) assert.deepEqual(redactor.value(document.toJS()), document.toJS(), file);
    assert.deepEqual(redactor.counts, {}, file);
  }
});
