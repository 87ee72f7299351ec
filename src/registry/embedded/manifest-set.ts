import type { Problem } from "../model/problem.ts";
import { type Declared, type DeclaredObjects, kindKey, isClusterWide, problemOf, titleOf } from "./declared.ts";
import { type Manifest, type ManifestFault, parseManifest } from "./manifest.ts";

/** A kind that nothing here reads: no error, since real folders hold much that is not the mesh's business. */
export interface UnknownKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly count: number;
  /** Where the first was read, in the order of files, as `shop/roles.yaml:3`. */
  readonly origin: string;
}

/** What all files of a folder say together. */
export interface Declarations {
  readonly objects: DeclaredObjects;
  readonly problems: readonly Problem[];
  readonly unknownKinds: readonly UnknownKind[];
}

interface File {
  /** What it said last without a fault. */
  readonly good: Manifest | undefined;
  readonly faults: readonly ManifestFault[];
}

/**
 * The files of a folder, and what each last said. A file counts as a whole or not at all: if one of its documents
 * cannot be read, all keep their last good state, so that an ALLOW policy never takes effect without the DENY below it.
 */
export class ManifestSet {
  readonly #files = new Map<string, File>();
  readonly #knows: (kind: string, apiVersion: string) => boolean;

  constructor(knows: (kind: string, apiVersion: string) => boolean) {
    this.#knows = knows;
  }

  /** @param path relative to the folder, with `/`. */
  put(path: string, text: string): void {
    const good = this.#files.get(path)?.good;
    const manifest = parseManifest(text, good);
    const wrong = manifest.faults.length > 0;
    this.#files.set(path, { good: wrong ? good : manifest, faults: manifest.faults });
  }

  /** The file is there but cannot be read. */
  refuse(path: string, reason: string): void {
    const fault = { line: 1, object: "", field: "", reason };
    this.#files.set(path, { good: this.#files.get(path)?.good, faults: [fault] });
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  /** Of two objects with one name, the first in the order of paths and lines counts. */
  declarations(): Declarations {
    const objects = new Map<string, Declared>();
    const problems: Problem[] = [];
    const unknown = new Map<string, UnknownKind>();
    for (const [path, file] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const fault of file.faults) problems.push(faultProblem(path, fault, file.good));
      for (const { object, line } of file.good?.objects ?? []) {
        const declared = { object, origin: `${path}:${line}` };
        const { apiVersion, kind, metadata } = object;
        if (!this.#knows(kind, apiVersion)) {
          const same = `${apiVersion}/${kind}`;
          const { count, origin } = unknown.get(same) ?? { count: 0, origin: declared.origin };
          unknown.set(same, { apiVersion, kind, count: count + 1, origin });
          continue;
        }
        const key = kindKey(kind, isClusterWide(kind) ? "" : (metadata.namespace ?? "default"), metadata.name);
        const winner = objects.get(key);
        if (winner === undefined) objects.set(key, declared);
        else problems.push(duplicateProblem(declared, winner));
      }
    }
    return { objects, problems, unknownKinds: [...unknown.values()] };
  }
}

function faultProblem(path: string, fault: ManifestFault, good: Manifest | undefined): Problem {
  const meanwhile = good
    ? `until that is fixed, the ${good.objects.length} objects that ${path} held before stay as they were`
    : `until that is fixed, nothing in ${path} takes effect`;
  return {
    object: fault.object === "" ? path : fault.object,
    origin: `${path}:${fault.line}`,
    field: fault.field,
    message: `${fault.reason}; ${meanwhile}`,
    severity: "error",
  };
}

function duplicateProblem(declared: Declared, winner: Declared): Problem {
  const message = `${titleOf(declared.object)} is also defined at ${winner.origin}, which counts; remove one of the two`;
  return problemOf(declared, { field: "metadata.name", message, severity: "error" });
}
