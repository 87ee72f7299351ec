import { chmod, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { writeFirst } from "../whole-file.ts";

/** Content by file name. */
export type Files = ReadonlyMap<string, string>;

/** @returns those of `names` that are there. @throws MeshError `absent` without such a folder, `invalid` if it cannot be read. */
export async function folderText(folder: string, names: readonly string[]): Promise<Files> {
  const present = new Set(await listing(folder));
  const text = new Map<string, string>();
  for (const name of names)
    if (present.has(name))
      try {
        text.set(name, await readFile(join(folder, name), "utf8"));
      } catch (thrown) {
        throw new MeshError("invalid", `${join(folder, name)} cannot be read: ${messageOf(thrown)}`);
      }
  return text;
}

/** @throws MeshError `conflict` if one of the files is there already; a folder need not be. */
export async function requireNewFiles(folder: string, names: readonly string[]): Promise<void> {
  const taken = (await listing(folder, [])).filter((name) => names.includes(name));
  if (taken.length > 0) throw conflict(folder, taken);
}

const conflict = (folder: string, names: readonly string[]): MeshError =>
  new MeshError("conflict", `${folder} already holds ${names.join(", ")}, which is never replaced; name a new folder`);

/**
 * Writes files in their order where none of them is. Keys are for their owner alone, and so is a folder made here.
 * @throws MeshError `conflict` if one is there already: then nothing is written.
 */
export async function writeNewFiles(folder: string, files: Files): Promise<void> {
  await requireNewFiles(folder, [...files.keys()]);
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    // A umask may have taken more than we did.
    if (made !== undefined) await chmod(folder, 0o700);
    for (const [name, text] of files)
      if (!(await writeFirst(join(folder, name), text, modeOf(name)))) throw conflict(folder, [name]);
  } catch (thrown) {
    if (thrown instanceof MeshError) throw thrown;
    throw new MeshError("unavailable", `${folder} cannot be written: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

/** Secrets are told by their names. */
export const modeOf = (name: string): number => (/key/.test(name) ? 0o600 : 0o644);

async function listing(folder: string, without?: readonly string[]): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") {
      if (without !== undefined) return without;
      throw new MeshError("absent", `there is no folder ${folder}`);
    }
    throw new MeshError("invalid", `${folder} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}
