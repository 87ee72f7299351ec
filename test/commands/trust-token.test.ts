import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { runCli } from "../../src/cli.ts";
import { NO_TERMINAL } from "../../src/command.ts";
import { newCsr } from "../../src/ca/client.ts";
import { trustCommands } from "../../src/commands/trust.ts";
import { trustFolder } from "../../src/commands/trust-store.ts";
import { clusterId } from "../../src/names.ts";
import { parseToken } from "../../src/relay/token.ts";
import { systemClock, systemRandom } from "../../src/system-host.ts";
import { folderOf } from "../kits/folder.ts";
import type { Ended } from "../kits/relay-client.ts";
import { RelayLab } from "../kits/relay-lab.ts";

async function trust(...words: readonly string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const cli = {
    commands: [trustCommands({ clock: systemClock, random: systemRandom }, 1)],
    version: "1.2.3",
    clock: systemClock,
    printer: { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) },
    terminal: NO_TERMINAL,
    environment: { HOME: "/nowhere" },
    interrupted: new AbortController().signal,
  };
  const code = await runCli(cli, ["trust", ...words]);
  return { code, out: out.join(""), err: err.join("") };
}

test("a token that the command prints lets its cluster in, once", async () => {
  await using lab = await RelayLab.open();
  const { code, out, err } = await trust("token", "--cluster", "east", "--ttl", "15m", "--state", lab.folder);
  assert.deepEqual([code, out.split("\n").length], [0, 2]);
  const { cluster, id, expiresAt, rootSha256 } = parseToken(out);
  assert.deepEqual([cluster, rootSha256], ["east", lab.books.authority.rootSha256]);
  assert.ok(Math.abs(expiresAt - Date.now() - 900_000) < 10_000);
  assert.match(err, new RegExp(`^token ${id}: cluster east can enroll with it once, until 20`));
  await lab.client().enroll({ token: out.trim(), cluster: clusterId("east"), csr: newCsr().csr, clock: undefined });
  const second = { token: out.trim(), cluster: clusterId("east"), csr: newCsr().csr, clock: undefined };
  await assert.rejects(lab.client().enroll(second), ({ reason }: Ended) => reason === "TokenUsed");
});

test("what is kept of a token is not enough to make it, and nobody else may read it", async () => {
  await using lab = await RelayLab.open();
  const { out } = await trust("token", "--cluster", "east", "--state", lab.folder);
  const files = readdirSync(trustFolder(lab.folder)).map((name) => join(trustFolder(lab.folder), name));
  assert.ok(files.some((file) => file.includes(`relay-token-${parseToken(out).id}`)));
  const secret = Buffer.from(out.trim().split(".")[1]!, "base64url").subarray(46, 78);
  for (const file of files) {
    const text = readFileSync(file, "latin1");
    for (const form of ["hex", "base64", "base64url", "latin1"] as const)
      assert.ok(!text.includes(secret.toString(form)), `${file} has the secret as ${form}`);
    assert.ok(!text.includes(out.trim()));
    assert.equal(statSync(file).mode & 0o777, 0o600);
  }
});

test("a revocation reaches the manager that runs, and takes back tokens, used or not", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  const { out: used } = await trust("token", "--cluster", "east", "--state", lab.folder);
  const asking = { token: used.trim(), cluster: clusterId("east"), csr: newCsr().csr, clock: undefined };
  await lab.client().enroll(asking);
  const { out: unused } = await trust("token", "--cluster", "east", "--state", lab.folder);
  const { code, out } = await trust("revoke", "--cluster", "east", "--state", lab.folder);
  assert.equal(code, 0);
  assert.match(out, /^client certificates that cluster east got before 20\S+ are void, and 3 tokens\n$/);
  assert.equal((await lab.client(pair).follow().ended).reason, "CertificateVoid");
  const again = { token: unused.trim(), cluster: clusterId("east"), csr: newCsr().csr, clock: undefined };
  await assert.rejects(lab.client().enroll(again), ({ reason }: Ended) => reason === "TokenRevoked");
  // Whoever used a token may ask again for the answer that it lost, but not past a revocation.
  await assert.rejects(lab.client().enroll(asking), ({ reason }: Ended) => reason === "TokenRevoked");
  const { chain, key } = await lab.enrolled("east");
  const stream = lab.client({ chain, key }).follow();
  stream.hello(clusterId("east"));
  lab.desk.change(({ words }) =>
    words.set(clusterId("east"), { kind: "refusal", id: "", code: "unavailable", reason: "wait", retryAfterMs: 1 }),
  );
  await stream.until("refusal");
});

test("a folder in which no manager has run is no manager's, and stays as it is", async () => {
  await using folder = await folderOf({});
  const { code, out, err } = await trust("token", "--cluster", "east", "--state", folder.path);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /no trust manager has run there yet: start causeway trust serve first, or say where/);
  assert.deepEqual(readdirSync(folder.path), []);
});

for (const [what, words, why] of [
  ["no cluster", ["token"], /say which cluster with --cluster NAME/],
  ["a cluster of no name", ["token", "--cluster", "a/b"], /--cluster is "a\/b": use letters/],
  ["a token for a day", ["token", "--cluster", "a", "--ttl", "24h", "--state", "x"], /--ttl is "24h": give 10s to 1h/],
  ["two stores", ["revoke", "--cluster", "a", "--state", "x", "--context", "y"], /--state is a folder, and/],
  ["a namespace of no name", ["revoke", "--cluster", "a", "--trust-namespace", "A/b"], /give the name of a namespace/],
] as const)
  test(`${what} is a wrong call of causeway trust`, async () => {
    const { code, err } = await trust(...words);
    assert.equal(code, 64);
    assert.match(err, why);
  });
