import { link, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Writes a file whole or not at all: a crash while writing leaves the old one. Makes its folder.
 * @param mode permissions, as 0o600 for a secret; a folder that is made for it is then the owner's alone, too.
 * @throws what the file system throws.
 */
export async function writeWhole(path: string, content: string, mode = 0o644): Promise<void> {
  await beside(path, content, mode, (written) => rename(written, path));
}

/**
 * Writes a file that is never replaced, whoever else writes it at the same time.
 * @returns false if there is one already.
 * @throws what the file system throws.
 */
export async function writeFirst(path: string, content: string, mode = 0o644): Promise<boolean> {
  try {
    await beside(path, content, mode, (written) => link(written, path));
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST") return false;
    throw thrown;
  }
}

/** Writes to a name that nobody else has, in a folder of its own beside `path`, and puts it in its place. */
async function beside(
  path: string,
  content: string,
  mode: number,
  place: (written: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: (mode & 0o077) === 0 ? 0o700 : 0o755 });
  const scratch = await mkdtemp(`${path}.`);
  try {
    const written = join(scratch, "new");
    await writeFile(written, content, { mode });
    await place(written);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
