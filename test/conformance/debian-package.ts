import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { alone } from "./alone.ts";
import type { Missing } from "./machine.ts";

const run = promisify(execFile);
const INSTALL_MS = 240_000;

/** Packages of Debian's that bring `program`, a path, installed if they are not and we may. */
export async function debianPackage(program: string, ...packages: readonly string[]): Promise<true | Missing> {
  if (existsSync(program)) return true;
  const words = packages.join(" ");
  if (process.getuid?.() !== 0) return { missing: `${program}, which only root can install: apt-get install ${words}` };
  const options = { timeout: INSTALL_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  try {
    // One that is at it fails the other.
    await alone(join(tmpdir(), "causeway-apt-get.lock"), async () => {
      await run("apt-get", ["update", "-qq"], options);
      await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], options);
    });
  } catch (thrown) {
    return { missing: `${words}: apt-get cannot install it: ${(thrown as Error).message.slice(0, 300)}` };
  }
  return existsSync(program) ? true : { missing: `${program}, though apt-get installed ${words}` };
}
