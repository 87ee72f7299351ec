import type { KubeObject, ObjectReference, ObjectSink } from "../../kube/object.ts";
import type { Host, Logger } from "../../host.ts";
import { printable } from "../../printable.ts";
import { KUBECONFIG_CHARS_MAX, type KubeconfigSource, type KubeconfigText } from "./cluster-claims.ts";
import { isFields } from "./fields.ts";
import type { RemoteClusters } from "./remote-clusters.ts";

/** Which Secrets of the system namespace name remote clusters: the label selector to list and watch them with. */
export const REMOTE_SECRET_LABEL = "istio/multiCluster";
export const REMOTE_SECRETS = `${REMOTE_SECRET_LABEL}=true`;

/** A secret cannot hold many kubeconfigs: it has a megabyte. */
const KEYS_MAX = 250;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** What one secret said last. */
interface Known {
  readonly source: KubeconfigSource;
  readonly said: ReadonlyMap<string, KubeconfigText>;
}

/**
 * Reads remote secrets as they come and go: each key is a cluster's name, each value its kubeconfig. What an API server
 * says is taken to be positive evidence: `delete` is only called for what it said is gone.
 */
export class RemoteSecrets implements ObjectSink {
  readonly #log: Logger;
  readonly #namespace: string;
  readonly #clusters: Pick<RemoteClusters<unknown>, "offer" | "withdraw" | "listed">;
  readonly #known = new Map<string, Known>();
  /** Secrets of the first list, with when they were made, until all of it is here. */
  #first: Map<string, { readonly created: string; readonly known: Known }> | undefined = new Map();

  constructor(
    host: Host,
    systemNamespace: string,
    clusters: Pick<RemoteClusters<unknown>, "offer" | "withdraw" | "listed">,
  ) {
    this.#log = host.log.scope("remote");
    this.#namespace = systemNamespace;
    this.#clusters = clusters;
  }

  /** Never throws. What is no remote secret of the system namespace is ignored; one that was and is no longer goes. */
  set(object: KubeObject): void {
    if (object.kind !== "Secret" || object.metadata.namespace !== this.#namespace) return;
    if (object.metadata.labels?.[REMOTE_SECRET_LABEL] !== "true") return this.delete(object);
    const name = `${this.#namespace}/${object.metadata.name}`;
    const known: Known = { source: sourceOf(name), said: kubeconfigsOf(object) };
    if (this.#first) this.#first.set(name, { created: object.metadata.creationTimestamp ?? "", known });
    else this.#take(name, known);
  }

  delete({ kind, metadata }: ObjectReference): void {
    if (kind !== "Secret" || metadata.namespace !== this.#namespace) return;
    const name = `${this.#namespace}/${metadata.name}`;
    this.#first?.delete(name);
    if (!this.#known.delete(name)) return;
    this.#log.info("processing secret event", { source: name, event: "delete" });
    this.#clusters.withdraw(name);
  }

  /**
   * The first list is complete. Only now the secrets count, those that were made first before the others: so that of two
   * that name one cluster it is the same after each restart.
   */
  listed(): void {
    const first = [...(this.#first ?? [])];
    this.#first = undefined;
    first.sort(([a, { created: aMade }], [b, { created: bMade }]) => (`${aMade} ${a}` < `${bMade} ${b}` ? -1 : 1));
    for (const [name, { known }] of first) this.#take(name, known);
    this.#clusters.listed();
  }

  #take(name: string, known: Known): void {
    const before = this.#known.get(name);
    if (before && sameSaid(before.said, known.said)) return;
    this.#known.set(name, known);
    const event = before ? "update" : "add";
    this.#log.info("processing secret event", { source: name, event });
    this.#clusters.offer(known.source, known.said, event);
  }
}

const sourceOf = (name: string): KubeconfigSource => ({
  name,
  object: `Secret ${name}`,
  fieldOf: (cluster) => `data[${printable(cluster, 80)}]`,
});

function kubeconfigsOf({ data }: KubeObject): ReadonlyMap<string, KubeconfigText> {
  if (!isFields(data)) return new Map();
  const keys = Object.keys(data).sort();
  const excess = keys[KEYS_MAX];
  const said = new Map(keys.slice(0, KEYS_MAX).map((key) => [key, kubeconfigOf(data[key])]));
  if (excess !== undefined)
    said.set(excess, {
      refused: `and all keys after it are not read: the secret has ${keys.length}, at most ${KEYS_MAX} are; use several`,
    });
  return said;
}

function kubeconfigOf(value: unknown): KubeconfigText {
  if (typeof value !== "string" || value === "") return { refused: "is empty; it must be a kubeconfig" };
  // Before it is decoded: base64 takes four characters for three.
  if (value.length > (KUBECONFIG_CHARS_MAX / 3) * 4 + 4)
    return { refused: `is larger than ${KUBECONFIG_CHARS_MAX >> 10} KiB; keep only this cluster in it` };
  const base64 = value.replace(/\s+/g, "");
  if (base64.length % 4 !== 0 || !BASE64.test(base64))
    return { refused: "is not base64, which the data of a Secret must be; use stringData" };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(base64, "base64")) };
  } catch {
    return { refused: "is not UTF-8 text; it must be a kubeconfig" };
  }
}

function sameSaid(before: Known["said"], now: Known["said"]): boolean {
  return before.size === now.size && JSON.stringify([...before]) === JSON.stringify([...now]);
}
