import {
  mergedRoots,
  type RememberedRoot,
  readRoots,
  type RootMemory,
  shapeOf,
  writeRoots,
} from "../ca/remembered-roots.ts";
import { messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { createObject, replaceObject } from "../kube/objects-api.ts";
import { SECRETS } from "../kube/resource-types.ts";

/** A Secret, though nothing in it is secret: whoever could write it could have a root trusted again that was taken out. */
export const ROOT_MEMORY_SECRET = "causeway-roots";
const KEY = "roots.json";

/** What is known of roots, for all replicas: each writes what it sees, and takes over when another saw it first. */
export class RootMemorySecret implements RootMemory {
  readonly #api: KubeApi;
  readonly #namespace: string;
  readonly #log: Logger;
  #object: KubeObject | "absent" = "absent";
  #pending: readonly RememberedRoot[] | undefined;
  #trouble = "";

  constructor(host: Host, api: KubeApi, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
    this.#log = host.log.scope("ca");
  }

  /** Why the last attempt to write failed; empty if it did not. */
  get trouble(): string {
    return this.#trouble;
  }

  /** True if there is something to write. */
  get due(): boolean {
    return this.#pending !== undefined;
  }

  get remembered(): readonly RememberedRoot[] | undefined {
    const text = this.#text();
    if (text === undefined) return undefined;
    try {
      return readRoots(text);
    } catch (thrown) {
      this.#complain(
        `Secret ${this.#namespace}/${ROOT_MEMORY_SECRET}/${KEY}: ${messageOf(thrown)}; it is written anew`,
      );
      return undefined;
    }
  }

  /** What the API server has. */
  found(object: KubeObject | "absent"): void {
    this.#object = object;
  }

  remember(roots: readonly RememberedRoot[]): void {
    this.#pending = roots;
  }

  /** Writes what is due. Never rejects: what could not be written stays due. */
  async write(): Promise<void> {
    const roots = this.#pending;
    if (roots === undefined) return;
    const known = this.remembered ?? [];
    const merged = mergedRoots(known, roots);
    try {
      if (shapeOf(merged) !== shapeOf(known)) this.#object = await this.#put(writeRoots(merged));
      if (this.#pending === roots) this.#pending = undefined;
      this.#trouble = "";
    } catch (thrown) {
      // Another replica was faster: what it wrote is seen, and merged, at the next try.
      if (thrown instanceof ApiError && thrown.status === 409) return;
      this.#complain(
        `Secret ${this.#namespace}/${ROOT_MEMORY_SECRET} cannot be written, so a restart forgets which roots are new: ` +
          `${messageOf(thrown)}; grant create and update on it`,
      );
    }
  }

  #put(text: string): Promise<KubeObject> {
    const at = { type: SECRETS, version: "v1", namespace: this.#namespace, name: ROOT_MEMORY_SECRET };
    const data = { [KEY]: Buffer.from(text).toString("base64") };
    if (this.#object !== "absent") return replaceObject(this.#api, at, { ...this.#object, data });
    const metadata = { name: ROOT_MEMORY_SECRET, namespace: this.#namespace };
    return createObject(this.#api, at, { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data });
  }

  #text(): string | undefined {
    if (this.#object === "absent") return undefined;
    const { data } = this.#object;
    const base64 = isFields(data) ? data[KEY] : undefined;
    return typeof base64 === "string" ? Buffer.from(base64, "base64").toString("utf8") : "";
  }

  #complain(trouble: string): void {
    if (trouble !== this.#trouble) this.#log.warn(trouble);
    this.#trouble = trouble;
  }
}
