import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import type { AddressPool } from "./address-pool.ts";
import { type Declared, type DeclaredObjects, groupOf, keyOf, kindKey, namespaceOf } from "./declared.ts";
import { type Labels, selects } from "./fields.ts";
import { endpointSlicesOf, mirroredSlices, selectorOf } from "./endpoint-slices.ts";
import { exhaustedProblem } from "./pod-lifecycle.ts";
import { hasEnded, statedPodAddress } from "./pods.ts";
import { admittedService, statedClusterIp, wantsClusterIp } from "./services.ts";

interface Admitted {
  readonly from: KubeObject;
  readonly clusterIp: string;
  readonly service: KubeObject;
}

interface Sliced {
  readonly service: KubeObject;
  readonly pods: readonly KubeObject[];
  readonly slices: readonly KubeObject[];
}

/** Gives Services their addresses and slices. Unchanged ones are the same objects. */
export class ServiceControllers {
  readonly #cluster: ClusterId;
  readonly #addresses: AddressPool;
  #admitted: ReadonlyMap<string, Admitted> = new Map();
  #sliced: ReadonlyMap<string, Sliced> = new Map();
  readonly #buckets = new WeakMap<KubeObject, readonly string[]>();
  readonly #mirrored = new WeakMap<KubeObject, readonly KubeObject[]>();

  constructor(cluster: ClusterId, addresses: AddressPool) {
    this.#cluster = cluster;
    this.#addresses = addresses;
  }

  settle(objects: Map<string, Declared>, pods: DeclaredObjects, problems: Problem[]): void {
    const services = [...objects].filter(([, { object }]) => isCore(object, "Service"));
    this.#admitAll(objects, services, problems);
    const byLabel = new PodsByLabel(pods, this.#buckets);
    const sliced = new Map<string, Sliced>();
    for (const [key, { origin }] of services) {
      const service = objects.get(key)!.object;
      if (Object.keys(selectorOf(service)).length === 0) continue;
      const entry = this.#slice(key, service, byLabel.selected(namespaceOf(service), selectorOf(service)));
      sliced.set(key, entry);
      for (const slice of entry.slices) addIfAbsent(objects, slice, origin);
    }
    this.#sliced = sliced;
    this.#mirror(objects);
  }

  #admitAll(objects: Map<string, Declared>, services: readonly [string, Declared][], problems: Problem[]): void {
    const admitted = new Map<string, Admitted>();
    const exhausted: Declared[] = [];
    for (const [key, declared] of services) {
      const from = declared.object;
      const wants = wantsClusterIp(from);
      const clusterIp = wants ? this.#addresses.assign(key.slice("Service/".length)) : statedClusterIp(from);
      if (clusterIp === undefined) exhausted.push(declared);
      const known = this.#admitted.get(key);
      const entry =
        known?.from === from && known.clusterIp === (clusterIp ?? "")
          ? known
          : { from, clusterIp: clusterIp ?? "", service: admittedService(from, clusterIp ?? "") };
      admitted.set(key, entry);
      objects.set(key, { object: entry.service, origin: declared.origin });
    }
    this.#admitted = admitted;
    if (exhausted[0]) problems.push(exhaustedProblem(exhausted[0], exhausted.length, "service"));
  }

  #slice(key: string, service: KubeObject, pods: readonly KubeObject[]): Sliced {
    const known = this.#sliced.get(key);
    if (
      known?.service === service &&
      known.pods.length === pods.length &&
      known.pods.every((pod, at) => pod === pods[at])
    )
      return known;
    return { service, pods, slices: endpointSlicesOf(this.#cluster, service, pods) };
  }

  /** Endpoints of a Service with a selector are its controller's own, and already in its slices. */
  #mirror(objects: Map<string, Declared>): void {
    for (const { object, origin } of [...objects.values()].filter(({ object }) => isCore(object, "Endpoints"))) {
      const service = objects.get(kindKey("Service", namespaceOf(object), object.metadata.name));
      if (service === undefined || Object.keys(selectorOf(service.object)).length > 0) continue;
      let slices = this.#mirrored.get(object);
      if (slices === undefined) this.#mirrored.set(object, (slices = mirroredSlices(this.#cluster, object)));
      for (const slice of slices) addIfAbsent(objects, slice, origin);
    }
  }
}

function addIfAbsent(objects: Map<string, Declared>, object: KubeObject, origin: string): void {
  const key = keyOf(object);
  if (!objects.has(key)) objects.set(key, { object, origin });
}

const isCore = (object: KubeObject, kind: string): boolean => object.kind === kind && groupOf(object.apiVersion) === "";

/** Finds the pods of a selector without looking at all pods. */
class PodsByLabel {
  readonly #pods = new Map<string, KubeObject[]>();

  /** @param buckets remembers what each pod is found under. */
  constructor(pods: DeclaredObjects, buckets: WeakMap<KubeObject, readonly string[]>) {
    for (const { object } of pods.values()) {
      let own = buckets.get(object);
      if (own === undefined) buckets.set(object, (own = bucketsOf(object)));
      for (const bucket of own) {
        const members = this.#pods.get(bucket);
        if (members) members.push(object);
        else this.#pods.set(bucket, [object]);
      }
    }
  }

  /** In the order of the pods given. */
  selected(namespace: string, selector: Labels): readonly KubeObject[] {
    const buckets = Object.entries(selector).map(
      ([key, value]) => this.#pods.get(`${namespace}/${key}=${value}`) ?? [],
    );
    const [smallest = []] = buckets.sort((a, b) => a.length - b.length);
    return smallest.filter((pod) => selects(selector, pod.metadata.labels ?? {}));
  }
}

function bucketsOf(pod: KubeObject): readonly string[] {
  if (hasEnded(pod) || statedPodAddress(pod) === "") return [];
  return Object.entries(pod.metadata.labels ?? {}).map(([key, value]) => `${namespaceOf(pod)}/${key}=${value}`);
}
