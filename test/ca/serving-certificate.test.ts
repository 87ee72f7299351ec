import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { ServingCertificates, servingNames } from "../../src/ca/serving-certificate.ts";
import { controlPlaneId } from "../../src/spiffe.ts";
import { TestHost } from "../kits/test-host.ts";

const istiod = controlPlaneId("cluster.local", "istio-system");
let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-serving-"))));
afterEach(() => rmSync(folder, { recursive: true }));

test("the certificate has every name that clients dial, and the one that peers know us by", async () => {
  const host = new TestHost();
  const root = await selfMadeRoot(host, folder, "cluster.local");
  const names = [...servingNames("istio-system", "canary", "cluster.local"), "127.0.0.1", "::1"];
  const { chain } = new ServingCertificates(host, root, names, istiod).start(() => {});
  const certificate = new X509Certificate(chain);
  for (const name of [
    "istiod.istio-system.svc",
    "istiod-canary.istio-system.svc",
    "istio-pilot.istio-system.svc",
    "localhost",
  ])
    assert.ok(certificate.checkHost(name), name);
  for (const ip of ["127.0.0.1", "::1"]) assert.ok(certificate.checkIP(ip), ip);
  assert.ok(certificate.verify(new X509Certificate(root.roots[0]!).publicKey));
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  assert.match(certificate.subjectAltName ?? "", /^URI:spiffe:\/\/cluster\.local\/ns\/istio-system\/sa\/istiod, DNS:/);
});

test("the serving certificate is replaced at half of its life, and again", async () => {
  const host = new TestHost();
  const renewed: string[] = [];
  const serving = new ServingCertificates(
    host,
    await selfMadeRoot(host, folder, "cluster.local"),
    ["localhost"],
    istiod,
  );
  const { chain } = serving.start((material) => renewed.push(material.chain));
  host.clock.advance(15 * 86_400_000 - 1);
  assert.equal(renewed.length, 0);
  host.clock.advance(1);
  host.clock.advance(15 * 86_400_000);
  assert.equal(new Set([chain, ...renewed]).size, 3);
  serving.close();
  assert.equal(host.clock.pending, 0);
});

test("an authority that ends takes neither us nor the processor with it", async () => {
  const host = new TestHost();
  const root = await selfMadeRoot(host, folder, "cluster.local");
  const authority = { ...root, notAfter: host.clock.now() + 3_600_000 };
  let renewals = 0;
  const serving = new ServingCertificates(host, authority, ["localhost"], istiod);
  serving.start(() => (renewals += 1));
  host.clock.advance(3_600_000);
  assert.ok(renewals >= 5 && renewals <= 10, `${renewals} renewals in the last hour`);
  host.clock.advance(600_000);
  const failures = host.lines.filter((line) => /error ca: the serving certificate was not renewed/.test(line));
  assert.ok(failures.length >= 9 && failures.length <= 11, `${failures.length} attempts in ten minutes`);
  serving.close();
  assert.equal(host.clock.pending, 0);
});
