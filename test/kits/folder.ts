import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A folder with these files, gone once it is disposed. */
export async function folderOf(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { at(name: string): string; readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "causeway-test-"));
  const at = (name: string): string => join(path, name);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(at(name)), { recursive: true });
    await writeFile(at(name), text);
  }
  return { path, at, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
