import type { Host } from "../host.ts";
import type { ResourceType } from "../kube/api.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../kube/object.ts";
import { Reflector } from "../kube/reflector.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

/** One object of the system namespace, as its API server has it: of the others none is our business. */
export class FollowedObject implements ObjectSink {
  /** As `Secret istio-system/cacerts`. */
  readonly title: string;
  readonly #reflector: Reflector;
  readonly #onChange: () => void;
  #listed = false;
  #object: KubeObject | undefined;

  constructor(
    host: Host,
    { api, gate }: KubernetesAccess,
    at: { readonly cluster: string; readonly type: ResourceType; readonly namespace: string; readonly name: string },
    onChange: () => void,
  ) {
    const { cluster, type, namespace, name } = at;
    this.title = `${type.kind} ${namespace}/${name}`;
    this.#onChange = onChange;
    const onSynced = (): void => {
      this.#listed = true;
      onChange();
    };
    const fieldSelector = `metadata.name=${name}`;
    const options = { cluster, type, namespace, fieldSelector, sink: this, onSynced };
    this.#reflector = new Reflector(host, api, gate, options);
  }

  /** Undefined until it is known. */
  get object(): KubeObject | "absent" | undefined {
    return this.#object ?? (this.#listed ? "absent" : undefined);
  }

  /** Why it is not known, in the server's words. */
  get trouble(): string | undefined {
    return this.#reflector.state.problem;
  }

  start(): void {
    this.#reflector.start();
  }

  set(object: KubeObject): void {
    this.#object = object;
    this.#onChange();
  }

  delete(_object: ObjectReference): void {
    this.#object = undefined;
    this.#onChange();
  }

  close(): Promise<void> {
    return this.#reflector.close();
  }
}
