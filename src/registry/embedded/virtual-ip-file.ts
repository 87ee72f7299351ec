import { readFile } from "node:fs/promises";
import { messageOf } from "../../errors.ts";
import type { Host } from "../../host.ts";
import type { ServiceName } from "../../names.ts";
import { writeWhole } from "../../whole-file.ts";
import type { VirtualIpStore } from "../virtual-ips.ts";
import { isFields } from "./fields.ts";

/** Keeps allocated addresses in one JSON file, of one process at a time. */
export class FileVirtualIpStore implements VirtualIpStore {
  readonly #host: Host;
  readonly #path: string;
  readonly #loaded: ReadonlyMap<ServiceName, number>;
  #unsaved: ReadonlyMap<ServiceName, number> | undefined;
  #saving: Promise<void> | undefined;

  private constructor(host: Host, path: string, loaded: ReadonlyMap<ServiceName, number>) {
    this.#host = host;
    this.#path = path;
    this.#loaded = loaded;
  }

  /** A file that cannot be read is no reason not to start: the hash brings nearly every host back to its address. */
  static async open(host: Host, path: string): Promise<FileVirtualIpStore> {
    try {
      return new FileVirtualIpStore(host, path, slotsIn(await readFile(path, "utf8")));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT"))
        host.log
          .scope("registry")
          .warn(`the saved virtual addresses in ${path} cannot be read: ${messageOf(error)}; starting without them`);
      return new FileVirtualIpStore(host, path, new Map());
    }
  }

  load(): ReadonlyMap<ServiceName, number> {
    return this.#loaded;
  }

  save(slots: ReadonlyMap<ServiceName, number>): void {
    this.#unsaved = slots;
    this.#saving ??= this.#saveAll().finally(() => (this.#saving = undefined));
  }

  /** Waits for what is being saved. */
  async close(): Promise<void> {
    await this.#saving;
  }

  async #saveAll(): Promise<void> {
    for (let slots = this.#unsaved; slots !== undefined; slots = this.#unsaved) {
      this.#unsaved = undefined;
      try {
        await writeWhole(this.#path, `${JSON.stringify(Object.fromEntries(slots), undefined, 1)}\n`);
      } catch (error) {
        const consequence = "after a restart some hosts may have others";
        this.#host.log
          .scope("registry")
          .warn(`virtual addresses cannot be saved in ${this.#path}: ${messageOf(error)}; ${consequence}`);
      }
    }
  }
}

function slotsIn(text: string): ReadonlyMap<ServiceName, number> {
  const saved: unknown = JSON.parse(text);
  if (!isFields(saved)) throw new Error("it does not hold a map");
  return new Map(
    Object.entries(saved).flatMap(([name, slot]) => (typeof slot === "number" ? [[name as ServiceName, slot]] : [])),
  );
}
