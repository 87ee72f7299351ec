import type { Command, CommandCall } from "../command.ts";
import { MeshError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { fetchAdmin, PLANE_FLAGS } from "./admin-client.ts";
import { OUTPUT_FLAG, print } from "./output.ts";

interface Versions {
  readonly clientVersion: { readonly version: string };
  /** What `/version` says; left out if no control plane can be reached. */
  readonly controlPlaneVersion?: unknown;
}

/** The version of this program, and of the control plane if there is one to ask. */
export const versionCommand: Command = {
  name: "version",
  summary: "the version of this program, and of the control plane if it can be reached",
  flags: [OUTPUT_FLAG, ...PLANE_FLAGS],
  async run(call) {
    const server = await serverVersion(call);
    const versions: Versions = { clientVersion: { version: VERSION }, ...(server && { controlPlaneVersion: server }) };
    print(call, versions, ["COMPONENT", "VERSION"], () => [
      ["client", VERSION],
      ["control plane", server === undefined ? "not reached" : String(server.version)],
    ]);
    return 0;
  },
};

/** Undefined if nobody answers, unless the user said who should. */
async function serverVersion(call: CommandCall): Promise<{ readonly version?: unknown } | undefined> {
  try {
    return (await fetchAdmin(call, "/version")) as { readonly version?: unknown };
  } catch (thrown) {
    if (!saysWhom(call) && thrown instanceof MeshError) return undefined;
    throw thrown;
  }
}

const saysWhom = ({ options }: CommandCall): boolean =>
  ["admin", "context", "contexts"].some((name) => options[name] !== undefined);
