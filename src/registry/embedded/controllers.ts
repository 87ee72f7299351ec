import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import { AddressPool } from "./address-pool.ts";
import type { Assignments } from "./assignment-store.ts";
import {
  admit,
  type Declared,
  type DeclaredObjects,
  groupOf,
  keyOf,
  kindKey,
  namespaceOf,
  problemOf,
} from "./declared.ts";
import type { Labels } from "./fields.ts";
import { deployGateway } from "./gateway-controller.ts";
import { Kubelets, statedNodeAddress, syntheticNodes } from "./nodes.ts";
import { controllerOf, type PodDraft } from "./pod-drafts.ts";
import { type DeclaredDraft, exhaustedProblem, PodLifecycle } from "./pod-lifecycle.ts";
import { statedPodAddress } from "./pods.ts";
import { Scheduler } from "./scheduler.ts";
import { ServiceControllers } from "./service-controllers.ts";
import { statedClusterIp } from "./services.ts";
import { expand, type Expansion, isWorkload } from "./workload-controllers.ts";

export interface ControllersOptions {
  readonly cluster: ClusterId;
  /** The suffix of service hostnames. */
  readonly clusterDomain: string;
  /** IPv4 ranges. Pods of several clusters on one network need ranges of their own. */
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly nodeCidr: string;
  /** How many nodes there are if no manifest describes one. */
  readonly nodes: number;
}

/** All objects of a cluster at rest. */
export interface Settled {
  readonly objects: DeclaredObjects;
  readonly problems: readonly Problem[];
  /** True if `Controllers.assignments` differs from before. */
  readonly assigned: boolean;
}

/**
 * What makes a cluster out of manifests: admission, the controllers, the scheduler, the kubelets, the CNI. `settle` is
 * a function of its argument and of what was assigned before; an object that did not change is the same object again.
 */
export class Controllers {
  readonly #options: ControllersOptions;
  readonly #pools: Readonly<Record<"pod" | "service" | "node", AddressPool>>;
  readonly #scheduler: Scheduler;
  readonly #kubelets = new Kubelets();
  readonly #pods: PodLifecycle;
  readonly #services: ServiceControllers;
  readonly #synthetic: readonly Declared[];
  // What an object became when it was last looked at, for as long as its manifest stays.
  readonly #admitted = new WeakMap<KubeObject, KubeObject>();
  readonly #gateways = new WeakMap<KubeObject, readonly KubeObject[]>();
  readonly #bare = new WeakMap<KubeObject, PodDraft>();
  readonly #expansions = new WeakMap<KubeObject, { nodes: readonly KubeObject[]; expansion: Expansion }>();
  readonly #namespaces = new Map<string, KubeObject>();
  #nodes: readonly KubeObject[] = [];

  /** @throws MeshError `invalid` naming the range that cannot be one. */
  constructor(options: ControllersOptions, saved: Assignments) {
    this.#options = options;
    this.#pools = {
      pod: new AddressPool("podCidr", options.podCidr, saved["pods"]),
      service: new AddressPool("serviceCidr", options.serviceCidr, saved["services"]),
      node: new AddressPool("nodeCidr", options.nodeCidr, saved["nodes"]),
    };
    this.#scheduler = new Scheduler(saved["places"]);
    this.#pods = new PodLifecycle(this.#scheduler, this.#pools.pod);
    this.#services = new ServiceControllers(options.cluster, this.#pools.service);
    this.#synthetic = syntheticNodes(options.cluster, options.nodes);
  }

  settle(declared: DeclaredObjects): Settled {
    const problems: Problem[] = [];
    const objects = this.#admit(declared);
    this.#deployGateways(objects);
    this.#beginPools(objects);
    const addressOfNode = this.#registerNodes(objects, problems);
    const drafts = this.#draftPods(objects, problems);
    this.#completeNamespaces(objects);
    const labelsOfNamespace = (namespace: string): Labels =>
      objects.get(kindKey("Namespace", "", namespace))?.object.metadata.labels ?? {};
    const pods = this.#pods.run(drafts, { addressOfNode, labelsOfNamespace }, problems);
    for (const [key, pod] of pods) objects.set(key, pod);
    this.#services.settle(objects, pods, problems);
    return { objects, problems, assigned: this.#end() };
  }

  #admit(declared: DeclaredObjects): Map<string, Declared> {
    const objects = new Map<string, Declared>();
    for (const [key, { object, origin }] of declared) {
      let admitted = this.#admitted.get(object);
      if (admitted === undefined) this.#admitted.set(object, (admitted = admit(this.#options.cluster, object)));
      objects.set(key, { object: admitted, origin });
    }
    return objects;
  }

  #deployGateways(objects: Map<string, Declared>): void {
    for (const [key, { object, origin }] of [...objects]) {
      if (object.kind !== "Gateway" || groupOf(object.apiVersion) !== "gateway.networking.k8s.io") continue;
      let made = this.#gateways.get(object);
      if (made === undefined) {
        made = deployGateway(this.#options.cluster, object, this.#options.clusterDomain) ?? [object];
        this.#gateways.set(object, made);
      }
      for (const each of made) {
        const eachKey = keyOf(each);
        // What a manifest states itself is not replaced, as a Service that was exported with its waypoint.
        if (eachKey === key || !objects.has(eachKey)) objects.set(eachKey, { object: each, origin });
      }
    }
  }

  #beginPools(objects: DeclaredObjects): void {
    const stated: Record<"pod" | "service" | "node", string[]> = { pod: [], service: [], node: [] };
    for (const { object } of objects.values()) {
      if (object.kind === "Pod") stated.pod.push(statedPodAddress(object));
      else if (object.kind === "Service") stated.service.push(statedClusterIp(object));
      else if (object.kind === "Node") stated.node.push(statedNodeAddress(object));
    }
    this.#pools.pod.begin(stated.pod);
    this.#pools.service.begin(stated.service);
    this.#pools.node.begin(stated.node);
  }

  #registerNodes(objects: Map<string, Declared>, problems: Problem[]): ReadonlyMap<string, string> {
    const stated = [...objects.values()].filter(({ object }) => object.kind === "Node");
    const all = stated.length > 0 ? stated : [...this.#synthetic];
    all.sort((a, b) => (a.object.metadata.name < b.object.metadata.name ? -1 : 1));
    const registered = all.map(({ object, origin }) => {
      const node = { object: this.#kubelets.register(object, this.#pools.node), origin };
      if (statedNodeAddress(node.object) === "") problems.push(exhaustedProblem(node, 1, "node"));
      objects.set(keyOf(node.object), node);
      return node.object;
    });
    this.#kubelets.retain(new Set(registered.map((node) => node.metadata.name)));
    const same = registered.length === this.#nodes.length && registered.every((node, at) => node === this.#nodes[at]);
    if (!same) this.#nodes = registered;
    this.#scheduler.begin(this.#nodes);
    return new Map(registered.map((node) => [node.metadata.name, statedNodeAddress(node)]));
  }

  #draftPods(objects: Map<string, Declared>, problems: Problem[]): DeclaredDraft[] {
    const drafts: DeclaredDraft[] = [];
    // A folder may hold what `kubectl get -o yaml` printed: workloads together with the pods that were made of them.
    const makers = new Set([...objects.values()].map(({ object }) => controllerOf(object)));
    for (const [key, declared] of [...objects]) {
      const { object, origin } = declared;
      if (object.kind === "Pod") drafts.push({ draft: this.#barePod(object), origin });
      else if (isWorkload(object.kind, object.apiVersion) && !makers.has(key)) {
        const { pods, objects: between, faults } = this.#expand(object);
        for (const each of between) if (!objects.has(keyOf(each))) objects.set(keyOf(each), { object: each, origin });
        for (const draft of pods) if (!objects.has(draft.key)) drafts.push({ draft, origin });
        for (const fault of faults) problems.push(problemOf(declared, fault));
      }
    }
    return drafts;
  }

  #barePod(object: KubeObject): PodDraft {
    let draft = this.#bare.get(object);
    if (draft === undefined)
      this.#bare.set(object, (draft = { object, key: keyOf(object), group: keyOf(object), index: 0 }));
    return draft;
  }

  #expand(object: KubeObject): Expansion {
    const known = this.#expansions.get(object);
    // Only a DaemonSet looks at the nodes.
    if (known && (known.nodes === this.#nodes || object.kind !== "DaemonSet")) return known.expansion;
    const expansion = expand(object, { cluster: this.#options.cluster, nodes: this.#nodes });
    this.#expansions.set(object, { nodes: this.#nodes, expansion });
    return expansion;
  }

  /** Every namespace that is mentioned exists. */
  #completeNamespaces(objects: Map<string, Declared>): void {
    const mentioned = new Set([...objects.values()].map(({ object }) => namespaceOf(object)));
    mentioned.delete("");
    for (const name of mentioned) {
      const key = kindKey("Namespace", "", name);
      if (objects.has(key)) continue;
      let namespace = this.#namespaces.get(name);
      if (namespace === undefined) {
        namespace = admit(this.#options.cluster, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
        this.#namespaces.set(name, namespace);
      }
      objects.set(key, { object: namespace, origin: "" });
    }
  }

  /** What to save; costs time by the pod, so not to be asked for on the way of a change. */
  get assignments(): Assignments {
    const { pod, service, node } = this.#pools;
    return { pods: pod.toJSON(), services: service.toJSON(), nodes: node.toJSON(), places: this.#scheduler.toJSON() };
  }

  #end(): boolean {
    const { pod, service, node } = this.#pools;
    return [pod.end(), service.end(), node.end(), this.#scheduler.end()].includes(true);
  }
}
