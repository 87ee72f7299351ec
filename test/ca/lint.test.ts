import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { sequence, time } from "../../src/ca/der.ts";
import type { UnlintedCertificate } from "../../src/ca/certificate.ts";
import { lintForeignSvid, lintSvid } from "../../src/ca/lint.ts";
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

type Foreign = Parameters<typeof lintForeignSvid>[1];
const foreign = { ...context, issuerKey: context.issuerKey! };
/** What the standards leave to whoever makes a certificate; a second is within what clocks may differ by. */
const UP_TO_ITS_MAKER: ReadonlySet<string> = new Set([
  "a subject",
  "no name of its own key",
  "the name of another key for its own",
  "a longer life than was asked for",
]);

test("of what somebody else made, only what the standards leave to its maker may differ", () => {
  const letOut = malformedCertificates
    .filter(({ change, context: more }) => {
      try {
        return lintForeignSvid(certificateWith(change), { ...foreign, ...more } as Foreign).length > 0;
      } catch (thrown) {
        assert.ok(thrown instanceof MeshError && thrown.code === "internal");
        return false;
      }
    })
    .map(({ what }) => what);
  assert.deepEqual(new Set(letOut), UP_TO_ITS_MAKER);
});

test("whichever byte of what somebody else made is changed, it is not let out", () => {
  const good = certificateWith();
  for (let at = 0; at < good.length; at += 1) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0x01;
    assert.throws(() => lintForeignSvid(bytes, foreign), MeshError, `byte ${at}`);
  }
});

test("somebody else's certificate lives 10 s longer than was asked for at most, and half of its life is ahead", () => {
  const until = (notAfter: number) => ({ ...foreign, request: { ...foreign.request, ttlSeconds: notAfter } });
  // It ends in 3600 s, and began 60 s ago.
  lintForeignSvid(certificateWith(), until(3590));
  assert.throws(() => lintForeignSvid(certificateWith(), until(3589)), /lives longer than was asked for/);
  const later = { ...foreign, issuerNotAfter: Infinity, now: foreign.now + 55_000 };
  const short = { validity: sequence(time(foreign.now - 55_000), time(foreign.now + 160_000)) };
  lintForeignSvid(certificateWith(short), { ...later, now: foreign.now + 52_000 });
  assert.throws(() => lintForeignSvid(certificateWith(short), later), /half of its life is over/);
});
