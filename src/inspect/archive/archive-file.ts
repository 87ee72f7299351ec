import { chmod, link, mkdtemp, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { create, extract } from "tar";
import { MeshError, messageOf } from "../../errors.ts";

/** Of what an archive unpacks to: what is larger is none of ours. */
const UNPACKED_BYTES_MAX = 2 * 1024 * 1024 * 1024;
const ENTRIES_MAX = 200_000;

/**
 * Packs a folder into a file that only its owner may read, and that is there whole or not at all.
 * @throws MeshError `conflict` if there is such a file already, `unavailable` if it cannot be written; both name it.
 */
export async function packFolder(folder: string, file: string): Promise<{ readonly bytes: number }> {
  const scratch = await mkdtemp(`${resolve(file)}.`).catch((thrown: unknown) => {
    throw unwritable(file, thrown);
  });
  const packed = join(scratch, "archive");
  try {
    const prefix = basename(file).replace(/\.tar\.gz$|\.tgz$/, "");
    await create({ gzip: true, cwd: folder, file: packed, portable: true, prefix }, ["."]);
    await chmod(packed, 0o600);
    await link(packed, file);
    return { bytes: (await stat(packed)).size };
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")
      throw new MeshError("conflict", `${file} is there already: name another file with --file`);
    throw unwritable(file, thrown);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Unpacks what `packFolder` packed into an empty folder. Only plain files and folders below it are made, within bounds.
 * @returns the folder that the archive's files are in.
 * @throws MeshError `absent` or `invalid`, naming the file.
 */
export async function unpackArchive(file: string, folder: string): Promise<string> {
  let [bytes, entries, top] = [0, 0, ""];
  const refused: string[] = [];
  try {
    await extract({
      file,
      cwd: folder,
      strict: true,
      filter: (path, entry) => {
        const type = "type" in entry ? entry.type : "File";
        entries++;
        bytes += entry.size ?? 0;
        const plain = type === "File" || type === "Directory" || type === "OldFile";
        if (!plain || entries > ENTRIES_MAX || bytes > UNPACKED_BYTES_MAX) refused.push(path);
        top ||= path.split("/")[0] ?? "";
        return refused.length === 0;
      },
    });
  } catch (thrown) {
    const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    if (absent) throw new MeshError("absent", `there is no file ${file}`);
    throw new MeshError("invalid", `${file} is no archive that causeway bug-report wrote: ${messageOf(thrown)}`);
  }
  if (refused.length > 0)
    throw new MeshError("invalid", `${file} holds ${refused[0]!}, which no bug report does, or is far too large`);
  if (top === "") throw new MeshError("invalid", `${file} is empty: make another one with causeway bug-report`);
  return join(folder, top);
}

const unwritable = (file: string, thrown: unknown): MeshError =>
  new MeshError("unavailable", `${file} cannot be written in ${dirname(resolve(file))}: ${messageOf(thrown)}`);
