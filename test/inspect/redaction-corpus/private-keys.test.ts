import assert from "node:assert/strict";
import { test } from "mocha";
import { Redactor } from "../../../src/inspect/redact/redactor.ts";
import { madeKeys } from "./made-keys.ts";
import { keyPieces } from "./survivors.ts";

const KEYS = madeKeys();
const wrapped = (text: string, width: number, end = "\n"): string =>
  text.replace(new RegExp(`.{${width}}`, "g"), `$&${end}`);
const base64 = (text: string | Buffer): string => Buffer.from(text).toString("base64");

/** Where keys are found, and how they are written there. */
const WRITINGS: Readonly<Record<string, (pem: string, der: Buffer) => string>> = {
  "as it is": (pem) => pem,
  "with Windows' line ends": (pem) => pem.replace(/\n/g, "\r\n"),
  "in a line of a log": (pem) => `2026-11-22T01:02:03Z\tinfo\tca\tread ${JSON.stringify(pem)}\n`,
  "in a line of a JSON log": (pem) => JSON.stringify({ level: "info", message: `read ${pem}` }),
  "escaped twice": (pem) => JSON.stringify({ manifest: JSON.stringify({ key: pem }) }),
  "escaped three times": (pem) => JSON.stringify(JSON.stringify({ manifest: JSON.stringify({ key: pem }) })),
  "each line with the head of a log": (pem) => pem.replace(/^/gm, "2026-11-22T01:02:03.456Z stdout F "),
  "indented, as in YAML": (pem) => `data:\n  tls.crt: none\n  other: |\n${pem.replace(/^/gm, "    ")}\nnext: 1\n`,
  "without line ends": (pem) => pem.replace(/\n/g, ""),
  "with spaces for line ends": (pem) => pem.replace(/\n/g, " "),
  "as a URL has it": (pem) => `GET /sign?pem=${encodeURIComponent(pem)} 200`,
  "as a form has it": (pem) => new URLSearchParams({ pem }).toString(),
  "as base64": (pem) => `blob: ${base64(pem)}`,
  "as base64 in lines of 76": (pem) => wrapped(base64(pem), 76),
  "as base64 of base64": (pem) => `x ${base64(base64(pem))} y`,
  "as base64 of JSON": (pem) => `x ${base64(JSON.stringify({ a: 1, pem }))} y`,
  "as base64url": (pem) => Buffer.from(`prefix ${pem}`).toString("base64url"),
  "in hex": (pem) => Buffer.from(pem).toString("hex"),
  "DER in base64": (_, der) => `value "${der.toString("base64")}"`,
  "DER in base64, in lines": (_, der) => wrapped(der.toString("base64"), 64),
  "DER in base64, in escaped lines": (_, der) => `{"v":"${wrapped(der.toString("base64"), 64, "\\n")}"}`,
  "DER in hex": (_, der) => der.toString("hex"),
  "DER in base64 of base64": (_, der) => base64(der.toString("base64")),
  "cut off at its end": (pem) => pem.slice(0, Math.floor(pem.length * 0.7)),
  "cut off at its end, in an escaped line": (pem) => JSON.stringify(pem).slice(0, Math.floor(pem.length * 0.7)),
  "cut off at its beginning": (pem) => pem.slice(Math.floor(pem.length * 0.3)),
  "cut off at both ends": (pem) => pem.slice(70, -40).replace(/^[^\n]*\n/, ""),
  "closed by another label": (pem) => pem.replace(/-----END [A-Z0-9 ]+-----/, "-----END CERTIFICATE-----"),
  "said to be a certificate": (pem, der) =>
    `-----BEGIN CERTIFICATE-----\n${wrapped(der.toString("base64"), 64)}\n-----END CERTIFICATE-----\n${pem}`,
  "after a certificate that was cut off": (pem) => `-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n${pem}`,
};

for (const [writing, write] of Object.entries(WRITINGS))
  test(`no piece of a private key is left when it is written ${writing}`, () => {
    for (const { name, pem, der } of KEYS) {
      const written = write(pem, der);
      const [asText, asValue] = [new Redactor().text(written), new Redactor().value({ said: written })];
      for (const redacted of [asText, JSON.stringify(asValue)]) {
        assert.deepEqual(keyPieces(redacted, pem), [], `${name}: ${redacted.slice(0, 2_000)}`);
        if (keyPieces(written, pem).length > 0) assert.match(redacted, /<redacted:/, name);
      }
    }
  });

test("the corpus of keys would show a key that is left", () => {
  for (const { name, pem } of KEYS) assert.ok(keyPieces(`log line ${JSON.stringify(pem)}`, pem).length > 0, name);
});

test("a JSON Web Key keeps its public half only", () => {
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
  };
  for (const written of [
    JSON.stringify(jwk),
    JSON.stringify({ keys: JSON.stringify([jwk]) }),
    `read ${JSON.stringify(jwk)} from disk`,
  ]) {
    const redacted = new Redactor().text(written);
    assert.ok(!redacted.includes(jwk.d), redacted);
    assert.ok(redacted.includes(jwk.x), redacted);
  }
});
