import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import type { UnlintedCertificate } from "../../src/ca/certificate.ts";
import { lintSvid } from "../../src/ca/lint.ts";
import { MeshError } from "../../src/errors.ts";
import { certificateWith, context, malformedCertificates, uri } from "../kits/malformed-certificates.ts";

test("a certificate as it should be is let out as it is", () => {
  const bytes = certificateWith();
  assert.deepEqual(Buffer.from(lintSvid(bytes, context)), Buffer.from(bytes));
  assert.equal(new X509Certificate(bytes).subjectAltName, `URI:${uri}`);
});

for (const { what, change, reason, context: more } of malformedCertificates)
  test(`a certificate with ${what} is not let out, and the rule is named`, () => {
    assert.throws(
      () => lintSvid(certificateWith(change), { ...context, ...more }),
      (error) => error instanceof MeshError && error.code === "internal" && reason.test(error.message),
      String(reason),
    );
  });

test("each of the malformed certificates is another", () => {
  const names = malformedCertificates.map(({ what }) => what);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= 60, `${names.length}`);
});

test("whichever byte of a certificate is changed, it is not let out", () => {
  // One for all: its signature is another each time, and may be longer.
  const good = certificateWith();
  for (let at = 0; at < good.length; at += 1) {
    const bytes = Buffer.from(good) as UnlintedCertificate;
    bytes[at]! ^= 0x01;
    assert.throws(() => lintSvid(bytes, context), MeshError, `byte ${at}`);
  }
});
