import { MeshError } from "../errors.ts";
import { isFields } from "./fields.ts";
import { isResourceVersion, type Identified, type Mirror } from "./mirror.ts";

/** Four times the largest cluster that Kubernetes supports has pods: more is a server gone wrong. */
const OBJECTS_MAX = 1_000_000;
const PAGES_MAX = 4_000;
/** Pages before the last one are full, however many objects a selector leaves out. */
const EMPTY_PAGES_MAX = 10;

/**
 * One paged list, page by page. Whatever is wrong with a page fails the whole list, since what it hides would look
 * deleted (contract operations.md 4.4 no. 23).
 */
export class PagedList {
  readonly #mirror: Mirror;
  readonly #tokens = new Set<string>();
  readonly #uids = new Set<string>();
  readonly #keys = new Set<string>();
  #pages = 0;
  #emptyPages = 0;
  #resourceVersion: string | undefined;
  #continue = "";

  constructor(mirror: Mirror) {
    this.#mirror = mirror;
  }

  /** What it has so far. */
  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  /** Asks for the next page; empty for the first. */
  get continue(): string {
    return this.#continue;
  }

  /**
   * Takes the next page, all of it or nothing.
   * @returns the version of the list if this was its last page.
   * @throws MeshError `invalid`
   */
  page(body: unknown): string | undefined {
    const { items, resourceVersion, token } = readPage(body);
    const objects = items.map((item, at) => this.#check(item, at));
    this.#pages += 1;
    if (items.length === 0 && ++this.#emptyPages > EMPTY_PAGES_MAX)
      throw new MeshError("invalid", `has more than ${EMPTY_PAGES_MAX} empty pages: it would never end`);
    // A first page that is older than the others only makes the watch repeat some of what they brought.
    this.#resourceVersion ??= resourceVersion;
    if (this.#keys.size > OBJECTS_MAX || this.#pages > PAGES_MAX)
      throw new MeshError("exhausted", `has more than ${OBJECTS_MAX} objects or ${PAGES_MAX} pages`);
    if (this.#tokens.has(token)) throw new MeshError("invalid", "gave one continue token twice: it would never end");
    if (token !== "") this.#tokens.add(token);
    for (const object of objects) this.#mirror.set(object);
    this.#continue = token;
    return token === "" ? this.#resourceVersion : undefined;
  }

  #check(item: unknown, at: number): Identified {
    const object = this.#mirror.identify(item);
    const where = `has on page ${this.#pages + 1} an item (${at})`;
    if (!object) throw new MeshError("invalid", `${where} that is no object of this kind with a name`);
    if (this.#keys.has(object.key)) throw new MeshError("invalid", `${where} that was listed before: ${object.key}`);
    if (object.uid !== undefined && this.#uids.has(object.uid))
      throw new MeshError("invalid", `${where} with the uid of another one: ${object.key}`);
    this.#keys.add(object.key);
    if (object.uid !== undefined) this.#uids.add(object.uid);
    return object;
  }
}

/** @throws MeshError `invalid`: an answer that is not clearly a list must not read as an empty one. */
function readPage(body: unknown): { readonly items: readonly unknown[]; resourceVersion: string; token: string } {
  const wrong = (what: string) => new MeshError("invalid", `is no list of Kubernetes: ${what}`);
  if (!isFields(body) || typeof body["kind"] !== "string" || !body["kind"].endsWith("List"))
    throw wrong("its kind is no List");
  const { items, metadata } = body;
  if (items !== null && !Array.isArray(items)) throw wrong("it has no items");
  if (!isFields(metadata) || !isResourceVersion(metadata["resourceVersion"]))
    throw wrong("its resourceVersion is not one to watch from");
  const token = metadata["continue"] ?? "";
  if (typeof token !== "string") throw wrong("its continue token is no text");
  return { items: items ?? [], resourceVersion: metadata["resourceVersion"], token };
}
