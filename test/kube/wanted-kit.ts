import type { ResourceType } from "../../src/kube/api.ts";
import { CONFIG_MAPS, SERVICES } from "../../src/kube/resource-types.ts";
import type { WantedObject, WantedObjects } from "../../src/kube/wanted-object.ts";

type Observer = Parameters<WantedObjects["observe"]>[0];

/** What is wanted, as a test says. */
export class WantedMap implements WantedObjects {
  readonly #values = new Map<string, WantedObject>();
  readonly #observers = new Set<Observer>();

  get size(): number {
    return this.#values.size;
  }
  get(key: string): WantedObject | undefined {
    return this.#values.get(key);
  }
  entries(): Iterable<readonly [string, WantedObject]> {
    return this.#values.entries();
  }
  observe(observer: Observer): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  set(key: string, after: WantedObject | undefined): void {
    if (after === undefined) this.#values.delete(key);
    else this.#values.set(key, after);
    for (const observer of this.#observers) observer([{ key, after }]);
  }
}

export const wantedRoots = (namespace: string, pem: string): WantedObject => ({
  type: CONFIG_MAPS,
  namespace,
  name: "istio-ca-root-cert",
  labels: { "istio.io/config": "true" },
  fields: { data: { "root-cert.pem": pem } },
  found: "unseen",
});

export const wantedCondition = (
  name: string,
  message: string,
  found: WantedObject["found"] = "different",
  type: ResourceType = SERVICES,
): WantedObject => ({
  type,
  namespace: "shop",
  name,
  subresource: "status",
  conditions: [{ type: "istio.io/WaypointBound", status: "True", reason: "WaypointAccepted", message }],
  found,
});
