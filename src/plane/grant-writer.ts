import { MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf } from "../kube/api.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { createObject, replaceObject } from "../kube/objects-api.ts";
import { PEER_GRANTS } from "../kube/resource-types.ts";
import { BOUND_GRANT_LABELS, type BoundGrant } from "./bound-grants.ts";

const VERSION = PEER_GRANTS.versions[0]!;

/** Has those PeerGrants be there that bound, and no others of ours. What has not our labels is never touched. */
export class GrantWriter {
  readonly #api: KubeApi;
  readonly #namespace: string;

  constructor(api: KubeApi, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  /**
   * What narrows is written before what widens is taken away: in between, less is shared, and never more.
   * @throws MeshError if not all of it was done.
   */
  async write(wanted: readonly BoundGrant[]): Promise<void> {
    try {
      const there = new Map((await this.#list(wanted.length > 0)).map((grant) => [grant.metadata.name, grant]));
      for (const grant of wanted) await this.#put(grant, there.get(grant.metadata.name));
      const names = new Set(wanted.map(({ metadata }) => metadata.name));
      for (const [name, grant] of there) if (!names.has(name)) await this.#remove(grant);
    } catch (thrown) {
      const denied = thrown instanceof ApiError && thrown.status === 403;
      const fix = denied ? "; grant list, create, update and delete on peergrants (deploy/rbac/trust-relay.yaml)" : "";
      const what = `PeerGrants in namespace ${this.#namespace} cannot be written: ${messageOf(thrown)}${fix}`;
      throw new MeshError("unavailable", what, {}, { cause: thrown });
    }
  }

  /** @param needed false: where the kind is not served, there are none, and none are wanted. */
  async #list(needed: boolean): Promise<readonly KubeObject[]> {
    const labelSelector = Object.entries(BOUND_GRANT_LABELS)
      .map(([key, value]) => `${key}=${value}`)
      .join();
    const path = `${pathOf(PEER_GRANTS, VERSION, this.#namespace)}?${new URLSearchParams({ labelSelector }).toString()}`;
    try {
      const list = await this.#api.call({ method: "GET", path });
      if (isFields(list) && Array.isArray(list["items"])) return list["items"] as readonly KubeObject[];
    } catch (thrown) {
      if (!needed && thrown instanceof ApiError && thrown.status === 404) return [];
      throw thrown;
    }
    throw new MeshError("unavailable", `${this.#api.server} did not answer with a list of PeerGrants`);
  }

  async #put(grant: BoundGrant, there: KubeObject | undefined): Promise<void> {
    const { name } = grant.metadata;
    const at = { type: PEER_GRANTS, version: VERSION, namespace: this.#namespace, name };
    if (there === undefined) await createObject(this.#api, at, grant);
    else if (JSON.stringify(sorted(there["spec"])) !== JSON.stringify(sorted(grant.spec)))
      await replaceObject(this.#api, at, {
        ...there,
        apiVersion: grant.apiVersion,
        kind: grant.kind,
        spec: grant.spec,
      });
  }

  async #remove({ metadata }: KubeObject): Promise<void> {
    const path = pathOf(PEER_GRANTS, VERSION, this.#namespace, metadata.name);
    const { uid } = metadata;
    const body = { kind: "DeleteOptions", apiVersion: "v1", ...(uid !== undefined && { preconditions: { uid } }) };
    try {
      await this.#api.call({ method: "DELETE", path, body });
    } catch (thrown) {
      if (!(thrown instanceof ApiError && thrown.status === 404)) throw thrown;
    }
  }
}

/** The same for the same, in whatever order a server gives the fields. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isFields(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
