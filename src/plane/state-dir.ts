import { access, constants, mkdir } from "node:fs/promises";
import { MeshError, messageOf } from "../errors.ts";

/** Before anything else finds out, each in words of its own. @throws MeshError `unavailable`, naming the folder. */
export async function openStateDir(stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true });
    await access(stateDir, constants.W_OK);
  } catch (thrown) {
    const what = `the state folder ${stateDir} cannot be written (${messageOf(thrown)})`;
    throw new MeshError("unavailable", `${what}; choose another with --state`, {}, { cause: thrown });
  }
}
