import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { alone } from "./alone.ts";
import type { Missing } from "./machine.ts";

const root = join(import.meta.dirname, "..", "..", "..");
/** Helm, of the Kubernetes modules of test/kubeapi: what that has compiled is not compiled again. */
const helmModule = join(root, "test", "helm");
const KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0";
const cache = join(root, "node_modules", ".cache", "causeway-chart-tools");
const run = promisify(execFile);
/** About two minutes of CPU on a machine that has built nothing but test/kubeapi before. */
export const TOOLS_MS = 15 * 60_000;

/** Paths of programs, for those who write charts. */
export interface ChartTools {
  readonly helm: string;
  readonly kubeScore: string;
}

/** The tools at the versions that are pinned here, built once; or what stands in the way. */
export async function chartTools(): Promise<ChartTools | Missing> {
  const version = await goVersion();
  if (typeof version === "object") return version;
  const folder = join(cache, pinned(version));
  if (!existsSync(folder)) {
    const missing = await alone(join(cache, "building"), () => buildIn(folder));
    if (missing !== undefined) return missing;
  }
  return { helm: join(folder, "helm"), kubeScore: join(folder, "kube-score") };
}

async function buildIn(folder: string): Promise<Missing | undefined> {
  if (existsSync(folder)) return undefined;
  const draft = mkdtempSync(join(cache, "build-"));
  const startedAt = Date.now();
  const flags = ["-trimpath", "-ldflags", "-s -w"];
  const environment = { ...process.env, CGO_ENABLED: "0", GOBIN: draft };
  try {
    mkdirSync(join(draft, "module"));
    cpSync(helmModule, join(draft, "module"), { recursive: true });
    const at = { cwd: join(draft, "module"), env: environment, timeout: TOOLS_MS, maxBuffer: 1 << 26 };
    await run("go", ["build", ...flags, "-o", join(draft, "helm"), "helm.sh/helm/v4/cmd/helm"], at);
    await run("go", ["install", ...flags, KUBE_SCORE], { ...at, cwd: tmpdir() });
    rmSync(join(draft, "module"), { recursive: true });
    renameSync(draft, folder);
    console.log(`    helm, kube-score: built in ${Math.round((Date.now() - startedAt) / 1000)} s`);
    return undefined;
  } catch (thrown) {
    const { stderr = "", message } = thrown as Error & { stderr?: string };
    return { missing: `helm and kube-score could not be built (${stderr.trim().split("\n").at(-1) || message})` };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function pinned(version: string): string {
  const hash = createHash("sha256").update(`${version}\0${KUBE_SCORE}`);
  for (const name of ["go.mod", "go.sum"]) hash.update(readFileSync(join(helmModule, name)));
  return hash.digest("hex").slice(0, 16);
}

async function goVersion(): Promise<string | Missing> {
  try {
    return (await run("go", ["env", "GOVERSION"], { cwd: tmpdir(), timeout: 30_000 })).stdout.trim();
  } catch {
    return { missing: "go is not in PATH, and helm and kube-score are built with it" };
  }
}
