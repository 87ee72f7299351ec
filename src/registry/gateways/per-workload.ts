import type { Workload } from "../model/workload.ts";

/**
 * What follows from a workload and one of its ports alone, made once: services under several names, and several
 * gateways, have the same endpoints, and a change of one of ten thousand makes one anew.
 */
export class PerWorkload<V> {
  readonly #known = new WeakMap<Workload, Map<number, V>>();
  readonly #make: (workload: Workload, port: number) => V;

  /** `make` is pure. */
  constructor(make: (workload: Workload, port: number) => V) {
    this.#make = make;
  }

  get(workload: Workload, port: number): V {
    let ports = this.#known.get(workload);
    if (ports === undefined) this.#known.set(workload, (ports = new Map()));
    let value = ports.get(port);
    if (value === undefined) ports.set(port, (value = this.#make(workload, port)));
    return value;
  }
}
