import { DeltaClient } from "../../src/xds/delta-client.ts";
import { dialXds, type XdsTarget } from "../../src/xds/dial.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { SYSTEM_NAMESPACE } from "./authority.ts";

/** In the name of each workload that stands for a peer's endpoints of a service. */
const AGGREGATE = "/SplitHorizonWorkload/";
const RETRY_MS = 50;

const NODE = {
  id: `ztunnel~127.0.0.1~ztunnel-bench.${SYSTEM_NAMESPACE}~${SYSTEM_NAMESPACE}.svc.cluster.local`,
  metadata: new Map([
    ["NAMESPACE", SYSTEM_NAMESPACE],
    ["INSTANCE_IPS", "127.0.0.1"],
  ]),
};

/** A client as a ztunnel is: it follows the whole mesh, and comes back with what it holds. */
export class BenchZtunnel {
  readonly #client = new DeltaClient(NODE, [ADDRESS_TYPE, AUTHORIZATION_TYPE]);
  /** Names of aggregates, by `cluster/namespace/service`. */
  readonly #aggregates = new Set<string>();
  readonly #onArrival: (service: string, at: number) => void;
  #removals = 0;
  #answers = 0;
  #end = new AbortController();
  #waiting: (() => void)[] = [];

  /** @param onArrival called with `cluster/namespace/service` and `performance.now()` for each aggregate that comes. */
  constructor(onArrival: (service: string, at: number) => void = () => {}) {
    this.#onArrival = onArrival;
  }

  /** Aggregates that it holds. */
  get aggregates(): number {
    return this.#aggregates.size;
  }
  /** Aggregates that were ever taken from it. */
  get removals(): number {
    return this.#removals;
  }
  /** Responses of workloads and services on the stream that is open. */
  get answers(): number {
    return this.#answers;
  }

  /** Follows a control plane until `leave`; a stream that breaks is opened again. */
  follow(target: () => Promise<XdsTarget>): void {
    this.#end = new AbortController();
    void this.#follow(target, this.#end.signal);
  }

  leave(): void {
    this.#end.abort();
    this.#answers = 0;
  }

  /** Milliseconds from `since`, by `performance.now()`, until `holds` after a response. */
  async until(holds: (client: this) => boolean, since: number): Promise<number> {
    while (!holds(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return performance.now() - since;
  }

  async #follow(target: () => Promise<XdsTarget>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await dialXds({
          target: await target(),
          client: this.#client,
          onUpdate: (update) => this.#take(update),
          signal,
        });
      } catch {
        this.#answers = 0;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #take({ typeUrl, resources, removed }: Parameters<Parameters<typeof dialXds>[0]["onUpdate"]>[0]): void {
    const at = performance.now();
    if (typeUrl !== ADDRESS_TYPE) return;
    this.#answers += 1;
    for (const { name } of resources) if (name.includes(AGGREGATE)) this.#arrived(name, at);
    for (const name of removed) if (this.#aggregates.delete(name)) this.#removals += 1;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #arrived(name: string, at: number): void {
    this.#aggregates.add(name);
    const [cluster, , namespace, service] = name.split("/");
    this.#onArrival(`${cluster}/${namespace}/${service}`, at);
  }
}
