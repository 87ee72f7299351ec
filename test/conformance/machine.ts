import { accessSync, constants } from "node:fs";
import { execFileSync } from "node:child_process";
import type { Context } from "mocha";

/** What a conformance test needs of the machine and did not find; the test is skipped and says so. */
export interface Missing {
  readonly missing: string;
}

/** Skips what a hook or a test begins, and says why, if any of these is missing. */
export function skipWithout(context: Context, suite: string, ...found: readonly (string | true | Missing)[]): void {
  for (const one of found)
    if (typeof one === "object") {
      console.log(`    ${suite}: skipped; ${one.missing}`);
      context.skip();
    }
}

/** The stock ztunnel to run against: nobody's binary is kept here, so its path is given. */
export function ztunnelBinary(environment: NodeJS.ProcessEnv): string | Missing {
  const path = environment["ZTUNNEL"];
  if (path === undefined) return { missing: "ZTUNNEL is not set to the path of an unmodified ztunnel 1.31 binary" };
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return { missing: `ZTUNNEL=${path} is not an executable file` };
  }
}

/** A network namespace of our own: two ztunnels on one machine need one each, as their ports are fixed. */
export function networkNamespaces(): true | Missing {
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
    execFileSync("ip", ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return { missing: "network namespaces: run as root on Linux with iproute2 (`ip`) and `unshare`" };
  }
}

/** What users apply their objects with. */
export function kubectl(): true | Missing {
  try {
    execFileSync("kubectl", ["version", "--client"], { stdio: "ignore" });
    return true;
  } catch {
    return { missing: "kubectl is not in PATH" };
  }
}
