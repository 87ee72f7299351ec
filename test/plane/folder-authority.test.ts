import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { LOOK_MS } from "../../src/ca/cacerts-follower.ts";
import { readRoots } from "../../src/ca/remembered-roots.ts";
import type { Authority } from "../../src/ca/authority.ts";
import { loadConfig } from "../../src/config.ts";
import type { AuthoritySource } from "../../src/plane/authority-source.ts";
import { localAuthority } from "../../src/plane/local-authority.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { istioFiles } from "./authority-lab.ts";

const HOUR_MS = 3_600_000;
const lasting = { notAfterMs: Date.now() + 500 * HOUR_MS };

let folder = "";
const open: AuthoritySource[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-folder-"))));
afterEach(async () => {
  for (const source of open.splice(0)) await source.close();
  rmSync(folder, { recursive: true, force: true });
});

const memory = () => join(folder, "root-memory.json");
const put = (own: TestAuthority, ...roots: readonly TestAuthority[]): void => {
  for (const [name, text] of Object.entries(istioFiles(own, roots))) writeFileSync(join(folder, name), text);
};

/** A process that begins `hours` after the first, and reads the folder. */
async function begin(hours: number) {
  const time = new TestHost();
  const offset = Date.now() + hours * HOUR_MS - time.clock.now();
  const { random, log, metrics, lines, clock } = time;
  const after = (delayMs: number, task: () => void) => clock.after(delayMs, task);
  const own = { now: () => clock.now() + offset, elapsedMs: () => clock.elapsedMs(), after };
  const config = loadConfig({ cacerts: folder, state: folder }, {}, { listenAddress: "127.0.0.1", stateDir: "" });
  const source = localAuthority({ host: { clock: own, random, log, metrics }, config, noteProblems: () => {} });
  open.push(source);
  let first: Authority | undefined;
  const found = source.first(new AbortController().signal).then((authority) => {
    first = authority;
    source.follow(() => Promise.resolve());
  });
  await until(() => first !== undefined || !/not read yet/.test(source.waitingFor() ?? ""));
  const end = async (): Promise<void> => source.close();
  return { source, found, lines, clock, end, first: () => first };
}

async function authorities() {
  const a = await TestAuthority.create({ name: "CN=a", ...lasting });
  const b = await TestAuthority.create({ name: "CN=b", ...lasting });
  const ia = await TestAuthority.create({ name: "CN=ia", ...lasting }, a);
  const ib = await TestAuthority.create({ name: "CN=ib", ...lasting }, b);
  return { a, b, ia, ib };
}

test("with a folder, too, a restart during a wait between roots goes on waiting, and what was seen is on disk", async () => {
  const { a, b, ia, ib } = await authorities();
  put(ia, a);
  const one = await begin(0);
  await one.found;
  await one.end();
  assert.deepEqual(
    readRoots(readFileSync(memory(), "utf8")).map(({ signing, since }) => [signing, since]),
    [[true, undefined]],
  );
  put(ib, a, b);
  const two = await begin(1);
  assert.match(two.source.waitingFor()!, /root "CN=b" is new to workloads, which trust root "CN=a"/);
  await two.end();
  const three = await begin(20);
  assert.match(three.source.waitingFor()!, /root "CN=b" is new to workloads/);
  put(ia, a, b);
  three.clock.advance(LOOK_MS);
  await three.found;
  await three.end();
  put(ib, a, b);
  const four = await begin(25.1);
  await four.found;
  assert.equal(four.source.waitingFor(), undefined);
});

test("a root that was taken out is trusted again from what is on disk, for as long as it may be in use", async () => {
  const { a, b, ia, ib } = await authorities();
  put(ia, a, b);
  await (await begin(0)).end();
  put(ib, b);
  const during = await begin(1);
  await during.found;
  assert.equal(during.first()!.roots.length, 2);
  await during.end();
  const after = await begin(26);
  await after.found;
  assert.equal(after.first()!.roots.length, 1);
});

test("what is remembered on disk and is damaged keeps nobody from serving, and is one line in the log", async () => {
  const { b, ib } = await authorities();
  put(ib, b);
  writeFileSync(memory(), "{");
  const process = await begin(0);
  await process.found;
  assert.equal(process.lines.filter((line) => line.includes("what was known of roots is lost")).length, 1);
});
