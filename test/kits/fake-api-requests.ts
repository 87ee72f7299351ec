import type { ApiRequest, ResourceType } from "../../src/kube/api.ts";
import { ApiError } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { isFields, jsonPatch, leavesOf, mergePatch, STEP, withLeaf } from "./fake-api-merge.ts";
import type { Route } from "./fake-api-route.ts";
import { isCustom, shows } from "./fake-api-route.ts";
import { copyOf, typeKey, type FakeStore } from "./fake-api-store.ts";

const CODES = new Map<number, ApiError["code"]>([
  [400, "invalid"],
  [401, "unauthenticated"],
  [403, "denied"],
  [404, "absent"],
  [405, "unsupported"],
  [409, "conflict"],
  [410, "absent"],
  [415, "unsupported"],
  [422, "invalid"],
  [429, "exhausted"],
  [504, "timeout"],
]);

export const apiError = (status: number, reason: string, message: string, retryAfterMs?: number): ApiError =>
  new ApiError(CODES.get(status) ?? "unavailable", message, status, reason, retryAfterMs);
export const noAnswer = (message: string): ApiError => new ApiError("unavailable", message, 0, "");

/** What requests for objects do to a store: the part of an API server that faults and time do not touch. */
export class FakeRequests {
  readonly #snapshots = new Map<string, { readonly version: number; readonly rest: readonly KubeObject[] }>();
  #tokens = 0;
  /** What each field manager applied, by object and manager. */
  readonly #applied = new Map<string, Map<string, ReadonlyMap<string, unknown>>>();

  constructor(
    readonly store: FakeStore,
    readonly nowMs: () => number,
  ) {}

  /** @throws ApiError as a server would answer. */
  answer(type: ResourceType, route: Route, { method, body, contentType }: ApiRequest): unknown {
    const status = route.subresource === "status";
    if (method === "GET") return route.name === undefined ? this.#list(type, route) : this.#get(type, route);
    if (method === "POST") return this.#create(type, route, body);
    if (method === "DELETE") return this.#delete(type, route, body);
    if (contentType === "application/apply-patch+yaml") return this.#apply(type, route, body, status);
    const held = this.#get(type, route);
    if (method === "PUT") return this.#write(type, route, held, body, status);
    if (contentType === "application/merge-patch+json")
      return this.#write(type, route, held, mergePatch(held, body), status);
    if (contentType !== "application/json-patch+json")
      throw apiError(415, "UnsupportedMediaType", `no patch is of type ${contentType}`);
    try {
      return this.#write(type, route, held, jsonPatch(held, body as Record<string, unknown>[]), status);
    } catch (error) {
      throw error instanceof ApiError ? error : apiError(422, "Invalid", String(error));
    }
  }

  #get(type: ResourceType, { namespace, name }: Route): KubeObject {
    const object = this.store.get(type, namespace, name ?? "");
    if (!object) throw apiError(404, "NotFound", `${type.plural}${dot(type)} "${name}" not found`);
    return copyOf(object);
  }

  #list(type: ResourceType, route: Route): unknown {
    const token = route.query.get("continue");
    const known = token === null ? undefined : this.#snapshots.get(token);
    if (token !== null && (!known || known.version < this.store.compacted))
      throw apiError(410, "Expired", "The provided continue parameter is too old");
    const { version, rest } = known ?? {
      version: this.store.version,
      rest: this.store.list(type).filter((object) => shows(route, object)),
    };
    const limit = Number(route.query.get("limit") ?? 0) || rest.length;
    const metadata: Record<string, unknown> = { resourceVersion: `${version}` };
    if (rest.length > limit) {
      metadata["continue"] = `page-${++this.#tokens}`;
      metadata["remainingItemCount"] = rest.length - limit;
      this.#snapshots.set(`page-${this.#tokens}`, { version, rest: rest.slice(limit) });
    }
    // Items of typed lists say neither their kind nor their version; those of custom resources do.
    const items = copyOf(rest.slice(0, limit)).map(({ apiVersion, kind, ...item }) =>
      isCustom(type) ? { apiVersion, kind, ...item } : item,
    );
    return { kind: `${type.kind}List`, apiVersion: versionOf(type, route.version), metadata, items };
  }

  #create(type: ResourceType, route: Route, body: unknown): KubeObject {
    const draft = this.#checked(type, route, body);
    if (this.store.get(type, route.namespace, draft.metadata.name))
      throw apiError(409, "AlreadyExists", `${type.plural}${dot(type)} "${draft.metadata.name}" already exists`);
    return copyOf(this.store.put(type, draft, this.nowMs()));
  }

  #checked(type: ResourceType, route: Route, body: unknown): KubeObject {
    if (!isFields(body)) throw apiError(400, "BadRequest", "the body is no object");
    const metadata = isFields(body["metadata"]) ? body["metadata"] : {};
    const name =
      metadata["name"] ?? route.name ?? (metadata["generateName"] ? `${String(metadata["generateName"])}x` : undefined);
    if (typeof name !== "string" || name === "") throw apiError(422, "Invalid", "metadata.name: Required value");
    const placed = route.namespace === undefined ? { name } : { name, namespace: route.namespace };
    if (type.namespaced && route.namespace === undefined) throw apiError(400, "BadRequest", "a namespace is needed");
    const apiVersion = versionOf(type, route.version);
    return { ...body, apiVersion, kind: type.kind, metadata: { ...metadata, ...placed } } as KubeObject;
  }

  #write(type: ResourceType, route: Route, held: KubeObject, body: unknown, status: boolean): KubeObject {
    const wanted = this.#checked(type, route, body);
    const asked = wanted.metadata["resourceVersion"];
    if (asked !== undefined && asked !== "" && asked !== held.metadata["resourceVersion"])
      throw conflict(type, held.metadata.name, "the object has been modified; please apply your changes to the latest");
    const uid = wanted.metadata.uid;
    if (uid !== undefined && uid !== held.metadata.uid) throw conflict(type, held.metadata.name, "Precondition: UID");
    // The path of the status changes nothing else, and only it changes the status.
    const next = status ? { ...held, status: wanted["status"] } : { ...wanted, status: held["status"] };
    const same = { ...next, metadata: { ...next.metadata, resourceVersion: held.metadata["resourceVersion"] } };
    if (sorted(same) === sorted(held)) return held;
    return copyOf(this.store.put(type, next, this.nowMs()));
  }

  #apply(type: ResourceType, route: Route, body: unknown, status: boolean): KubeObject {
    const manager = route.query.get("fieldManager");
    if (!manager) throw apiError(400, "BadRequest", "fieldManager is required for apply patch");
    if (!isFields(body)) throw apiError(400, "BadRequest", "the body is no object");
    const { name = "" } = route;
    const held = this.store.get(type, route.namespace, name);
    if (!held && status) throw apiError(404, "NotFound", `${type.plural}${dot(type)} "${name}" not found`);
    const { resourceVersion, uid } = isFields(body["metadata"]) ? body["metadata"] : {};
    if (uid !== undefined && uid !== held?.metadata.uid) throw conflict(type, name, "uid mismatch");
    if (resourceVersion !== undefined && resourceVersion !== held?.metadata["resourceVersion"])
      throw conflict(type, name, "the object has been modified");
    const leaves = ownLeaves(body, status);
    const dryRun = route.query.get("dryRun") === "All";
    // Nothing that a dry run does may be left behind.
    const kept = this.#ownersOf(type, route, held);
    const owners = dryRun ? new Map(kept) : kept;
    this.#refuseConflicts(owners, manager, leaves, route, `${type.kind} ${name}`);
    const scope = status ? /^status(\n|$)/ : /^(?!status(\n|$))/;
    const before = new Map([...(owners.get(manager) ?? [])].filter(([path]) => scope.test(path)));
    let next: unknown = held ?? { metadata: { name } };
    for (const path of before.keys()) if (!leaves.has(path)) next = withLeaf(next, path.split(STEP), undefined);
    for (const [path, value] of leaves) next = withLeaf(next, path.split(STEP), value);
    const others = [...(owners.get(manager) ?? [])].filter(([path]) => !scope.test(path));
    owners.set(manager, new Map([...others, ...leaves]));
    if (dryRun) return copyOf(this.#checked(type, route, stripped(next)));
    if (held) return this.#write(type, route, copyOf(held), stripped(next), status);
    return copyOf(this.store.put(type, this.#checked(type, route, next), this.nowMs()));
  }

  /** An object that was made anew has no managers yet. */
  #ownersOf(type: ResourceType, { namespace, name }: Route, held: KubeObject | undefined) {
    const key = `${typeKey(type)} ${namespace} ${name}`;
    if (!held) this.#applied.delete(key);
    let owners = this.#applied.get(key);
    if (!owners) this.#applied.set(key, (owners = new Map<string, ReadonlyMap<string, unknown>>()));
    return owners;
  }

  #refuseConflicts(
    owners: Map<string, ReadonlyMap<string, unknown>>,
    manager: string,
    leaves: ReadonlyMap<string, unknown>,
    { query }: Route,
    what: string,
  ): void {
    for (const [other, theirs] of owners) {
      if (other === manager) continue;
      const contested = [...leaves].filter(
        ([path, value]) => theirs.has(path) && sorted(theirs.get(path)) !== sorted(value),
      );
      if (contested.length > 0 && query.get("force") !== "true")
        throw apiError(
          409,
          "Conflict",
          `Apply of ${what}: ${contested.map(([path]) => path.replaceAll(STEP, ".")).join()} is of ${other}`,
        );
      owners.set(other, new Map([...theirs].filter(([path]) => !contested.some(([lost]) => lost === path))));
    }
  }

  #delete(type: ResourceType, route: Route, body: unknown): unknown {
    const held = this.#get(type, route);
    const wanted = isFields(body) && isFields(body["preconditions"]) ? body["preconditions"] : {};
    for (const field of ["uid", "resourceVersion"])
      if (wanted[field] !== undefined && wanted[field] !== held.metadata[field])
        throw conflict(type, held.metadata.name, `Precondition failed: ${field}`);
    this.store.remove(type, route.namespace, held.metadata.name);
    return { kind: "Status", apiVersion: "v1", status: "Success" };
  }
}

const dot = ({ group }: ResourceType): string => (group === "" ? "" : `.${group}`);
export const versionOf = ({ group }: ResourceType, version: string): string =>
  group === "" ? version : `${group}/${version}`;
const conflict = (type: ResourceType, name: string, why: string): ApiError =>
  apiError(409, "Conflict", `Operation cannot be fulfilled on ${type.plural}${dot(type)} "${name}": ${why}`);

/** What an apply owns: neither what tells which object it is, nor what its path does not write. */
function ownLeaves(body: Readonly<Record<string, unknown>>, status: boolean) {
  const { apiVersion: _, kind: __, metadata, status: ownStatus, ...rest } = body;
  if (status) return ownStatus === undefined ? new Map<string, unknown>() : leavesOf({ status: ownStatus });
  const { labels, annotations, ownerReferences } = isFields(metadata) ? metadata : {};
  const leaves = leavesOf(copyOf({ ...rest, metadata: { labels, annotations, ownerReferences } }));
  leaves.delete("metadata");
  return leaves;
}

/** Without the version: that was compared before. */
function stripped(object: unknown): unknown {
  return mergePatch(object, { metadata: { resourceVersion: null } });
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    isFields(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
}
