import type { Slice } from "./record-store.ts";
import type { DeltaResponse, Resource, TypeUrl } from "./resource.ts";

/** A response in the making. No name is ever both sent and removed: ztunnel would remove it (pitfall 32). */
export class ResponseDraft {
  readonly #sent = new Set<string>();
  readonly #records: Uint8Array[] = [];
  readonly #removed: string[] = [];
  #resources = 0;
  #recordsBytes = 0;
  #removedBytes = 0;

  get bytes(): number {
    return this.#recordsBytes + this.#removedBytes;
  }
  get empty(): boolean {
    return this.#resources === 0 && this.#removed.length === 0;
  }

  has(name: string): boolean {
    return this.#sent.has(name);
  }
  send({ name, record }: Resource): void {
    this.#sent.add(name);
    this.#records.push(record);
    this.#recordsBytes += record.length;
    this.#resources += 1;
  }
  sendSlice({ bytes, resources }: Slice): void {
    this.#records.push(bytes);
    this.#recordsBytes += bytes.length;
    this.#resources += resources;
  }
  remove(name: string): void {
    this.#removed.push(name);
    this.#removedBytes += name.length;
  }

  finish(typeUrl: TypeUrl, nonce: string): DeltaResponse {
    return {
      typeUrl,
      nonce,
      records: this.#records,
      recordsBytes: this.#recordsBytes,
      resources: this.#resources,
      removed: this.#removed,
    };
  }
}
