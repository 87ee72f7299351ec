import type { Host } from "../host.ts";
import { CONFIG_MAPS } from "../kube/resource-types.ts";
import type { ClusterId, ObjectKey } from "../names.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Source } from "../registry/collection/source.ts";
import { readParameters, type GatewayParameters } from "../registry/wanted/gateways/gateway-parameters.ts";
import type { ParameterRef } from "../registry/wanted/gateways/wanted-of-gateways.ts";
import { FollowedObject } from "./followed-object.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

/** A watch each; whoever may write Gateways could ask for any number. */
const FOLLOWED_MAX = 200;
const LOOK_MS = 5_000;

/** The ConfigMaps that Gateways name, each read by its name: the others of their namespaces are not our business. */
export class FollowedParameters {
  readonly #host: Host;
  readonly #access: KubernetesAccess;
  readonly #cluster: ClusterId;
  readonly #into: Source<ObjectKey, GatewayParameters>;
  readonly #followed = new Map<ObjectKey, FollowedObject>();
  readonly #closing = new Set<Promise<void>>();
  #observing: Disposable | undefined;
  #timer: Disposable | undefined;

  constructor(host: Host, access: KubernetesAccess, cluster: ClusterId, into: Source<ObjectKey, GatewayParameters>) {
    this.#host = host;
    this.#access = access;
    this.#cluster = cluster;
    this.#into = into;
  }

  start(refs: Collection<ObjectKey, ParameterRef>): void {
    for (const [key, ref] of refs.entries()) this.#follow(key, ref);
    this.#observing = refs.observe((batch) => {
      for (const { key, after } of batch)
        if (after === undefined) this.#unfollow(key);
        else this.#follow(key, after);
    });
    this.#lookLater();
  }

  async close(): Promise<void> {
    this.#observing?.[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    for (const key of [...this.#followed.keys()]) this.#unfollow(key);
    await Promise.all(this.#closing);
  }

  #follow(key: ObjectKey, { namespace, name }: ParameterRef): void {
    if (this.#followed.has(key)) return;
    if (this.#followed.size >= FOLLOWED_MAX) {
      this.#into.set(key, { refused: `is not read, as ${FOLLOWED_MAX} others are; have Gateways share one` });
      return;
    }
    const at = { cluster: this.#cluster, type: CONFIG_MAPS, namespace, name };
    const followed = new FollowedObject(this.#host, this.#access, at, () => this.#note(key));
    this.#followed.set(key, followed);
    followed.start();
  }

  #unfollow(key: ObjectKey): void {
    this.#into.delete(key);
    const followed = this.#followed.get(key);
    this.#followed.delete(key);
    if (followed === undefined) return;
    const closing = followed.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #note(key: ObjectKey): void {
    const followed = this.#followed.get(key);
    if (followed === undefined) return;
    const { object, trouble } = followed;
    if (object === "absent") this.#into.set(key, { refused: "does not exist" });
    else if (object !== undefined) this.#into.set(key, readParameters(object));
    else if (trouble !== undefined) this.#into.set(key, { refused: "cannot be read; grant list and watch on it" });
  }

  /** A ConfigMap that may not be read says so to nobody. */
  #lookLater(): void {
    this.#timer = this.#host.clock.after(LOOK_MS, () => {
      for (const [key, { object }] of this.#followed) if (object === undefined) this.#note(key);
      this.#lookLater();
    });
  }
}
