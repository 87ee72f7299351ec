import { hash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../../errors.ts";
import { writeFirst } from "../../whole-file.ts";
import type { StoredDocument, TrustStore } from "./store.ts";
import { requireDocumentName } from "./document-name.ts";

/** As `relay-tls-signing-secret.3.json`: the document, and the how-manieth text of it this is. */
const FILE = /^([a-z0-9][a-z0-9.-]*)\.([1-9]\d{0,14})\.json$/;
const RENEWED = (name: string, edition: number): string => `${name}.${edition}.json`;

/** One text of a document. */
interface Edition {
  readonly number: number;
  readonly file: string;
}

/**
 * Documents as files of a folder: each is one JSON object of texts, mode 0600, in a folder of mode 0700. A file is never
 * changed: a new text is a new file with the next number, which only one of several writers can make, in whatever process
 * it is. Then the one before goes. Of two that a crash left, the higher number counts.
 */
export class FolderStore implements TrustStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  titleOf(name: string): string {
    return join(this.#folder, `${name}.*.json`);
  }

  async read(name: string): Promise<StoredDocument | undefined> {
    requireDocumentName(name);
    // What is renewed between the listing and the reading is there under its next number.
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const newest = (await this.#editions(name)).at(-1);
      if (newest === undefined) return undefined;
      const text = await this.#text(newest.file);
      if (text !== undefined) return { data: this.#parsed(newest.file, text), version: versionOf(newest.number, text) };
    }
    throw new MeshError("unavailable", `${this.titleOf(name)} changes faster than it can be read`);
  }

  async write(name: string, data: ReadonlyMap<string, string>, version: string | undefined): Promise<string> {
    const there = await this.read(name);
    if (there?.version !== version) throw this.#conflict(name);
    const number = there === undefined ? 1 : numberOf(there.version) + 1;
    const text = `${JSON.stringify(Object.fromEntries(data), undefined, 2)}\n`;
    if (!(await this.#make(RENEWED(name, number), text))) throw this.#conflict(name);
    const editions = await this.#editions(name);
    // Whoever took long here may have made a number that others have left behind them: what counts is theirs.
    if (editions.at(-1)?.number !== number) {
      await this.#remove(RENEWED(name, number));
      throw this.#conflict(name);
    }
    for (const { file } of editions.slice(0, -1)) await this.#remove(file);
    return versionOf(number, text);
  }

  async remove(name: string): Promise<void> {
    requireDocumentName(name);
    // The highest last: one that was left behind must not count again.
    for (const { file } of await this.#editions(name)) await this.#remove(file);
  }

  async names(prefix: string): Promise<readonly string[]> {
    const names = (await this.#listing()).map((file) => FILE.exec(file)?.[1]);
    return [...new Set(names.filter((name) => name?.startsWith(prefix)))].sort() as string[];
  }

  /** The lowest number first. */
  async #editions(name: string): Promise<readonly Edition[]> {
    const found = (await this.#listing()).flatMap((file) => {
      const [, of, number] = FILE.exec(file) ?? [];
      return of === name ? [{ file, number: Number(number) }] : [];
    });
    return found.sort((a, b) => a.number - b.number);
  }

  async #listing(): Promise<readonly string[]> {
    try {
      return await readdir(this.#folder);
    } catch (thrown) {
      if (isMissing(thrown)) return [];
      throw this.#unavailable("read", thrown);
    }
  }

  /** Undefined if it has gone. */
  async #text(file: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.#folder, file), "utf8");
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      throw this.#unavailable("read", thrown);
    }
  }

  /** @returns false if somebody else made it. */
  async #make(file: string, text: string): Promise<boolean> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      return await writeFirst(join(this.#folder, file), text, 0o600);
    } catch (thrown) {
      throw this.#unavailable("written", thrown);
    }
  }

  async #remove(file: string): Promise<void> {
    try {
      await rm(join(this.#folder, file), { force: true });
    } catch (thrown) {
      throw this.#unavailable("written", thrown);
    }
  }

  #parsed(file: string, text: string): ReadonlyMap<string, string> {
    const whole = parsedJson(text);
    const isDocument = typeof whole === "object" && whole !== null && !Array.isArray(whole);
    const entries: readonly [string, unknown][] = isDocument ? Object.entries(whole) : [];
    const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === "string");
    if (isDocument && texts.length === entries.length) return new Map(texts);
    throw new MeshError(
      "invalid",
      `${join(this.#folder, file)} is no JSON object of texts; restore it from a backup, or move it away to have a new one made`,
    );
  }

  #conflict(name: string): MeshError {
    return new MeshError("conflict", `${this.titleOf(name)} was changed by somebody else meanwhile`);
  }

  #unavailable(done: "read" | "written", thrown: unknown): MeshError {
    const why = `${this.#folder} cannot be ${done}: ${messageOf(thrown)}; let the user that runs us own it`;
    return new MeshError("unavailable", why, {}, { cause: thrown });
  }
}

const ATTEMPTS_MAX = 16;

const versionOf = (number: number, text: string): string => `${number}-${hash("sha256", text, "base64url")}`;
const numberOf = (version: string): number => Number.parseInt(version, 10);

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
