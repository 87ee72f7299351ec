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
const KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0";
/** Of whose definitions what we make of Gateways is held to; those of ./crds say little of what is inside. */
const GATEWAY_API = "sigs.k8s.io/gateway-api@v1.5.1";
const cache = join(root, "node_modules", ".cache", "causeway-chart-tools");
const run = promisify(execFile);
/** About two minutes of CPU on a machine that has built nothing but test/kubeapi before. */
export const TOOLS_MS = 15 * 60_000;

/** Paths of programs, for those who write charts. */
export interface ChartTools {
  readonly helm: string;
  readonly kubeScore: string;
  readonly kubeconform: string;
  /** A folder with the CustomResourceDefinitions of the Gateway API's standard channel. */
  readonly gatewayApi: string;
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
  const at = (name: string): string => join(folder, name);
  return {
    ...{ helm: at("helm"), kubeScore: at("kube-score"), kubeconform: at("kubeconform") },
    gatewayApi: at("gateway-api"),
  };
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
    const outside = { ...at, cwd: tmpdir() };
    for (const tool of [KUBE_SCORE, KUBECONFORM]) await run("go", ["install", ...flags, tool], outside);
    const { stdout } = await run("go", ["mod", "download", "-json", GATEWAY_API], outside);
    const { Dir: module } = JSON.parse(stdout) as { Dir: string };
    cpSync(join(module, "config", "crd", "standard"), join(draft, "gateway-api"), { recursive: true });
    rmSync(join(draft, "module"), { recursive: true });
    renameSync(draft, folder);
    console.log(`    helm, kube-score, kubeconform: built in ${Math.round((Date.now() - startedAt) / 1000)} s`);
    return undefined;
  } catch (thrown) {
    const { stderr = "", message } = thrown as Error & { stderr?: string };
    return {
      missing: `helm, kube-score and kubeconform could not be built (${stderr.trim().split("\n").at(-1) || message})`,
    };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function pinned(version: string): string {
  const hash = createHash("sha256").update([version, KUBE_SCORE, KUBECONFORM, GATEWAY_API].join("\0"));
  for (const name of ["go.mod", "go.sum"]) hash.update(readFileSync(join(helmModule, name)));
  return hash.digest("hex").slice(0, 16);
}

async function goVersion(): Promise<string | Missing> {
  try {
    return (await run("go", ["env", "GOVERSION"], { cwd: tmpdir(), timeout: 30_000 })).stdout.trim();
  } catch {
    return { missing: "go is not in PATH, and helm, kube-score and kubeconform are built with it" };
  }
}
