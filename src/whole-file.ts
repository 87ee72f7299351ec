import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file whole or not at all: a crash while writing leaves the old one. Makes its folder. Calls for one path must
 * not overlap.
 * @param mode permissions, as 0o600 for a secret; the folder is then the owner's alone, too.
 * @throws what the file system throws.
 */
export async function writeWhole(path: string, content: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: mode & 0o077 ? 0o755 : 0o700 });
  await writeFile(`${path}.new`, content, { mode });
  await rename(`${path}.new`, path);
}
