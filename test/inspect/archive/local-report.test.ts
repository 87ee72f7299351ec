import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { stringify } from "yaml";
import type { Command } from "../../../src/command.ts";
import { analyzeCommand } from "../../../src/commands/analyze.ts";
import { bugReportCommand } from "../../../src/commands/bug-report.ts";
import { multiclusterCheckCommand } from "../../../src/commands/multicluster-check.ts";
import { type RunningPlane, startPlane } from "../../../src/commands/running-plane.ts";
import { loadConfig } from "../../../src/config.ts";
import { siteOf } from "../../../src/inspect/analyze/site.ts";
import { unpackArchive } from "../../../src/inspect/archive/archive-file.ts";
import { readFacts } from "../../../src/inspect/facts-folder.ts";
import { systemClock } from "../../../src/system-host.ts";
import { folderOf } from "../../kits/folder.ts";
import { UNSEEN } from "../../kits/unseen.ts";
import { keyPieces, survivors } from "../redaction-corpus/survivors.ts";

const secret = (): string => randomBytes(15).toString("hex");
const SECRETS = Array.from({ length: 6 }, secret);
const KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
  format: "pem",
  type: "pkcs8",
}) as string;

/** A cluster in which people have left secrets in every place where they do. */
const MANIFESTS = [
  {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "istio-system", labels: { "topology.istio.io/network": "n1" } },
  },
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "db", namespace: "shop" },
    stringData: { password: SECRETS[0], "tls.key": KEY },
  },
  {
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "app", namespace: "shop" } },
    data: { "app.yaml": `url: https://cart:${SECRETS[1]}@db/\nbackup: ${Buffer.from(KEY).toString("base64")}\n` },
  },
  {
    ...{ apiVersion: "apps/v1", kind: "Deployment" },
    metadata: {
      ...{ name: "cart", namespace: "shop" },
      annotations: { note: `ask with Authorization: Bearer ${SECRETS[2]}`, again: `was ${SECRETS[0]}` },
    },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "cart" } },
      template: {
        metadata: { labels: { app: "cart" }, annotations: { "example.com/api-token": SECRETS[3] } },
        spec: {
          containers: [
            {
              name: "cart",
              image: "cart:1",
              env: [{ name: "API_TOKEN", value: SECRETS[4] }],
              args: ["--password", SECRETS[5]],
            },
          ],
        },
      },
    },
  },
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "cart", namespace: "shop", annotations: { seen: Buffer.from(SECRETS[4]!).toString("base64") } },
    spec: { selector: { app: "cart" }, ports: [{ port: 80 }] },
  },
  {
    // What is said of it names what is wrong.
    ...{
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "cart", namespace: "shop" },
    },
    spec: { action: SECRETS[0] },
  },
];

let folder: Awaited<ReturnType<typeof folderOf>>;
let plane: RunningPlane;

before(async () => {
  folder = await folderOf({ "manifests/all.yaml": MANIFESTS.map((object) => stringify(object)).join("---\n") });
  const flags = {
    cluster: "east",
    manifests: [folder.at("manifests")],
    state: folder.at("state"),
    xdsPort: "0",
    adminPort: "0",
    healthPort: "0",
    log_output_level: "none",
  };
  const config = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" });
  plane = await startPlane({ config, openToAll: false });
});
after(async () => {
  await plane.close();
  await folder[Symbol.asyncDispose]();
});

async function report(options: Record<string, unknown>): Promise<{ readonly code: number; readonly out: string }> {
  let out = "";
  const printer = { out: (text: string) => void (out += text), err: () => {} };
  const call = { args: [], environment: {}, printer, signal: new AbortController().signal, ...UNSEEN };
  const admin = [`http://127.0.0.1:${plane.admin.adminPort}`];
  return { code: await bugReportCommand(systemClock).run({ ...call, options: { admin, ...options } as never }), out };
}

interface Said {
  readonly schema: string;
  readonly command: string;
  readonly success: boolean;
  readonly findings: readonly { readonly code: string; readonly object: string }[];
}

/** What a command prints with `-o json`. */
async function said(command: Command, options: Record<string, unknown>): Promise<Said> {
  let out = "";
  const printer = { out: (text: string) => void (out += text), err: () => {} };
  const call = { args: [], environment: {}, printer, signal: new AbortController().signal, ...UNSEEN };
  await command.run({ ...call, options: { output: "json", failureThreshold: "error", ...options } as never });
  return JSON.parse(out) as Said;
}

async function textOf(place: string): Promise<string> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");
}

test("the archive of a running mesh has its pages and manifests, and none of the secrets that were left in it", async () => {
  const file = folder.at("report.tar.gz");
  const { code, out } = await report({ file });
  assert.equal(code, 0, out);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await mkdir(folder.at("unpacked"));
  const place = await unpackArchive(file, folder.at("unpacked"));
  const all = await textOf(place);
  for (const each of SECRETS) assert.deepEqual(survivors(all, each), []);
  assert.deepEqual(keyPieces(all, KEY), []);
  for (const kept of ["cart:1", "API_TOKEN", "topology.istio.io/network", "pilot_services", "example.com/api-token"])
    assert.ok(all.includes(kept), `${kept} is gone`);
  const [facts] = await readFacts(place);
  assert.equal(facts!.cluster, "east");
  assert.ok(facts!.planes[0]!.pages.has("problemz") && facts!.planes[0]!.pages.has("ambientz"));
});

test("an archive says what a check and an analysis of it say, for machines and for people", async () => {
  const file = folder.at("judged.tar.gz");
  const { out } = await report({ file });
  await mkdir(folder.at("judged"));
  const place = await unpackArchive(file, folder.at("judged"));
  const found = JSON.parse(await readFile(join(place, "findings.json"), "utf8")) as Said;
  const [check, analysis] = [
    await said(multiclusterCheckCommand({ clock: systemClock, open: () => Promise.resolve([]) }), {
      directory: [place],
    }),
    await said(analyzeCommand(systemClock), { directory: [place] }),
  ];
  assert.equal(found.schema, check.schema);
  assert.deepEqual([found.command, found.success], ["bug-report", check.success && analysis.success]);
  const findings = [...check.findings, ...analysis.findings];
  assert.ok(findings.some(({ object }) => object === "AuthorizationPolicy shop/cart"));
  assert.deepEqual(found.findings, JSON.parse(JSON.stringify(findings).replaceAll(`${place}/`, "")));
  const summary = await readFile(join(place, "SUMMARY.txt"), "utf8");
  for (const { code } of analysis.findings) assert.ok(summary.includes(code), code);
  for (const part of ["east, control plane http://127.0.0.1:", "What was not collected", "causeway replay"])
    assert.ok(summary.includes(part), summary);
  assert.match(summary, /What was found\n-+\n[0-9]+ errors?, [0-9]+ warnings?\./);
  assert.match(out, /found in it: [0-9]+ errors?, [0-9]+ warnings?; SUMMARY\.txt in it names them/);
});

test("a Service without a cluster IP in manifests is no headless one in the archive of what served them", async () => {
  const file = folder.at("services.tar.gz");
  await report({ file });
  await mkdir(folder.at("services"));
  const [facts] = await readFacts(await unpackArchive(file, folder.at("services")));
  const { registry } = siteOf(facts!, 0, { systemNamespace: "istio-system" });
  const found = [...registry.objects.services.entries()].map(([, { id, clusterIps }]) => [id.name, clusterIps.length]);
  assert.deepEqual(found, [["cart", 1]]);
});

test("the manifest of an archive says what is in it, with digests that hold, and what is not", async () => {
  const file = folder.at("second.tar.gz");
  await report({ file });
  await mkdir(folder.at("second"));
  const place = await unpackArchive(file, folder.at("second"));
  const manifest = JSON.parse(await readFile(join(place, "manifest.json"), "utf8")) as {
    files: { path: string; sha256: string }[];
    notCollected: { path: string; why: string }[];
    redacted: Record<string, number>;
  };
  assert.ok(manifest.files.length > 20);
  for (const { path, sha256 } of manifest.files)
    assert.equal(
      createHash("sha256")
        .update(await readFile(join(place, path)))
        .digest("hex"),
      sha256,
      path,
    );
  assert.match(JSON.stringify(manifest.notCollected), /clusters\/east\/logs.*writes its log/);
  assert.ok(manifest.redacted["secret data"]! >= 2, JSON.stringify(manifest.redacted));
});

test("a dry run says what would be collected and writes nothing", async () => {
  const file = folder.at("third.tar.gz");
  const { code, out } = await report({ file, dryRun: true });
  assert.equal(code, 0);
  assert.match(
    out,
    /cluster east[\s\S]*1 services[\s\S]*every debug page[\s\S]*the manifests in [\s\S]*Nothing was written/,
  );
  await assert.rejects(stat(file));
});

test("a control plane that does not answer is said in the archive of the others, and makes the exit code 1", async () => {
  const file = folder.at("fourth.tar.gz");
  const { code, out } = await report({
    file,
    admin: ["http://127.0.0.1:1", `http://127.0.0.1:${plane.admin.adminPort}`],
  });
  assert.equal(code, 1);
  assert.match(out, /not collected: clusters\/unknown: http:\/\/127\.0\.0\.1:1 cannot be reached/);
  assert.match(out, /of unknown, east/);
});

test("an archive that is there is never written over", async () => {
  const file = folder.at("fifth.tar.gz");
  await report({ file });
  await assert.rejects(report({ file }), /fifth\.tar\.gz is there already: name another file with --file/);
});

test("wrong flags are refused with what is right", async () => {
  await assert.rejects(report({ since: "yesterday" }), /--since is "yesterday": give a time of at most 168h, as 30m/);
  await assert.rejects(report({ since: "200h" }), /--since is "200h"/);
  await assert.rejects(report({ state: [folder.at("nowhere")] }), /nowhere/);
});
