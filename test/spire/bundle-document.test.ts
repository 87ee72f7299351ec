import assert from "node:assert/strict";
import { createPublicKey, X509Certificate } from "node:crypto";
import fc from "fast-check";
import { before, test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { parseBundleDocument, writeBundleDocument } from "../../src/spire/bundle-document.ts";
import { parseStrictJson } from "../../src/spire/strict-json.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

let root: Buffer;
let other: Buffer;
let leaf: Buffer;
before(async () => {
  const authority = await TestAuthority.create({ name: "CN=west", uris: ["spiffe://west.test"] });
  root = derOf(authority.root);
  other = derOf((await TestAuthority.create({ name: "CN=west 2", algorithm: "RSA" })).root);
  leaf = derOf((await authority.issue(["spiffe://west.test/ns/a/sa/b"])).certificate);
});

const x5c = (...ders: Buffer[]) => ders.map((der) => der.toString("base64"));
const key = (der: Buffer, more: object = {}) => ({ use: "x509-svid", kty: "EC", x5c: x5c(der), ...more });
const bundle = (keys: readonly unknown[], more: object = {}) => JSON.stringify({ keys, ...more });
const parse = (text: string) => parseBundleDocument(text, ["west.test"]);

test("a bundle that was written is read back as it was, with a number of 64 bits", () => {
  const sequence = 2n ** 63n + 1n;
  const read = parse(writeBundleDocument({ authorities: [root, other], sequence, refreshHintSeconds: 300 }));
  assert.deepEqual(
    read.authorities.map((der) => Buffer.from(der)),
    [root, other],
  );
  assert.deepEqual([read.sequence, read.refreshHintSeconds, read.notes], [sequence, 300, []]);
});

test("a written bundle has one certificate, its public key and no kid in each key, for readers who insist", () => {
  const text = writeBundleDocument({ authorities: [root, other], sequence: 1n, refreshHintSeconds: 300 });
  const { keys } = JSON.parse(text) as { keys: { x5c: string[]; use: string; kty: string }[] };
  assert.deepEqual(
    keys.map(({ use, kty }) => `${use} ${kty}`),
    ["x509-svid EC", "x509-svid RSA"],
  );
  for (const jwk of keys) {
    assert.equal(jwk.x5c.length, 1);
    assert.ok(!("kid" in jwk));
    const inside = new X509Certificate(Buffer.from(jwk.x5c[0]!, "base64")).publicKey;
    assert.ok(createPublicKey({ key: { ...jwk }, format: "jwk" }).equals(inside));
  }
});

test("keys that are for something else are passed over, and said", () => {
  const { authorities, notes } = parse(
    bundle([
      key(root),
      { use: "jwt-svid", kty: "EC", kid: "1" },
      { kty: "EC", x5c: x5c(other) },
      key(other, { use: "wit-svid" }),
      key(other, { kty: "XY" }),
    ]),
  );
  assert.deepEqual(authorities, [root]);
  assert.deepEqual(notes, [
    'keys[2] is passed over, as its use is missing and its kty "EC"',
    'keys[3] is passed over, as its use is "wit-svid" and its kty "EC"',
    'keys[4] is passed over, as its use is "x509-svid" and its kty "XY"',
  ]);
});

test("the first of two certificates counts, and a kid does no harm, but both are said", () => {
  const { authorities, notes } = parse(bundle([key(root, { x5c: x5c(root, other), kid: "a" })]));
  assert.deepEqual(authorities, [root]);
  assert.deepEqual(notes, [
    "keys[0] has a kid, which only keys for tokens have",
    "keys[0].x5c has 2 certificates, of which the first counts",
  ]);
});

test("a bundle without keys says that nobody is to be trusted", () => {
  assert.deepEqual(parse(bundle([])).authorities, []);
  assert.deepEqual(parse(bundle([{ use: "jwt-svid", kty: "EC", kid: "1" }])).authorities, []);
});

test("an authority that cannot be read costs the whole bundle, and so does what two readers would read differently", () => {
  const refused: readonly [string, RegExp][] = [
    [bundle([key(root), key(leaf)]), /keys\[1\]\.x5c\[0\] is no authority's certificate/],
    [bundle([key(root), key(root.subarray(0, 100))]), /keys\[1\]\.x5c\[0\] is no certificate/],
    [bundle([key(root, { x5c: ["*"] })]), /is no certificate in base64/],
    [bundle([key(root, { x5c: [] })]), /keys\[0\] has no certificate in x5c/],
    [bundle([{ use: "x509-svid", kty: "EC" }]), /keys\[0\] has no certificate in x5c/],
    [bundle(["key"]), /keys\[0\] is no object/],
    ["{}", /no list of keys/],
    ["[]", /no JSON object/],
    ["<html>", /no JSON/],
    ['{"keys":[],"keys":[]}', /it has "keys" twice/],
    ['{"keys":[{"use":"x509-svid","use":"jwt-svid"}]}', /it has "use" twice/],
    ['{"keys":[],"k\\u0065ys":[]}', /it has "keys" twice/],
    [bundle([], { spiffe_sequence: -1 }), /spiffe_sequence is -1, which is no whole number/],
    [bundle([], { spiffe_sequence: 1.5 }), /spiffe_sequence is 1\.5/],
    [bundle([], { spiffe_sequence: "7" }), /spiffe_sequence is "7"/],
    [`{"keys":[],"spiffe_sequence":${2n ** 64n}}`, /spiffe_sequence is 18446744073709551616/],
    [bundle([], { spiffe_refresh_hint: [] }), /spiffe_refresh_hint is no text/],
    [bundle(Array.from({ length: 257 }, () => key(root))), /it has 257 keys; 256 is the most/],
    [`{"keys":[],"a":${"[".repeat(40)}${"]".repeat(40)}}`, /nested deeper than 32/],
  ];
  for (const [text, why] of refused)
    assert.throws(
      () => parse(text),
      (thrown) => thrown instanceof MeshError && thrown.code === "invalid" && why.test(thrown.message),
      text.slice(0, 80),
    );
});

test("the bundle of another trust domain is refused, whatever address it is at", () => {
  const text = bundle([key(root)]);
  assert.throws(() => parseBundleDocument(text, ["south.test"]), /is the authority of spiffe:\/\/west\.test/);
  assert.deepEqual(parseBundleDocument(text, ["south.test", "west.test"]).authorities, [root]);
});

test("strict JSON is read as JSON is, for all that has no name twice", () => {
  const plain = (value: unknown): unknown => {
    if (typeof value === "bigint") return Number(value);
    if (value instanceof Map)
      return Object.fromEntries(Array.from(value as Map<string, unknown>, ([name, inner]) => [name, plain(inner)]));
    return Array.isArray(value) ? value.map(plain) : value;
  };
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      assert.equal(JSON.stringify(plain(parseStrictJson(text))), JSON.stringify(JSON.parse(text)));
    }),
    { seed: 1, numRuns: 300 },
  );
});
