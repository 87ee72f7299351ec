import { ownRootInSecret, textsOf } from "../ca/secret-data.ts";
import type { Config } from "../config.ts";
import { MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import { createObject, getObject, type ObjectAddress, replaceObject } from "../kube/objects-api.ts";
import { SECRETS } from "../kube/resource-types.ts";
import type { ClientIdentity, IdentityStore } from "../relay/client-identity.ts";
import {
  type AuthorityUpdate,
  CLUSTER_LABEL,
  type Installed,
  WISH_ANNOTATION,
  whyForeign,
} from "../relay/installed.ts";
import type { Bound } from "../relay/messages.ts";
import { peerGrantObjects } from "./bound-grants.ts";
import { GrantWriter } from "./grant-writer.ts";
import { OWN_ROOT_SECRET } from "./own-root-secret.ts";
import { textIn } from "./relay-folder.ts";
import { filesAsTheyAre, IDENTITY_KEYS, type RelaySink } from "./relay-sink.ts";

const CACERTS = "cacerts";
const PREVIOUS = "cacerts-previous";
const CLIENT = "relay-client-tls-secret";
const TOKEN = "relay-identity-token-secret";
const TOKEN_ID_ANNOTATION = "trust.causeway.dev/token-id";

/** Secrets and PeerGrants of the system namespace, as the API server has them. One replica at a time writes them. */
export class RelaySecrets implements RelaySink {
  readonly title: string;
  readonly identity: IdentityStore;
  readonly #secrets: OwnSecrets;
  readonly #grants: GrantWriter;
  readonly #config: Config;

  constructor(config: Config, api: KubeApi) {
    const { systemNamespace, clusterId } = config;
    this.#config = config;
    this.#secrets = new OwnSecrets(api, systemNamespace, clusterId);
    this.#grants = new GrantWriter(api, systemNamespace);
    this.title = this.#secrets.titleOf(CACERTS);
    this.identity = new IdentitySecret(this.#secrets, config.relay.tokenFile);
  }

  async open(): Promise<void> {}

  async look(): Promise<Installed> {
    const there = await this.#secrets.get(CACERTS);
    if (there === undefined) return this.#ownRoot();
    const label = there.metadata.labels?.[CLUSTER_LABEL];
    if (label === this.#config.clusterId) {
      const files = filesAsTheyAre(this.title, textsOf(this.title, there["data"]));
      return { kind: "own", files, wish: there.metadata.annotations?.[WISH_ANNOTATION] ?? "" };
    }
    const what = label === undefined ? `has no label ${CLUSTER_LABEL}` : `is for cluster ${label}, by its label`;
    const handOver = `label it ${CLUSTER_LABEL}=${this.#config.clusterId} to hand it over, or delete it`;
    return { kind: "foreign", why: whyForeign(this.title, what, handOver) };
  }

  async install({ files, wish, replaces }: AuthorityUpdate): Promise<void> {
    const there = await this.#secrets.get(CACERTS);
    const before = await this.look();
    if (before.kind === "foreign") throw new MeshError("denied", before.why);
    if ((before.kind === "own" ? before.files.digest : undefined) !== replaces)
      throw new MeshError("conflict", `${this.title} was changed meanwhile`);
    if (there !== undefined) await this.#secrets.put(PREVIOUS, there["data"] as object, {});
    await this.#secrets.put(CACERTS, encoded(files), { [WISH_ANNOTATION]: wish }, there ?? "absent");
  }

  async govern(bounds: readonly Bound[] | undefined): Promise<void> {
    await this.#grants.write(peerGrantObjects(bounds, this.#config.systemNamespace));
  }

  /** What signs while there is no Secret `cacerts`: other roots come beside it, in a Secret of their own. */
  async #ownRoot(): Promise<Installed> {
    const own = await this.#secrets.get(OWN_ROOT_SECRET);
    if (own === undefined) return { kind: "absent" };
    return { kind: "own", files: ownRootInSecret(this.#secrets.titleOf(OWN_ROOT_SECRET), own["data"]), wish: "" };
  }
}

/** Secrets that carry our label, each written whole. */
class OwnSecrets {
  readonly #api: KubeApi;
  readonly #namespace: string;
  readonly #cluster: string;

  constructor(api: KubeApi, namespace: string, cluster: string) {
    this.#api = api;
    this.#namespace = namespace;
    this.#cluster = cluster;
  }

  titleOf(name: string): string {
    return `Secret ${this.#namespace}/${name}`;
  }

  get(name: string): Promise<KubeObject | undefined> {
    return this.#attempt(name, "read", "get", () => getObject(this.#api, this.#at(name)));
  }

  /** @param expected what it is to take the place of; whatever is there of ours, unless given. */
  async put(
    name: string,
    data: object,
    annotations: Readonly<Record<string, string>>,
    expected?: KubeObject | "absent",
  ): Promise<void> {
    const there = expected === "absent" ? undefined : (expected ?? (await this.get(name)));
    if (there !== undefined && there.metadata.labels?.[CLUSTER_LABEL] === undefined)
      throw new MeshError(
        "denied",
        `${this.titleOf(name)} has no label ${CLUSTER_LABEL}, so it is somebody else's, and is not written; delete it, or ` +
          `label it ${CLUSTER_LABEL}=${this.#cluster}`,
      );
    const metadata = {
      ...there?.metadata,
      name,
      namespace: this.#namespace,
      labels: { ...there?.metadata.labels, [CLUSTER_LABEL]: this.#cluster },
      annotations: { ...there?.metadata.annotations, ...annotations },
    };
    await this.#attempt(name, "written", "create and update", () =>
      there === undefined
        ? createObject(this.#api, this.#at(name), { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data })
        : replaceObject(this.#api, this.#at(name), { ...there, metadata, data }),
    );
  }

  #at(name: string): ObjectAddress {
    return { type: SECRETS, version: "v1", namespace: this.#namespace, name };
  }

  async #attempt<T>(name: string, done: string, verbs: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      const { status } = thrown instanceof ApiError ? thrown : { status: 0 };
      if (status === 409) throw new MeshError("conflict", `${this.titleOf(name)} was changed meanwhile`);
      const fix = status === 403 ? `; grant ${verbs} on it (deploy/rbac/trust-relay.yaml)` : "";
      const what = `${this.titleOf(name)} cannot be ${done}: ${messageOf(thrown)}${fix}`;
      throw new MeshError("unavailable", what, {}, { cause: thrown });
    }
  }
}

class IdentitySecret implements IdentityStore {
  readonly title: string;
  readonly tokenTitle: string;
  readonly #secrets: OwnSecrets;
  readonly #tokenFile: string | undefined;

  constructor(secrets: OwnSecrets, tokenFile: string | undefined) {
    this.#secrets = secrets;
    this.#tokenFile = tokenFile;
    this.title = secrets.titleOf(CLIENT);
    this.tokenTitle = tokenFile ?? `${secrets.titleOf(TOKEN)}, key token,`;
  }

  async read(): Promise<ClientIdentity | undefined> {
    const there = await this.#secrets.get(CLIENT);
    if (there === undefined) return undefined;
    const texts = textsOf(this.title, there["data"]);
    const of = (key: keyof typeof IDENTITY_KEYS): string => texts.get(IDENTITY_KEYS[key]) ?? "";
    const tokenId = there.metadata.annotations?.[TOKEN_ID_ANNOTATION] ?? "";
    return { chain: of("chain"), key: of("key"), roots: of("roots"), tokenId };
  }

  async write({ chain, key, roots, tokenId }: ClientIdentity): Promise<void> {
    const names = IDENTITY_KEYS;
    const data = encoded(
      new Map([
        [names.chain, chain],
        [names.key, key],
        [names.roots, roots],
      ]),
    );
    await this.#secrets.put(CLIENT, data, { [TOKEN_ID_ANNOTATION]: tokenId });
  }

  async token(): Promise<string | undefined> {
    if (this.#tokenFile !== undefined) return textIn(this.#tokenFile);
    const there = await this.#secrets.get(TOKEN);
    return there && textsOf(this.#secrets.titleOf(TOKEN), there["data"]).get("token");
  }
}

const encoded = (texts: ReadonlyMap<string, string>): Readonly<Record<string, string>> =>
  Object.fromEntries([...texts].map(([name, text]) => [name, Buffer.from(text).toString("base64")]));
