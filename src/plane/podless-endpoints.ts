import type { Gauge, Host } from "../host.ts";
import { objectKey, type ObjectKey } from "../names.ts";
import type { EndpointSlice } from "../registry/kube/endpoint-slice.ts";
import type { Registry } from "../registry/registry.ts";

/** What Prometheus asks for, mostly. */
const LOOK_MS = 15_000;
/** Slices, of at most 100 endpoints each, that are looked at before all else has its turn: some milliseconds. */
const SLICES_AT_ONCE = 100;

type Endpoints = Pick<Registry["objects"], "endpointSlices" | "pods">;

/** Counts the endpoints whose pod is not known, now and then: for more than a moment, one of two watches is behind. */
export class PodlessEndpoints implements Disposable {
  readonly #host: Host;
  readonly #objects: Endpoints;
  readonly #gauge: Gauge;
  #next: Disposable;

  constructor(host: Host, objects: Endpoints) {
    this.#host = host;
    this.#objects = objects;
    this.#gauge = host.metrics.gauge("endpoint_no_pod", "Endpoints of slices that name a pod which is not known.");
    this.#next = host.clock.after(LOOK_MS, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#next[Symbol.dispose]();
  }

  #look(): void {
    this.#goOn(this.#objects.endpointSlices.entries()[Symbol.iterator](), 0);
  }

  #goOn(slices: Iterator<readonly [ObjectKey, EndpointSlice]>, before: number): void {
    let found = before;
    for (let count = 0; count < SLICES_AT_ONCE; count++) {
      const next = slices.next();
      if (next.done) {
        this.#gauge.set(found);
        this.#next = this.#host.clock.after(LOOK_MS, () => this.#look());
        return;
      }
      found += this.#podless(next.value[1]);
    }
    this.#next = this.#host.clock.after(0, () => this.#goOn(slices, found));
  }

  #podless({ id, pods }: EndpointSlice): number {
    return pods.filter(({ namespace, name }) => !this.#objects.pods.get(objectKey(id.cluster, namespace, name))).length;
  }
}
