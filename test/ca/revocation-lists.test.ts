import "reflect-metadata";
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { test } from "mocha";
import { checkedLists, refuseOlder } from "../../src/ca/crl-check.ts";
import { type AuthorityShape, SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

const HOUR_MS = 3_600_000;
const authority = (shape: AuthorityShape = {}, issuer?: TestAuthority): Promise<TestAuthority> =>
  TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS, ...shape }, issuer);
const check = (text: string, ...authorities: readonly TestAuthority[]) =>
  checkedLists(
    text,
    authorities.map(({ root }) => new X509Certificate(root)),
    Date.now(),
  );
const extension = (id: string, critical: boolean): x509.Extension =>
  new x509.Extension(id, critical, Uint8Array.of(0x30, 0));

for (const algorithm of ["P-256", "P-384", "RSA"] as const)
  test(`a list that an authority with a key of ${algorithm} signed is read whole`, async () => {
    const root = await authority({ algorithm });
    const text = await root.list({ revoked: ["0a", "00ff01", "7f"], number: 12, dueMs: null });
    const [list] = check(text, root);
    assert.deepEqual([...list!.revoked].sort(), ["0a", "7f", "ff01"]);
    assert.deepEqual([list!.number, list!.nextUpdate, list!.issuerName], [12n, undefined, "CN=root"]);
  });

test("several lists follow each other, of which one is empty and one overdue: both count", async () => {
  const root = await authority();
  const own = await authority({ name: "CN=own" }, root);
  const overdue = await own.list({ fromMs: Date.now() - 3 * HOUR_MS, dueMs: Date.now() - HOUR_MS, revoked: ["05"] });
  const lists = check(`made by Ann\n${await root.list()}${overdue}`, own, root);
  assert.deepEqual(
    lists.map(({ issuerName, revoked }) => [issuerName, revoked.size]),
    [
      ["CN=root", 0],
      ["CN=own", 1],
    ],
  );
});

const refused: readonly (readonly [string, RegExp, (root: TestAuthority) => string | Promise<string>])[] = [
  ["nothing", /it holds no X509 CRL in PEM/, () => ""],
  ["a certificate", /it holds no X509 CRL in PEM/, (root) => root.root],
  [
    "a list and the beginning of another",
    /it is cut short or damaged, as only 1 of 2 X509 CRL blocks can be read; put all of it there/,
    async (root) => `${await root.list()}${(await root.list({ revoked: ["05"] })).slice(0, 150)}`,
  ],
  ["more than a ConfigMap holds", /1000001 bytes, and 1000000 fit/, () => "x".repeat(1_000_001)],
  [
    "garbage in PEM",
    /list 1: it is not well-formed DER/,
    () => "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
  ],
  ["a certificate that calls itself a list", /list 1: it /, (root) => root.root.replace(/CERTIFICATE/g, "X509 CRL")],
  [
    "a list of somebody else",
    /no authority of our chain or our roots/,
    async () => (await authority({ name: "CN=other" })).list(),
  ],
  ["a list of a namesake", /no authority of our chain or our roots/, async () => (await authority()).list()],
  [
    "a good list before a bad one",
    /list 2: no authority/,
    async (root) => (await root.list()) + (await (await authority()).list()),
  ],
  [
    "a list from the future",
    /from the future, 20.*check the clocks/,
    (root) => root.list({ fromMs: Date.now() + HOUR_MS / 2 }),
  ],
  [
    "a list of changes",
    /only changes of another list/,
    (root) => root.list({ extensions: [extension("2.5.29.27", false)] }),
  ],
  [
    "a list of a part",
    /no complete list .*2\.5\.29\.28/,
    (root) => root.list({ extensions: [extension("2.5.29.28", true)] }),
  ],
];
for (const [name, why, text] of refused)
  test(`what is no list of ours is refused: ${name}`, async () => {
    const root = await authority();
    const given = await text(root);
    assert.throws(() => check(given, root), why);
  });

test("a list that was changed after it was signed is refused, at whichever byte", async () => {
  const root = await authority();
  const text = await root.list({ revoked: ["0a"] });
  const der = Buffer.from(text.replace(/-----.*?-----|\s/g, ""), "base64");
  for (let at = 4; at < der.length; at += 1) {
    const changed = Buffer.from(der);
    changed[at]! ^= 0x01;
    const pem = `-----BEGIN X509 CRL-----\n${changed.toString("base64")}\n-----END X509 CRL-----\n`;
    assert.throws(() => check(pem, root), /list 1: /, `byte ${at}`);
  }
});

test("who may sign certificates but no lists, and who is no authority, signs none", async () => {
  const root = await authority({ usages: x509.KeyUsageFlags.keyCertSign });
  const list = await root.list();
  assert.throws(() => check(list, root), /may sign lists \(key usage cRLSign\)/);
  const leaf = await authority({ ca: false });
  const another = await leaf.list();
  assert.throws(() => check(another, leaf), /no authority of our chain/);
});

test("an older list never takes the place of a newer one; a list may go, and come back as it is", async () => {
  const root = await authority();
  const [older] = check(await root.list({ number: 4, fromMs: Date.now() - HOUR_MS }), root);
  const [newer] = check(await root.list({ number: 5, fromMs: Date.now() - 2 * HOUR_MS }), root);
  assert.throws(() => refuseOlder([newer!], [older!]), /older than the one in force.*remove ca-crl.pem before/);
  refuseOlder([older!], [newer!]);
  refuseOlder([newer!], []);
  refuseOlder([newer!], [newer!]);
  const other = await authority({ name: "CN=other" });
  refuseOlder([newer!], check(await other.list({ number: 1 }), other));
  const [unnumbered] = check(await root.list({ fromMs: Date.now() - 3 * HOUR_MS }), root);
  assert.throws(() => refuseOlder([newer!], [unnumbered!]), /older than the one in force/);
});
