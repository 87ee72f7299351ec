import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { stringify } from "yaml";
import { Redactor } from "../../../src/inspect/redact/redactor.ts";
import { survivors } from "./survivors.ts";

const letters = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
/** What generators of passwords and keys make; a digit is among it, as a plain word is looked for only where it stands. */
const secrets = fc
  .tuple(letters("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.~!+", 16, 40), fc.nat(9))
  .map(([text, digit]) => `S${digit}${text}9x`);
const names = letters("abcdefghijklmnopqrstuvwxyz0123456789-", 1, 20).map((text) => `n${text}z`);
const digests = letters("0123456789abcdef", 64, 64);
const uids = fc.uuid();

/** Where a secret is first said, so that it is known to be one. */
const PLACES: readonly ((secret: string, name: string) => unknown)[] = [
  (secret, name) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name },
    data: { a: Buffer.from(secret).toString("base64") },
  }),
  (secret, name) => ({ apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { b: secret } }),
  (secret, name) => ({ kind: "Pod", metadata: { name }, spec: { env: [{ name: "APP_TOKEN", value: secret }] } }),
  (secret, name) => ({ kind: "ConfigMap", metadata: { name }, data: { "app.yaml": `db:\n  password: "${secret}"\n` } }),
  (secret, name) => ({ metadata: { name, annotations: { a: JSON.stringify({ clientSecret: secret }) } } }),
  (secret, name) => ({ metadata: { name }, users: [{ user: { token: secret } }] }),
];
/** Where it is said again, where nothing tells that it is one. */
const MENTIONS: readonly ((secret: string) => string)[] = [
  (secret) => `retrying with ${secret} after 3 s`,
  (secret) => `body ${Buffer.from(secret).toString("base64")} was refused`,
  (secret) => `body ${Buffer.from(`ab${secret}cd`).toString("base64")} was refused`,
  (secret) => `body ${Buffer.from(`a${secret}`).toString("base64url")} was refused`,
  (secret) => `dump ${Buffer.from(secret).toString("hex")}`,
  (secret) => `GET /x/${encodeURIComponent(secret)}/y`,
  (secret) => `requests_total{path="/${secret}"} 7`,
  (secret) => JSON.stringify({ note: JSON.stringify({ said: secret }) }),
];

const worlds = fc.record({
  planted: fc.array(fc.tuple(secrets, names, fc.nat(PLACES.length - 1)), { minLength: 1, maxLength: 4 }),
  mentions: fc.array(fc.tuple(fc.nat(3), fc.nat(MENTIONS.length - 1)), { minLength: 1, maxLength: 6 }),
  kept: fc.array(fc.record({ name: names, digest: digests, uid: uids }), { minLength: 1, maxLength: 4 }),
});

test("a secret that is planted anywhere never survives, and names, digests and UIDs always do", () => {
  fc.assert(
    fc.property(worlds, ({ planted, mentions, kept }) => {
      const redactor = new Redactor();
      const objects = planted.map(([secret, name, place]) => PLACES[place]!(secret, name));
      const others = kept.map(({ name, digest, uid }) => ({
        kind: "Service",
        metadata: { name, uid },
        spec: { image: `r/x@sha256:${digest}` },
      }));
      const log = mentions.map(([of, how]) => MENTIONS[how]!(planted[of % planted.length]![0])).join("\n");
      const keptLog = kept.map(({ name, digest, uid }) => `pod ${name} uid=${uid} digest=${digest}`).join("\n");
      const texts = [
        redactor.text(log),
        ...[...objects, ...others].map((object) => stringify(redactor.value(object))),
        ...objects.map((object) => redactor.text(JSON.stringify(object))),
        redactor.text(keptLog),
      ];
      const redacted = texts.map((text) => redactor.sweep(text)).join("\n");
      for (const [secret, name] of planted) {
        assert.deepEqual(survivors(redacted, secret), [], redacted);
        assert.ok(redacted.includes(name), `${name} is gone`);
      }
      for (const each of kept.flatMap(({ name, digest, uid }) => [name, digest, uid]))
        assert.ok(redacted.includes(each), `${each} is gone:\n${redacted}`);
    }),
    { numRuns: 150 },
  );
});

test("what was redacted is not changed by redacting it again", () => {
  fc.assert(
    fc.property(secrets, names, fc.nat(PLACES.length - 1), (secret, name, place) => {
      const once = stringify(new Redactor().value(PLACES[place]!(secret, name)));
      assert.equal(new Redactor().text(once), once);
    }),
    { numRuns: 60 },
  );
});

test("no text, however it is made, holds the redaction up", () => {
  const pieces = [
    "-----BEGIN PRIVATE KEY-----",
    "-----END CERTIFICATE-----",
    "a".repeat(500),
    "%41".repeat(100),
    'token="',
    "\\".repeat(60),
    "https://a@b@c:",
    "A1b2".repeat(100),
    "\n",
    '{"kty":"',
    "name: x\n  value: ",
    "eyJ",
    ".",
  ];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...pieces), fc.integer({ min: 1, max: 60 })), { maxLength: 8 }),
      (made) => {
        const text = made.map(([piece, count]) => piece.repeat(count)).join("");
        const begun = process.hrtime.bigint();
        assert.equal(typeof new Redactor().text(text), "string");
        // Hours, if a pattern goes back and forth; tens of milliseconds otherwise, also on a machine with much else to do.
        assert.ok(
          process.hrtime.bigint() - begun < 10_000_000_000n,
          `${text.length} characters: ${text.slice(0, 200)}`,
        );
      },
    ),
    { numRuns: 100, interruptAfterTimeLimit: 30_000 },
  );
});
