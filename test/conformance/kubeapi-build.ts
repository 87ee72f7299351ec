import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { alone } from "./alone.ts";
import type { Missing } from "./machine.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const sources = join(root, "test", "kubeapi");
const cache = join(root, "node_modules", ".cache", "causeway-kubeapi");
const run = promisify(execFile);
const MODULES_MS = 5 * 60_000;
const OUTPUT_MAX = 1 << 26;
/** About six minutes of CPU on a machine that has built nothing before. */
export const BUILD_MS = 20 * 60_000;

let built: Promise<string | Missing> | undefined;

/** The folder of test/kubeapi's API server, built once for each state of its sources; or what stands in the way. */
export function kubeapiFolder(): Promise<string | Missing> {
  return (built ??= build());
}

/** The API server in such a folder. */
export const binaryIn = (folder: string): string => join(folder, "bin", "kubeapi");

async function build(): Promise<string | Missing> {
  const version = await goVersion();
  if (typeof version === "object") return version;
  const folder = join(cache, sourceHash(version));
  if (existsSync(folder)) return folder;
  return alone(join(cache, "building"), () => buildIn(folder));
}

async function buildIn(folder: string): Promise<string | Missing> {
  if (existsSync(folder)) return folder;
  // Beside its final place, so that a rename completes it and a build that was cut off leaves nothing to trust.
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, "build-"));
  try {
    const startedAt = Date.now();
    cpSync(sources, draft, { recursive: true });
    const missing = await modules(draft);
    if (missing !== undefined) return missing;
    await run("make", ["bin/kubeapi"], { cwd: draft, timeout: BUILD_MS, maxBuffer: OUTPUT_MAX });
    for (const old of readdirSync(cache).filter((name) => !name.startsWith("build")))
      rmSync(join(cache, old), { recursive: true, force: true });
    renameSync(draft, folder);
    console.log(`    kubeapi: built in ${Math.round((Date.now() - startedAt) / 1000)} s`);
    return folder;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** What the build depends on, and its tests. */
function sourceHash(goVersion: string): string {
  const hash = createHash("sha256").update(goVersion);
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" })
    .filter((path) => /(\.go|go\.(mod|sum)|Makefile)$/.test(path) && !path.endsWith("zz_generated.go"))
    .sort();
  for (const path of files) hash.update(`\0${path}\0`).update(readFileSync(join(sources, path)));
  return hash.digest("hex").slice(0, 16);
}

async function goVersion(): Promise<string | Missing> {
  const wanted = /^go (\S+)$/m.exec(readFileSync(join(sources, "go.mod"), "utf8"))![1]!;
  const needs = `test/kubeapi needs Go ${wanted} or later`;
  try {
    await run("make", ["--version"]);
  } catch {
    return { missing: "make is not in PATH; test/kubeapi is built with it" };
  }
  try {
    // Outside of the module, where Go would refuse to say its version if that is too old.
    const { stdout } = await run("go", ["env", "GOVERSION"], { cwd: tmpdir(), timeout: 30_000 });
    const version = stdout.trim().replace(/^go/, "");
    return isAtLeast(version, wanted) ? version : { missing: `${needs}, and go in PATH is ${version}` };
  } catch {
    return { missing: `${needs}, and go is not in PATH` };
  }
}

function isAtLeast(version: string, wanted: string): boolean {
  const [has, needs] = [version, wanted].map((text) => text.split(".").map((part) => parseInt(part, 10)));
  for (const [at, part] of needs!.entries()) {
    const own = has![at] ?? 0;
    if (own !== part) return own > part;
  }
  return true;
}

async function modules(folder: string): Promise<Missing | undefined> {
  try {
    await run("go", ["mod", "download"], { cwd: folder, timeout: MODULES_MS, maxBuffer: OUTPUT_MAX });
    return undefined;
  } catch (thrown) {
    const { stderr = "", message } = thrown as Error & { stderr?: string };
    const why = stderr.trim().split("\n").at(-1) || message;
    const { stdout } = await run("go", ["env", "GOPROXY"], { cwd: folder });
    return { missing: `the Go modules of test/kubeapi cannot be had from GOPROXY=${stdout.trim()} (${why})` };
  }
}
