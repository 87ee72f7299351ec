import type { Host } from "../../host.ts";
import type { KubeApi } from "../../kube/api.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../kube/object.ts";
import { Reflector, type ReflectorOptions, type ReflectorState } from "../../kube/reflector.ts";
import { RelistGate } from "../../kube/relist-gate.ts";

export type Selection = Pick<ReflectorOptions, "type" | "namespace" | "labelSelector" | "fieldSelector" | "purpose">;

/** A phase that brings no object tells nobody: whoever waits looks again so often. */
const LOOK_MS = 1_000;

/** A few objects of one kind as their API server has them, by name, for those who wait until one of them changes. */
export class FollowedObjects implements ObjectSink {
  readonly #host: Host;
  readonly #reflector: Reflector;
  readonly #objects = new Map<string, KubeObject>();
  readonly #waiting = new Set<() => void>();

  constructor(host: Host, api: KubeApi, selection: Selection) {
    this.#host = host;
    const onSynced = (): void => this.#tell();
    const options = { cluster: "", ...selection, sink: this, onSynced };
    this.#reflector = new Reflector(host, api, new RelistGate(), options);
  }

  get state(): ReflectorState {
    return this.#reflector.state;
  }

  get(name: string): KubeObject | undefined {
    return this.#objects.get(name);
  }

  values(): readonly KubeObject[] {
    return [...this.#objects.values()];
  }

  /** Begins; what comes after the first time does nothing. */
  start(): void {
    this.#reflector.start();
  }

  /** Resolves once something may be different, or `signal` says that it is over. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = this.#host.clock.after(LOOK_MS, done);
      signal.addEventListener("abort", done);
      this.#waiting.add(done);
    });
  }

  set(object: KubeObject): void {
    this.#objects.set(object.metadata.name, object);
    this.#tell();
  }

  delete({ metadata }: ObjectReference): void {
    this.#objects.delete(metadata.name);
    this.#tell();
  }

  close(): Promise<void> {
    return this.#reflector.close();
  }

  #tell(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
