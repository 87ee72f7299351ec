import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { serviceName } from "../../../src/names.ts";
import { FileVirtualIpStore } from "../../../src/registry/embedded/virtual-ip-file.ts";
import { TestHost } from "../../kits/test-host.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const bank = serviceName("pay", "bank.example");

test("virtual addresses outlive the process that allocated them", async () => {
  const path = join(folder, "deep", "virtual-ips.json");
  const first = await FileVirtualIpStore.open(new TestHost(), path);
  assert.equal(first.load().size, 0);
  first.save(new Map([[bank, 1]]));
  first.save(new Map([[bank, 2]]));
  await first.close();
  assert.deepEqual((await FileVirtualIpStore.open(new TestHost(), path)).load(), new Map([[bank, 2]]));
});

test("a file of virtual addresses that cannot be read is reported, and not in the way", async () => {
  const path = join(folder, "virtual-ips.json");
  for (const text of ["{", "[1]", "7"]) {
    writeFileSync(path, text);
    const host = new TestHost();
    assert.equal((await FileVirtualIpStore.open(host, path)).load().size, 0);
    assert.match(host.lines[0]!, /^warn registry: the saved virtual addresses in .*virtual-ips.json cannot be read/);
  }
});

test("virtual addresses that cannot be saved are reported, and kept in use", async () => {
  const host = new TestHost();
  writeFileSync(join(folder, "file"), "");
  const store = await FileVirtualIpStore.open(host, join(folder, "other.json"));
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "now a file");
  store.save(new Map([[bank, 1]]));
  await store.close();
  assert.match(host.lines[0]!, /cannot be saved in .*after a restart some hosts may have others/);
  assert.equal(readFileSync(folder, "utf8"), "now a file");
});
