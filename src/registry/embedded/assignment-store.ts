import { readFile } from "node:fs/promises";
import { MeshError, messageOf } from "../../errors.ts";
import { writeWhole } from "../../whole-file.ts";
import { isFields, labelsOf } from "./fields.ts";

/** What was handed out, by pool and then by key. */
export type Assignments = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Keeps what was handed out, so that a restart changes nothing for the clients. */
export interface AssignmentStore {
  /** @returns what was saved last; empty at first. @throws MeshError `invalid` if that cannot be read. */
  load(): Promise<Assignments>;
  /** Calls do not overlap. @throws MeshError `unavailable`. */
  save(assignments: Assignments): Promise<void>;
}

/** A store in one JSON file, of one process at a time. */
export class FileAssignmentStore implements AssignmentStore {
  constructor(readonly path: string) {}

  async load(): Promise<Assignments> {
    try {
      const saved: unknown = JSON.parse(await readFile(this.path, "utf8"));
      if (!isFields(saved)) throw new Error("it does not hold a map");
      return Object.fromEntries(Object.entries(saved).map(([pool, entries]) => [pool, labelsOf(entries)]));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
      throw new MeshError("invalid", `the saved addresses in ${this.path} cannot be read: ${messageOf(error)}`);
    }
  }

  async save(assignments: Assignments): Promise<void> {
    try {
      await writeWhole(this.path, JSON.stringify(assignments, undefined, 1));
    } catch (error) {
      throw new MeshError("unavailable", `the addresses cannot be saved in ${this.path}: ${messageOf(error)}`);
    }
  }
}

/** A store that lasts as long as the process. */
export class MemoryAssignmentStore implements AssignmentStore {
  #saved: Assignments = {};

  load(): Promise<Assignments> {
    return Promise.resolve(this.#saved);
  }
  save(assignments: Assignments): Promise<void> {
    this.#saved = structuredClone(assignments);
    return Promise.resolve();
  }
}
