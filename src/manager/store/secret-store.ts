import { textsOf } from "../../ca/secret-data.ts";
import { MeshError } from "../../errors.ts";
import { ApiError, type KubeApi, pathOf } from "../../kube/api.ts";
import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import { createObject, getObject, type ObjectAddress, replaceObject } from "../../kube/objects-api.ts";
import { SECRETS } from "../../kube/resource-types.ts";
import { requireDocumentName } from "./document-name.ts";
import type { StoredDocument, TrustStore } from "./store.ts";

/** Tells our documents from Secrets of others: those are never written to. */
export const STORE_LABEL = "trust.causeway.dev/store";
const PAGE_OBJECTS = 100;

/** Documents as Secrets of a namespace, each with our label; the API server's resource version is theirs. */
export class SecretStore implements TrustStore {
  readonly #api: KubeApi;
  readonly #namespace: string;

  constructor(api: KubeApi, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  titleOf(name: string): string {
    return `Secret ${this.#namespace}/${name}`;
  }

  async read(name: string, signal?: AbortSignal): Promise<StoredDocument | undefined> {
    const there = await this.#get(name, signal);
    if (there === undefined) return undefined;
    if (isOurs(there)) return { data: textsOf(this.titleOf(name), there["data"]), version: versionOf(there) };
    throw new MeshError("invalid", this.#foreign(name));
  }

  async write(
    name: string,
    data: ReadonlyMap<string, string>,
    version: string | undefined,
    signal?: AbortSignal,
  ): Promise<string> {
    const there = await this.#get(name, signal);
    if (there !== undefined && !isOurs(there)) throw new MeshError("conflict", this.#foreign(name));
    if ((there && versionOf(there)) !== version) throw this.#conflict(name);
    const encoded = Object.fromEntries([...data].map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
    try {
      const written = there === undefined ? this.#create(name, encoded, signal) : this.#replace(there, encoded, signal);
      return versionOf(await written);
    } catch (thrown) {
      throw thrown instanceof ApiError && thrown.status === 409 ? this.#conflict(name) : this.#failure(name, thrown);
    }
  }

  async remove(name: string, signal?: AbortSignal): Promise<void> {
    const there = await this.#get(name, signal);
    // One of somebody else's is none of ours.
    if (there === undefined || !isOurs(there)) return;
    const { uid } = there.metadata;
    try {
      const path = pathOf(SECRETS, "v1", this.#namespace, name);
      const body = { kind: "DeleteOptions", apiVersion: "v1", ...(uid !== undefined && { preconditions: { uid } }) };
      await this.#api.call({ method: "DELETE", path, body }, signal);
    } catch (thrown) {
      // Who was faster has removed it, or made another one, which is not the one that was to go.
      if (!(thrown instanceof ApiError && (thrown.status === 404 || thrown.status === 409)))
        throw this.#failure(name, thrown);
    }
  }

  async names(prefix: string, signal?: AbortSignal): Promise<readonly string[]> {
    const found: string[] = [];
    let token = "";
    do {
      const page = await this.#page(token, signal);
      found.push(...page.names.filter((name) => name.startsWith(prefix)));
      token = page.token;
    } while (token !== "");
    return found.sort();
  }

  #get(name: string, signal: AbortSignal | undefined): Promise<KubeObject | undefined> {
    requireDocumentName(name);
    return this.#attempt(name, () => getObject(this.#api, this.#address(name), signal));
  }

  #create(name: string, data: object, signal: AbortSignal | undefined): Promise<KubeObject> {
    const metadata = { name, namespace: this.#namespace, labels: { [STORE_LABEL]: "true" } };
    const object = { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data };
    return createObject(this.#api, { type: SECRETS, version: "v1", namespace: this.#namespace }, object, signal);
  }

  /** With the labels and annotations that others gave it; `there` names the version that it must still have. */
  #replace(there: KubeObject, data: object, signal: AbortSignal | undefined): Promise<KubeObject> {
    return replaceObject(this.#api, this.#address(there.metadata.name), { ...there, data }, signal);
  }

  async #page(
    token: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly names: readonly string[]; readonly token: string }> {
    const query = new URLSearchParams({ labelSelector: `${STORE_LABEL}=true`, limit: `${PAGE_OBJECTS}` });
    if (token !== "") query.set("continue", token);
    const path = `${pathOf(SECRETS, "v1", this.#namespace)}?${query.toString()}`;
    const list = await this.#attempt("*", () => this.#api.call({ method: "GET", path }, signal));
    const items = isFields(list) && Array.isArray(list["items"]) ? (list["items"] as readonly unknown[]) : undefined;
    const names = items?.map((item) => (isFields(item) && isFields(item["metadata"]) ? item["metadata"]["name"] : 0));
    if (!isFields(list) || names === undefined || !names.every((name): name is string => typeof name === "string"))
      throw new MeshError("unavailable", `${this.#api.server} did not answer with a list of Secrets`);
    const next = isFields(list["metadata"]) ? list["metadata"]["continue"] : undefined;
    return { names, token: typeof next === "string" && next !== token ? next : "" };
  }

  #address(name: string): ObjectAddress {
    return { type: SECRETS, version: "v1", namespace: this.#namespace, name };
  }

  async #attempt<T>(name: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      throw this.#failure(name, thrown);
    }
  }

  #failure(name: string, thrown: unknown): MeshError {
    const { message, code } = MeshError.from(thrown);
    const rights =
      code === "denied" ? `; allow get, list, create, update and delete of Secrets in ${this.#namespace}` : "";
    const text = `${this.titleOf(name)} cannot be read or written: ${message}${rights}`;
    return new MeshError("unavailable", text, {}, { cause: thrown });
  }

  #foreign(name: string): string {
    return (
      `${this.titleOf(name)} is there without the label ${STORE_LABEL}: "true", so somebody else made it, and it is neither ` +
      "read nor overwritten; delete it or give it another name, or label it if it was ours"
    );
  }

  #conflict(name: string): MeshError {
    return new MeshError("conflict", `${this.titleOf(name)} was changed by somebody else meanwhile`);
  }
}

const isOurs = ({ metadata }: KubeObject): boolean => metadata.labels?.[STORE_LABEL] === "true";

function versionOf({ metadata }: KubeObject): string {
  const version = metadata["resourceVersion"];
  return typeof version === "string" ? version : "";
}
