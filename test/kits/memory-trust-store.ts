import { MeshError } from "../../src/errors.ts";
import type { StoredDocument, TrustStore } from "../../src/manager/store/store.ts";

/** Documents in memory, that a test can take away, and see change under whoever reads them. */
export class MemoryTrustStore implements TrustStore {
  readonly documents = new Map<string, StoredDocument>();
  /** Why it cannot be asked; undefined while it can. */
  away: string | undefined;
  /** Called before each write: somebody else may be faster. */
  beforeWrite: () => void = () => {};
  #versions = 0;

  titleOf(name: string): string {
    return `document ${name}`;
  }
  async read(name: string): Promise<StoredDocument | undefined> {
    await Promise.resolve();
    this.#there();
    return this.documents.get(name);
  }
  async write(name: string, data: ReadonlyMap<string, string>, version: string | undefined): Promise<string> {
    await Promise.resolve();
    this.#there();
    this.beforeWrite();
    if (this.documents.get(name)?.version !== version) throw new MeshError("conflict", `${name} was changed meanwhile`);
    return this.put(name, data);
  }
  async remove(name: string): Promise<void> {
    await Promise.resolve();
    this.#there();
    this.documents.delete(name);
  }
  async names(prefix: string): Promise<readonly string[]> {
    await Promise.resolve();
    this.#there();
    return [...this.documents.keys()].filter((name) => name.startsWith(prefix)).sort();
  }

  /** As somebody else writes it. */
  put(name: string, data: ReadonlyMap<string, string>): string {
    this.#versions += 1;
    const version = `${this.#versions}`;
    this.documents.set(name, { data: new Map(data), version });
    return version;
  }

  #there(): void {
    if (this.away !== undefined) throw new MeshError("unavailable", this.away);
  }
}
