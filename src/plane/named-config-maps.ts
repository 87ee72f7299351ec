import type { Host } from "../host.ts";
import { CONFIG_MAPS } from "../kube/resource-types.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../kube/object.ts";
import { Reflector } from "../kube/reflector.ts";
import type { Source } from "../registry/collection/source.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

/** The ConfigMaps of one name in all namespaces, by namespace: of the others none is our business. */
export class NamedConfigMaps<V> implements ObjectSink {
  readonly #into: Source<string, V>;
  readonly #read: (object: KubeObject) => V;
  readonly #reflector: Reflector;

  /** @param read what is kept of each. */
  constructor(
    host: Host,
    { api, gate }: KubernetesAccess,
    at: { readonly cluster: string; readonly name: string },
    into: Source<string, V>,
    read: (object: KubeObject) => V,
  ) {
    this.#into = into;
    this.#read = read;
    // A role that names the ConfigMap allows just this.
    const fieldSelector = `metadata.name=${at.name}`;
    const options = { cluster: at.cluster, type: CONFIG_MAPS, fieldSelector, sink: this, onSynced: () => {} };
    this.#reflector = new Reflector(host, api, gate, options);
  }

  start(): void {
    this.#reflector.start();
  }

  set(object: KubeObject): void {
    this.#into.set(object.metadata.namespace ?? "", this.#read(object));
  }

  delete({ metadata }: ObjectReference): void {
    this.#into.delete(metadata.namespace ?? "");
  }

  close(): Promise<void> {
    return this.#reflector.close();
  }
}
