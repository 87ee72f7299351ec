import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Piece } from "./report-source.ts";

const FILES_MAX = 5_000;
const FILE_BYTES_MAX = 10 * 1024 * 1024;

/** Every manifest as it was written: what makes a cluster of them anew is more than what facts keep. */
export async function* manifestPieces(folder: string, place: string): AsyncIterable<Piece> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && /\.(?:ya?ml|json)$/i.test(entry.name) && !/^[.#]/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of files.sort().slice(0, FILES_MAX)) {
      const at = `${place}/${relative(folder, path).split(sep).join("/")}`;
      const { size } = await stat(path);
      if (size > FILE_BYTES_MAX) yield { path: at, why: `it is larger than ${FILE_BYTES_MAX >> 20} MiB` };
      else yield { path: at, text: await readFile(path, "utf8") };
    }
  } catch (thrown) {
    yield { path: place, why: `the manifests in ${folder} cannot be read: ${messageOf(thrown)}` };
  }
}
