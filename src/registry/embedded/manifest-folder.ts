import { readFile, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import { MeshError, messageOf } from "../../errors.ts";
import type { Clock } from "../../host.ts";
import { DirtyPaths } from "./dirty-paths.ts";

/** One file's step. Paths are relative to the folder, with `/`. */
export type FileChange =
  | { readonly path: string; readonly is: "text"; readonly text: string }
  | { readonly path: string; readonly is: "unreadable"; readonly reason: string }
  | { readonly path: string; readonly is: "gone" };

export interface FolderListener {
  changed(changes: readonly FileChange[]): void;
  /** The folder can no longer be watched: what is known stays, but edits may go unnoticed. */
  trouble(reason: string): void;
}

/** Larger files are not read. */
export const FILE_BYTES_MAX = 10 * 1024 * 1024;

/** chokidar reports the removal of one path at most once in 100 ms: whatever it kept back lies before this. */
const REARM_MS = 150;
const LOOKS_AFTER_UNLINK = 4;

/** The manifests in a folder, at any depth, and each change to them as it is saved. */
export class ManifestFolder {
  readonly #folder: string;
  readonly #listener: FolderListener;
  readonly #dirty: DirtyPaths;
  /** What was reported last, by path: how it looked, so that a second look costs no reading. */
  readonly #seen = new Map<string, string>();
  readonly #clock: Clock;
  #root = "";
  #rearmTimer: Disposable | undefined;
  #watcher: FSWatcher | undefined;
  #closed = false;

  constructor(clock: Clock, folder: string, listener: FolderListener) {
    this.#clock = clock;
    this.#folder = folder;
    this.#listener = listener;
    this.#dirty = new DirtyPaths(clock, (paths, again) => this.#look(paths, again));
  }

  /**
   * @returns the files there are, unreadable ones included; from then on the listener hears of changes.
   * @throws MeshError `absent` or `denied` if the folder is not there or cannot be read.
   */
  async start(): Promise<readonly FileChange[]> {
    try {
      this.#root = await realpath(this.#folder);
      if (!(await stat(this.#root)).isDirectory())
        throw new MeshError("invalid", `${this.#folder} is a file; name the folder that it is in`);
      await readdir(this.#root);
    } catch (error) {
      throw folderError(this.#folder, error);
    }
    // Watch before looking, so that nothing changes unseen in between.
    await this.#watch();
    return this.#changesOf(await this.#walk(""), true);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#dirty.close();
    this.#rearmTimer?.[Symbol.dispose]();
    await this.#watcher?.close();
  }

  async #watch(): Promise<void> {
    const watcher = watch(this.#root, {
      ignoreInitial: true,
      // We look twice ourselves, and sooner.
      atomic: false,
      followSymlinks: false,
      ignored: (path, stats) => isIgnored(relative(this.#root, path), stats?.isFile() ?? false),
    });
    await this.#use(watcher, (event, path) => {
      const changed = this.#pathOf(path);
      if (event === "unlinkDir") {
        for (const seen of this.#seen.keys()) if (isWithin(seen, changed)) this.#dirty.mark(seen);
        this.#rearmTimer?.[Symbol.dispose]();
        this.#rearmTimer = this.#clock.after(REARM_MS, () => void this.#rearm());
      } else if (event === "addDir") void this.#markAll(changed);
      else this.#dirty.mark(changed, event === "unlink" ? LOOKS_AFTER_UNLINK : undefined);
    });
  }

  /** Watches anew after a folder went, and looks at everything, since a folder that came back may have gone unnoticed. */
  async #rearm(): Promise<void> {
    await this.#watcher?.close();
    if (this.#closed) return;
    if (!(await exists(this.#root))) return this.#awaitReturn();
    await this.#watch();
    for (const seen of this.#seen.keys()) this.#dirty.mark(seen);
    await this.#markAll("");
  }

  /** The folder itself is gone: watches for its return from the nearest folder above that is left. */
  async #awaitReturn(): Promise<void> {
    let above = this.#root;
    let next = above;
    do [above, next] = [dirname(above), above];
    while (above !== dirname(above) && !(await exists(above)));
    const watcher = watch(above, {
      ignoreInitial: true,
      depth: 0,
      followSymlinks: false,
      ignored: (path) => path !== above && path !== next,
    });
    let returning = false;
    const check = async (): Promise<void> => {
      if (returning || this.#closed || ((await exists(above)) && !(await exists(next)))) return;
      returning = true;
      await this.#rearm();
    };
    await this.#use(watcher, () => void check());
    await check();
  }

  async #use(watcher: FSWatcher, hear: (event: string, path: string) => void): Promise<void> {
    this.#watcher = watcher;
    watcher.on("all", hear);
    watcher.on("error", (error) => this.#listener.trouble(watchTrouble(this.#folder, error)));
    await new Promise<void>((resolve) => watcher.once("ready", resolve));
    if (this.#closed) await watcher.close();
  }

  async #markAll(path: string): Promise<void> {
    for (const found of await this.#walk(path)) this.#dirty.mark(found);
  }

  /** Every manifest under a folder, and every folder there that cannot be listed: looking at it says why. */
  async #walk(path: string): Promise<readonly string[]> {
    try {
      const entries = await readdir(join(this.#root, path), { withFileTypes: true });
      const found = await Promise.all(
        entries.map(async (entry) => {
          const at = path === "" ? entry.name : `${path}/${entry.name}`;
          if (isIgnored(at, !entry.isDirectory())) return [];
          return entry.isDirectory() ? this.#walk(at) : [at];
        }),
      );
      return found.flat();
    } catch (error) {
      return isAbsence(error) ? [] : [path];
    }
  }

  async #look(paths: readonly string[], again: boolean): Promise<void> {
    const changes = await this.#changesOf(paths, again);
    if (changes.length > 0 && !this.#closed) this.#listener.changed(changes);
  }

  /** @param again true if what is gone, or empty, is to be believed: an editor may be about to write it anew. */
  async #changesOf(paths: readonly string[], again: boolean): Promise<readonly FileChange[]> {
    const changes: FileChange[] = [];
    for (const path of paths) {
      const change = await this.#changeOf(path, again);
      if (change) changes.push(change);
    }
    return changes;
  }

  async #changeOf(path: string, again: boolean): Promise<FileChange | undefined> {
    const before = this.#seen.get(path);
    const now = await look(this.#root, path, before);
    if (now === undefined || (now.change.is === "gone" && before === undefined)) return undefined;
    const passing = now.change.is === "gone" || (now.change.is === "text" && now.change.text === "");
    if (passing && before !== undefined && !again) return undefined;
    if (now.change.is === "gone") this.#seen.delete(path);
    else this.#seen.set(path, now.appearance);
    return now.change;
  }

  #pathOf(path: string): string {
    return relative(this.#root, path).split(sep).join("/");
  }
}

/** @returns undefined if it looks as it did `before`. */
async function look(root: string, path: string, before: string | undefined): Promise<Look | undefined> {
  const unreadable = (appearance: string, reason: string): Look | undefined =>
    appearance === before ? undefined : { appearance, change: { path, is: "unreadable", reason } };
  try {
    const target = await realpath(join(root, path));
    if (!target.startsWith(root + sep))
      return unreadable("outside", "it is a link that leads out of the folder; copy the file here instead");
    const { ino, mtimeNs, size } = await stat(target, { bigint: true });
    const appearance = `${ino} ${mtimeNs} ${size}`;
    if (appearance === before) return undefined;
    if (size > FILE_BYTES_MAX)
      return unreadable(appearance, `it is larger than ${FILE_BYTES_MAX >> 20} MiB; split it into several files`);
    const text = decode(await readFile(target));
    if (text === undefined) return unreadable(appearance, "it is not UTF-8; save it in that encoding");
    return { appearance, change: { path, is: "text", text } };
  } catch (error) {
    if (isAbsence(error)) return { appearance: "", change: { path, is: "gone" } };
    return unreadable(messageOf(error), `it cannot be read (${reasonOf(error)})`);
  }
}

interface Look {
  readonly appearance: string;
  readonly change: FileChange;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Hidden files and folders, what editors leave behind while they save, and files that are no manifests. */
function isIgnored(path: string, isFile: boolean): boolean {
  if (path === "") return false;
  if (path.split(/[/\\]/).some((part) => /^[.#]/.test(part))) return true;
  return isFile && !/\.(ya?ml|json)$/i.test(basename(path));
}

const isWithin = (path: string, folder: string): boolean => folder === "" || path.startsWith(`${folder}/`);

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);
const isAbsence = (error: unknown): boolean => codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
const isDenial = (error: unknown): boolean => codeOf(error) === "EACCES" || codeOf(error) === "EPERM";
const reasonOf = (error: unknown): string => (isDenial(error) ? "permission denied" : messageOf(error));

function folderError(folder: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  if (isAbsence(error))
    return new MeshError("absent", `the manifest folder ${folder} does not exist; create it or name another one`);
  const code = isDenial(error) ? "denied" : "unavailable";
  return new MeshError(code, `the manifest folder ${folder} cannot be read: ${reasonOf(error)}`);
}

function watchTrouble(folder: string, error: unknown): string {
  const fix = codeOf(error) === "ENOSPC" || codeOf(error) === "EMFILE" ? "; raise fs.inotify.max_user_watches" : "";
  return `edits in ${folder} may go unnoticed until the next start: ${messageOf(error)}${fix}`;
}
