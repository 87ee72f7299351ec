import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { type Context, test } from "mocha";
import * as pkijs from "pkijs";
import { loadCacerts } from "../../src/ca/cacerts.ts";
import { newCsr } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import { pemBlocks, toPem } from "../../src/pem.ts";
import { caLab } from "../kits/ca-command.ts";
import { realHost } from "../kits/real-host.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { seededRandom } from "../sim/world.ts";

type Lab = Awaited<ReturnType<typeof caLab>>;

const FOUR = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];
const read = (lab: Lab, name: string): string => readFileSync(lab.at(name), "utf8");
const modeOf = (lab: Lab, name: string): number => statSync(lab.at(name)).mode & 0o777;
const der = (pem: string): readonly Buffer[] => pemBlocks(pem, "CERTIFICATE");

async function rootAndEast(lab: Lab, ...more: readonly string[]): Promise<void> {
  assert.equal((await lab.ca("init", "--dir", "@root", ...more)).code, 0);
  const issued = await lab.ca("issue", "--root", "@root", "--cluster", "east", "--dir", "@east", ...more);
  assert.equal(issued.code, 0, issued.err);
}

/** A workload's certificate from the authority in a folder. */
async function leafOf(lab: Lab, folder: string, trustDomain: string): Promise<Buffer> {
  const authority = (await loadCacerts(lab.at(folder), trustDomain, Date.now()))!;
  const signer = new LocalSigner(realHost(), authority, trustDomain);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 600 };
  return Buffer.from((await signer.sign(request, new AbortController().signal))[0]!);
}

/** OpenSSL's word; the test is skipped, and says so, where there is no OpenSSL. */
function opensslVerify(context: Context, words: readonly string[]): string {
  const { error, stdout, stderr } = spawnSync("openssl", ["verify", "-x509_strict", ...words], { encoding: "utf8" });
  if (error !== undefined) {
    context.test!.title += ` (skipped: ${error.message})`;
    context.skip();
  }
  return stdout + stderr;
}

for (const type of KEY_TYPES)
  test(`a root and an authority of ${type}, and a leaf below them, hold before OpenSSL, Node, pkijs and x509`, async function () {
    this.timeout(60_000);
    await using lab = await caLab();
    await rootAndEast(lab, "--key-type", type, "--trust-domain", "td1.test");
    const leaf = await leafOf(lab, "east", "td1.test");
    const [root, authority] = [der(read(lab, "root/root-cert.pem"))[0]!, der(read(lab, "east/ca-cert.pem"))[0]!];

    const [top, middle, low] = [root, authority, leaf].map((bytes) => new X509Certificate(bytes));
    assert.ok(top!.ca && middle!.ca && !low!.ca);
    assert.ok(middle!.checkIssued(top!) && middle!.verify(top!.publicKey));
    assert.ok(low!.checkIssued(middle!) && low!.verify(middle!.publicKey));

    const parsed = [root, authority, leaf].map((bytes) => pkijs.Certificate.fromBER(Uint8Array.from(bytes).buffer));
    const [trusted, between, end] = parsed as [pkijs.Certificate, pkijs.Certificate, pkijs.Certificate];
    const engine = new pkijs.CertificateChainValidationEngine({ trustedCerts: [trusted], certs: [between, end] });
    const { result, resultMessage, certificatePath } = await engine.verify();
    assert.ok(result, resultMessage);
    assert.equal(certificatePath?.length, 3);

    const chain = await new x509.X509ChainBuilder({
      certificates: [root, authority].map((bytes) => new x509.X509Certificate(Uint8Array.from(bytes))),
    }).build(new x509.X509Certificate(Uint8Array.from(leaf)));
    assert.equal(chain.length, 3);

    writeFileSync(lab.at("leaf.pem"), toPem("CERTIFICATE", leaf));
    const files = ["-CAfile", lab.at("root/root-cert.pem"), "-untrusted", lab.at("east/cert-chain.pem")];
    assert.match(opensslVerify(this, [...files, lab.at("leaf.pem")]), /leaf.pem: OK/);
  });

test("an authority has the four files that istiod mounts, each with what istiod expects of it", async () => {
  await using lab = await caLab();
  await rootAndEast(lab, "--trust-domain", "td1.test");
  assert.deepEqual(readdirSync(lab.at("east")).sort(), FOUR);
  assert.deepEqual(readdirSync(lab.at("root")).sort(), ["issued.jsonl", "root-cert.pem", "root-key.pem"]);
  const own = read(lab, "east/ca-cert.pem");
  const root = read(lab, "root/root-cert.pem");
  assert.equal(read(lab, "east/root-cert.pem"), root);
  assert.equal(read(lab, "east/cert-chain.pem"), own + root, "it begins with the authority, as istiod sends it on");
  assert.match(read(lab, "east/ca-key.pem"), /^-----BEGIN PRIVATE KEY-----\n/);
  const certificate = new x509.X509Certificate(own);
  assert.equal(certificate.subject, "O=td1.test, CN=Intermediate CA east");
  assert.equal(certificate.getExtension(x509.BasicConstraintsExtension)?.pathLength, 0);
  const usages = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  assert.equal(certificate.getExtension(x509.KeyUsagesExtension)?.usages, usages);
  assert.equal(new X509Certificate(own).subjectAltName, "URI:spiffe://td1.test");
  assert.equal(certificate.getExtension(x509.SubjectAlternativeNameExtension)?.critical, false);
});

test("keys are their owner's alone to read, and so are the folders", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  for (const name of ["root/root-key.pem", "root/issued.jsonl", "east/ca-key.pem"])
    assert.equal(modeOf(lab, name), 0o600, name);
  for (const name of ["root", "east"]) assert.equal(modeOf(lab, name), 0o700, name);
});

test("what is there is never replaced, and nothing is written beside it", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  const before = FOUR.map((name) => read(lab, `east/${name}`));
  const issued = read(lab, "root/issued.jsonl");
  const again = await lab.ca("issue", "--root", "@root", "--cluster", "east", "--dir", "@east");
  assert.equal(again.code, 2);
  assert.match(again.err, /east already holds ca-cert.pem, .* never replaced; name a new folder/);
  assert.deepEqual(
    FOUR.map((name) => read(lab, `east/${name}`)),
    before,
  );
  assert.equal(read(lab, "root/issued.jsonl"), issued, "what was not made is not noted");
  assert.equal((await lab.ca("init", "--dir", "@root")).code, 2);
  mkdirSync(lab.at("half"));
  writeFileSync(lab.at("half/ca-key.pem"), "mine");
  assert.equal((await lab.ca("issue", "--root", "@root", "--cluster", "w", "--dir", "@half")).code, 2);
  assert.deepEqual(readdirSync(lab.at("half")), ["ca-key.pem"]);
});

test("an authority lives for 90 days and a root for 10 years, no authority longer than its root, and serials differ", async () => {
  await using lab = await caLab();
  const days = (name: string): number => {
    const { validFrom, validTo } = new X509Certificate(read(lab, name));
    return Math.round((Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000);
  };
  await rootAndEast(lab);
  assert.deepEqual([days("root/root-cert.pem"), days("east/ca-cert.pem")], [3650, 90]);
  const long = await lab.ca("issue", "--root", "@root", "--cluster", "w", "--dir", "@west", "--lifetime", "9y");
  assert.match(long.err, /more than 90 days/);
  await lab.ca("init", "--dir", "@short", "--lifetime", "30d");
  const bounded = await lab.ca("issue", "--root", "@short", "--cluster", "w", "--dir", "@bounded");
  assert.match(bounded.err, /it ends with its root, earlier than asked/);
  assert.equal(days("bounded/ca-cert.pem"), 30);
  const serials = ["root/root-cert.pem", "east/ca-cert.pem", "west/ca-cert.pem"].map(
    (name) => new X509Certificate(read(lab, name)).serialNumber,
  );
  assert.equal(new Set(serials).size, 3);
  assert.ok(serials.every((serial) => serial.length === 32));
});

test("a wrong call writes nothing and says what would be right", async () => {
  await using lab = await caLab();
  await lab.ca("init", "--dir", "@root");
  const issue = (...more: readonly string[]) => ["issue", "--root", "@root", "--cluster", "e", "--dir", "@e", ...more];
  const wrong: readonly [readonly string[], 2 | 64, RegExp][] = [
    [["init"], 64, /say where to make the root with --dir DIR/],
    [["issue", "--root", "@root", "--dir", "@e"], 64, /which cluster it is for with --cluster NAME/],
    [["issue", "--root", "@root", "--dir", "@e", "--cluster", "a/b"], 64, /--cluster is "a\/b": use letters/],
    [issue("--trust-domain", "Upper"), 64, /--trust-domain is "Upper": use a-z/],
    [issue("--trust-domain", "a,b"), 64, /--trust-domain is "a,b"/],
    [issue("--lifetime", "11y"), 64, /--lifetime is "11y": give 1h to 10y/],
    [issue("--lifetime", "59m"), 64, /--lifetime is "59m"/],
    [issue("--lifetime", "-1d"), 64, /--lifetime is "-1d"/],
    [issue("--key-type", "rsa-1024"), 64, /Allowed choices are ec-p256, ec-p384, rsa-2048/],
    [issue("--path-length", "6"), 64, /--path-length is "6": give 0/],
    [["issue", "--root", "@none", "--cluster", "e", "--dir", "@e"], 2, /there is no folder .*none/],
    [["status"], 64, /say which folder with --dir DIR/],
    [["verify", "--dir", "@none"], 2, /there is no folder .*none/],
  ];
  for (const [words, code, message] of wrong) {
    const ran = await lab.ca(...words);
    assert.equal(ran.code, code, `${words.join(" ")}: ${ran.err}`);
    assert.match(ran.err, message);
    assert.equal(ran.out, "");
  }
  assert.deepEqual(readdirSync(lab.at(".")), ["root"]);
});

test("a root that cannot be used issues nothing", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  await lab.ca("init", "--dir", "@other");
  const issue = () => lab.ca("issue", "--root", "@root", "--cluster", "w", "--dir", "@west");
  const good = { key: read(lab, "root/root-key.pem"), certificate: read(lab, "root/root-cert.pem") };
  const wrong: readonly [string, string, RegExp][] = [
    ["root-key.pem", read(lab, "other/root-key.pem"), /it is not the key of root-cert.pem/],
    ["root-key.pem", "", /no private key that can be read/],
    ["root-cert.pem", "", /root-cert.pem: it holds no certificate in PEM/],
    ["root-cert.pem", good.certificate + read(lab, "other/root-cert.pem"), /holds 2 certificates; keep one root/],
  ];
  for (const [name, text, message] of wrong) {
    writeFileSync(lab.at(`root/${name}`), text);
    const ran = await issue();
    assert.equal(ran.code, 2);
    assert.match(ran.err, message);
    writeFileSync(lab.at("root/root-key.pem"), good.key);
    writeFileSync(lab.at("root/root-cert.pem"), good.certificate);
  }
  lab.laterMs = 11 * 365 * 86_400_000;
  assert.match((await issue()).err, /expired at .*; put one that is valid there/);
  lab.laterMs = 0;
  assert.equal((await issue()).code, 0);
});

test("status shows each certificate once, and asks for what is due with exit code 1", async () => {
  await using lab = await caLab();
  await rootAndEast(lab, "--trust-domain", "td1.test");
  const status = async (laterDays: number) => {
    lab.laterMs = laterDays * 86_400_000;
    const { code, out } = await lab.ca("status", "--dir", "@east", "-o", "json");
    const views = JSON.parse(out) as readonly Record<string, unknown>[];
    return { code, rows: views.map(({ role, note, leftMs }) => [role, note, Math.floor(Number(leftMs) / 86_400_000)]) };
  };
  assert.deepEqual(await status(0), {
    code: 0,
    rows: [
      ["authority", "", 89],
      ["root", "", 3649],
    ],
  });
  assert.deepEqual((await status(61)).rows[0], ["authority", "renew it soon", 28]);
  assert.deepEqual((await status(84)).rows[0], ["authority", "renew it now", 5]);
  assert.equal((await status(84)).code, 1);
  assert.deepEqual((await status(91)).rows[0], ["authority", "expired", 0]);
  assert.deepEqual((await status(3570)).rows[1], ["root", "change the root in steps soon", 79]);
  lab.laterMs = 0;
  const { out } = await lab.ca("status", "--dir", "@root", "--dir", "@east");
  assert.match(out, /^FILE +WHAT +SUBJECT +SPIFFE ID +KEY +SHA-256 +VALID UNTIL +LEFT +NOTE\n/);
  assert.match(out, /east\/ca-cert.pem +authority +O=td1.test, CN=Intermediate CA east +spiffe:\/\/td1.test +ec-p256 /);
  assert.equal(out.trim().split("\n").length, 4);
});

test("status says which file it cannot read, and never shows less without a word", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  writeFileSync(lab.at("east/ca-cert.pem"), "garbage");
  rmSync(lab.at("east/cert-chain.pem"));
  const { code, err } = await lab.ca("status", "--dir", "@east");
  assert.equal(code, 1);
  assert.match(err, /cert-chain.pem is missing, or cannot be read: .*\n.*ca-cert.pem is missing, or cannot be read/);
});

test("verify finds what cannot be used, and names file, reason and fix", async () => {
  await using lab = await caLab();
  await rootAndEast(lab, "--trust-domain", "td1.test");
  await lab.ca("init", "--dir", "@other");
  await lab.ca("issue", "--root", "@other", "--cluster", "o", "--dir", "@o");
  const good = await lab.ca("verify", "--dir", "@east", "--dir", "@root");
  assert.deepEqual([good.code, good.out], [0, ""]);
  const root = await TestAuthority.create("CN=root");
  const shaped = async (shape: Parameters<typeof TestAuthority.create>[0], parent = root) => {
    const own = await TestAuthority.create(shape, parent);
    return { "ca-cert.pem": own.root, "ca-key.pem": own.key, "cert-chain.pem": own.root, "root-cert.pem": parent.root };
  };
  const weak = await TestAuthority.create({ name: "CN=weak", algorithm: "RSA-1024" });
  const named = { name: "CN=a", pathLength: 0 };
  const wrong: readonly [string, Readonly<Record<string, string>>, RegExp][] = [
    [
      "another's key",
      { "ca-key.pem": read(lab, "o/ca-key.pem") },
      /^ca-key.pem: it is not the key of ca-cert.pem; put/,
    ],
    [
      "another's root",
      { "root-cert.pem": read(lab, "o/root-cert.pem"), "cert-chain.pem": read(lab, "east/ca-cert.pem") },
      /^root-cert.pem: no root in it issued/,
    ],
    [
      "a chain that does not begin with it",
      { "cert-chain.pem": read(lab, "east/root-cert.pem") },
      /^cert-chain.pem: it does not begin with .*; begin it with/,
    ],
    ["an empty chain", { "cert-chain.pem": "" }, /^cert-chain.pem: it does not begin with/],
    ["garbage", { "ca-cert.pem": "garbage" }, /^ca-cert.pem: it holds no certificate in PEM/],
    ["a leaf", await shaped({ ...named, ca: false }), /^ca-cert.pem: "CN=a" is no certificate authority; put/],
    ["a workload's leaf", await shaped({ name: "", ca: false }), /^ca-cert.pem: "" is no certificate authority; put/],
    [
      "no keyCertSign",
      await shaped({ ...named, usages: x509.KeyUsageFlags.cRLSign }),
      /may not sign certificates; use/,
    ],
    [
      "for servers alone",
      await shaped({ ...named, purposes: ["1.3.6.1.5.5.7.3.1"] }),
      /not for servers and clients both.*; use/,
    ],
    [
      "another trust domain",
      await shaped({ ...named, uris: ["spiffe://td2.test"] }),
      /named spiffe:\/\/td2.test, which is not of trust domain td1.test/,
    ],
    [
      "a weak root",
      await shaped(named, weak),
      /^root-cert.pem: "CN=weak" has a key of rsa-1024, which verifiers refuse; use P-256/,
    ],
    ["expired", await shaped({ ...named, notAfterMs: Date.now() - 1000 }), /^ca-cert.pem: "CN=a" expired at/],
  ];
  for (const [what, files, message] of wrong) {
    mkdirSync(lab.at(what));
    for (const name of FOUR)
      writeFileSync(lab.at(`${what}/${name}`), files[name] ?? read(lab, `east/${name}`), { mode: 0o600 });
    const { code, out } = await lab.ca("verify", "--dir", `@${what}`, "--trust-domain", "td1.test", "-o", "json");
    const findings = JSON.parse(out) as readonly Record<string, string>[];
    const errors = findings.filter(({ severity }) => severity === "error");
    assert.equal(code, 1, what);
    const said = errors.map(({ file, reason, fix }) => `${file!.slice(lab.at(what).length + 1)}: ${reason}; ${fix}`);
    assert.ok(
      said.some((line) => message.test(line)),
      `${what}: ${said.join("\n")}`,
    );
  }
});

test("verify warns of what works and should be otherwise, with exit code 0", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  chmodSync(lab.at("east/ca-key.pem"), 0o644);
  writeFileSync(lab.at("east/root-key.pem"), read(lab, "root/root-key.pem"));
  const { code, out, err } = await lab.ca("verify", "--dir", "@east");
  assert.equal(code, 0);
  assert.match(out, /warning +\S+ca-key.pem +others on this machine may read it \(mode 644\) +chmod 600/);
  assert.match(out, /warning +\S+root-key.pem +the root's key lies in a cluster's folder/);
  assert.match(err, /can be used/);
  const root = await TestAuthority.create("CN=root");
  const own = await TestAuthority.create({ uris: ["spiffe://cluster.local/ns/istio-system/sa/citadel"] }, root);
  mkdirSync(lab.at("guide"));
  const files = {
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": own.root,
    "root-cert.pem": root.root,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(lab.at(`guide/${name}`), text, { mode: 0o600 });
  const guide = await lab.ca("verify", "--dir", "@guide");
  assert.equal(guide.code, 0);
  assert.match(guide.out, /is named spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/citadel, as a workload is/);
  assert.match(guide.out, /may make further authorities/);
});

test("verify holds revocation lists to what Causeway and istiod make of them", async () => {
  await using lab = await caLab();
  const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
  const own = await TestAuthority.create({ name: "CN=own", usages: SIGNS_LISTS, serial: "07" }, root);
  mkdirSync(lab.at("east"));
  const put = (name: string, text: string): void => writeFileSync(lab.at(`east/${name}`), text, { mode: 0o600 });
  put("ca-cert.pem", own.root);
  put("ca-key.pem", own.key);
  put("cert-chain.pem", `${own.root}\n${root.root}`);
  put("root-cert.pem", root.root);
  const found = async (): Promise<readonly string[]> => {
    const { out } = await lab.ca("verify", "--dir", "@east", "--output", "json");
    const findings = JSON.parse(out) as readonly Record<"severity" | "file" | "reason", string>[];
    return findings
      .filter(({ file }) => file.endsWith("ca-crl.pem"))
      .map(({ severity, reason }) => `${severity} ${reason}`);
  };
  assert.deepEqual(await found(), []);
  put("ca-crl.pem", (await root.list()) + (await own.list()));
  assert.deepEqual(await found(), []);
  put("ca-crl.pem", (await root.list({ revoked: ["07"] })) + (await own.list()));
  assert.deepEqual(await found(), ['error "CN=own" with serial number 07 is revoked']);
  assert.equal((await lab.ca("verify", "--dir", "@east")).code, 1);
  put("ca-crl.pem", await root.list({ fromMs: Date.now() - 7_200_000, dueMs: Date.now() - 3_600_000 }));
  const [late, missing] = await found();
  assert.match(late!, /^warning a newer list of "CN=root" was due at 20/);
  assert.match(missing!, /^warning it has no list of "CN=own", and istiod then loads nothing/);
  put("ca-crl.pem", await (await TestAuthority.create({ usages: SIGNS_LISTS })).list());
  assert.match((await found()).join(), /^error list 1: no authority of our chain or our roots/);
  assert.equal((await lab.ca("verify", "--dir", "@east")).code, 1);
});

test("a root that allows no authority below it issues none, and verify says who would refuse it", async () => {
  await using lab = await caLab();
  const narrow = await TestAuthority.create({ name: "CN=narrow", pathLength: 0 });
  mkdirSync(lab.at("narrow"));
  writeFileSync(lab.at("narrow/root-cert.pem"), narrow.root);
  writeFileSync(lab.at("narrow/root-key.pem"), narrow.key, { mode: 0o600 });
  const issued = await lab.ca("issue", "--root", "@narrow", "--cluster", "e", "--dir", "@e");
  assert.equal(issued.code, 2);
  assert.match(issued.err, /narrow allows 0 authorities below it, and with this one there may be 1; use a lower/);
  const own = await TestAuthority.create({ name: "CN=own", pathLength: 0 }, narrow);
  mkdirSync(lab.at("own"));
  const files = {
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": own.root,
    "root-cert.pem": narrow.root,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(lab.at(`own/${name}`), text, { mode: 0o600 });
  const { code, out } = await lab.ca("verify", "--dir", "@own");
  assert.equal(code, 1);
  assert.match(out, /root-cert.pem +the root allows 0 authorities below it, and 1 follow: OpenSSL refuses them/);
});

test("whatever bytes a certificate has, verify and status end with a finding or a sentence, never with a defect", async () => {
  await using lab = await caLab();
  await rootAndEast(lab);
  const random = seededRandom(Number(process.env["SEED"] ?? 20261121));
  const good = der(read(lab, "east/ca-cert.pem"))[0]!;
  const codes = new Map<number, number>();
  for (let count = 0; count < 150; count += 1) {
    const bytes = Buffer.from(good);
    for (let flips = 1 + random.below(3); flips > 0; flips -= 1)
      bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
    writeFileSync(lab.at("east/ca-cert.pem"), toPem("CERTIFICATE", random.chance(0.1) ? bytes.subarray(0, 40) : bytes));
    const verified = await lab.ca("verify", "--dir", "@east");
    const { err, out, code } = await lab.ca("status", "--dir", "@east");
    if (bytes.equals(good)) continue;
    assert.ok(
      code === 0 || (code === 1 && /ca-cert.pem is missing, or cannot be read|renew|expired|not valid/.test(err + out)),
    );
    assert.doesNotMatch(verified.err + err, /defect/, bytes.toString("hex"));
    // A hostile name must not move the cursor.
    assert.doesNotMatch(verified.out + out, /[\u0000-\u0009\u000b-\u001f\u007f]/);
    codes.set(verified.code, (codes.get(verified.code) ?? 0) + 1);
  }
  assert.deepEqual([...codes.keys()].sort(), [1], "no change goes unnoticed, and each is a finding");
});

test("half an authority is an error for each file that is not there", async () => {
  await using lab = await caLab();
  mkdirSync(lab.at("half"));
  writeFileSync(lab.at("half/ca-cert.pem"), "");
  const { code, out } = await lab.ca("verify", "--dir", "@half", "-o", "json");
  assert.equal(code, 1);
  const missing = (JSON.parse(out) as readonly Record<string, string>[]).map(({ file }) => file!.split("/").at(-1));
  assert.deepEqual(missing, ["ca-key.pem", "root-cert.pem", "cert-chain.pem"]);
});
