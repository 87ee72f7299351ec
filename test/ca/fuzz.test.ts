import assert from "node:assert/strict";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import fc from "fast-check";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import { MeshError } from "../../src/errors.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../../src/spiffe.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";
import { anyRequest, damagedPem, damagedTree, pemOf } from "./csr-mutations.ts";

x509.cryptoProvider.set(globalThis.crypto);

/** The key that ours takes out of a request; undefined if it refuses it, as it should: with an error for the caller. */
async function taken(pem: string): Promise<Buffer | undefined> {
  try {
    return Buffer.from(await parseCsr(pem));
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError && thrown.code === "invalid", String(thrown));
    assert.ok(thrown.message.length < 400, thrown.message);
    return undefined;
  }
}

/** What ours takes, a library that is not ours must take, and find the same key in: ours may only be stricter. */
async function othersAgree(pem: string): Promise<boolean> {
  const key = await taken(pem);
  if (key === undefined) return false;
  const request = new x509.Pkcs10CertificateRequest(pem);
  assert.ok(await request.verify(), "ours took what another finds to be badly signed");
  assert.deepEqual(Buffer.from(request.publicKey.rawData), key);
  return true;
}

/** Fails unless some were taken and some were not: else nothing was tried. */
function both(tally: { readonly yes: number; readonly no: number }, least: number): void {
  assert.ok(tally.yes >= least && tally.no >= least, JSON.stringify(tally));
}

test("CSR fuzzer: a request of any key, algorithm, name and wish is taken if it should be, with the key that others find", async function () {
  this.timeout(FUZZ_MS);
  const tally = { yes: 0, no: 0 };
  const property = fc.asyncProperty(anyRequest, async ({ der, good }) => {
    const agreed = await othersAgree(pemOf(der));
    assert.equal(agreed, good);
    tally[agreed ? "yes" : "no"] += 1;
  });
  await fc.assert(property, fuzzing(400));
  both(tally, 20);
});

test("CSR fuzzer: whichever bit of a request is another, it is refused", async () => {
  const { csr } = newCsr();
  const bytes = Buffer.from(csr.replace(/-----.*-----/g, ""), "base64");
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(await taken(pemOf(damaged)), undefined, `bit ${bit}`);
  }
});

test("CSR fuzzer: wherever a request is cut, and whatever follows it, it is refused", async () => {
  const { csr } = newCsr();
  const bytes = Buffer.from(csr.replace(/-----.*-----/g, ""), "base64");
  for (let length = 0; length < bytes.length; length += 1)
    assert.equal(await taken(pemOf(bytes.subarray(0, length))), undefined, `${length} bytes`);
  for (const more of [[0], [5, 0], [0x30, 0], [...bytes]])
    assert.equal(await taken(pemOf(Buffer.concat([bytes, Buffer.from(more)]))), undefined);
});

test("CSR fuzzer: however the structure of a request is changed, nobody but its signer is taken for its owner", async function () {
  this.timeout(FUZZ_MS);
  const property = fc.asyncProperty(damagedTree, async (bytes) => void (await othersAgree(pemOf(bytes))));
  await fc.assert(property, fuzzing(600));
});

test("CSR fuzzer: however the text of a request is changed, others read it as we do, or we refuse it", async function () {
  this.timeout(FUZZ_MS);
  const tally = { yes: 0, no: 0 };
  const property = fc.asyncProperty(damagedPem, async (pem) => {
    tally[(await othersAgree(pem)) ? "yes" : "no"] += 1;
  });
  await fc.assert(property, fuzzing(600));
  both(tally, 5);
});

/**
 * SPIFFE-ID 2, read letter by letter: the oracle, which shares nothing with ours. It gives the three parts of a service
 * account's identity, or undefined.
 */
function byTheLetter(text: string): readonly string[] | undefined {
  const head = "spiffe://";
  if (text.length > 2048 || text.slice(0, head.length).toLowerCase() !== head) return undefined;
  const parts: string[] = [""];
  for (const letter of text.slice(head.length))
    if (letter === "/") parts.push("");
    else parts[parts.length - 1] += letter;
  const [domain = "", ...path] = parts;
  const within = (part: string, alphabet: string): boolean =>
    part !== "" && [...part].every((c) => alphabet.includes(c));
  const small = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  if (!within(domain, small) || domain.length > 255 || path.length !== 4) return undefined;
  const segment = (part: string): boolean => within(part, small + small.toUpperCase()) && part !== "." && part !== "..";
  return path[0] === "ns" && path[2] === "sa" && path.every(segment) ? [domain, path[1]!, path[3]!] : undefined;
}

function parsed(text: string): readonly string[] | undefined {
  try {
    const { trustDomain, namespace, serviceAccount } = parseServiceAccountId(text);
    return [trustDomain, namespace, serviceAccount];
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError && thrown.code === "invalid" && thrown.message.length < 600, String(thrown));
    return undefined;
  }
}

const part = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[a-z0-9._-]{1,12}$/) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "",
      ".",
      "..",
      "...",
      "%61",
      "a b",
      "A",
      "a:443",
      "u@a",
      "[::1]",
      "é",
      "a\0",
      "a,b",
      "*",
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(254, 255, 256, 2000).map((length) => "a".repeat(length)) },
);
const anyId = fc
  .record({
    scheme: fc.oneof(
      { weight: 8, arbitrary: fc.constant("spiffe://") },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          "SPIFFE://",
          "Spiffe://",
          "https://",
          "spiffe:/",
          "spiffe:",
          "",
          " spiffe://",
          "spiffe:///",
        ),
      },
    ),
    parts: fc.tuple(part, part, part),
    ns: fc.oneof({ weight: 9, arbitrary: fc.constant("ns") }, { weight: 1, arbitrary: part }),
    sa: fc.oneof({ weight: 9, arbitrary: fc.constant("sa") }, { weight: 1, arbitrary: part }),
    tail: fc.oneof(
      { weight: 9, arbitrary: fc.constant("") },
      { weight: 1, arbitrary: fc.constantFrom("/", "//", "/x", "?a=b", "#f", "/../x", "\n", " ", "\0") },
    ),
  })
  .map(
    ({ scheme, parts: [domain, namespace, account], ns, sa, tail }) =>
      `${scheme}${domain}/${ns}/${namespace}/${sa}/${account}${tail}`,
  );

test("SPIFFE ID fuzzer: what is an identity to the letter of the standard is one to us, and nothing else", function () {
  this.timeout(FUZZ_MS);
  const tally = { yes: 0, no: 0 };
  const property = fc.property(anyId, (text) => {
    const found = parsed(text);
    assert.deepEqual(found, byTheLetter(text));
    tally[found === undefined ? "no" : "yes"] += 1;
  });
  fc.assert(property, fuzzing(5_000));
  both(tally, 500);
});

test("SPIFFE ID fuzzer: an identity that was read is written in one way, and read again is the same", function () {
  this.timeout(FUZZ_MS);
  const property = fc.property(anyId, (text) => {
    if (parsed(text) === undefined) return;
    const identity = parseServiceAccountId(text);
    const written = formatServiceAccountId(identity);
    assert.equal(written, `spiffe${text.slice(6)}`);
    assert.deepEqual(parseServiceAccountId(written), identity);
  });
  fc.assert(property, fuzzing(2_000));
});
