import { clusterId } from "../../../src/names.ts";
import type { Clock, Host } from "../../../src/host.ts";
import { Controllers, type ControllersOptions, type Settled } from "../../../src/registry/embedded/controllers.ts";
import type { Assignments } from "../../../src/registry/embedded/assignment-store.ts";
import { fieldsOf, textOf } from "../../../src/registry/embedded/fields.ts";
import { ManifestSet } from "../../../src/registry/embedded/manifest-set.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../../src/kube/object.ts";

/** An embedded cluster without files: texts in, objects out. */
export class Lab {
  readonly manifests = new ManifestSet(() => true);
  readonly controllers: Controllers;
  settled: Settled = { objects: new Map(), problems: [], assigned: false };

  constructor(options: Partial<ControllersOptions> = {}, saved: Assignments = {}) {
    const defaults = { podCidr: "10.244.0.0/16", serviceCidr: "10.96.0.0/12", nodeCidr: "172.18.0.0/16", nodes: 2 };
    const names = { cluster: clusterId("east"), clusterDomain: "cluster.local" };
    this.controllers = new Controllers({ ...defaults, ...names, ...options }, saved);
  }

  apply(files: Readonly<Record<string, string | undefined>>): this {
    for (const [path, text] of Object.entries(files))
      if (text === undefined) this.manifests.remove(path);
      else this.manifests.put(path, text);
    this.settled = this.controllers.settle(this.manifests.declarations().objects);
    return this;
  }

  get problems(): readonly string[] {
    const all = [...this.manifests.declarations().problems, ...this.settled.problems];
    return all.map((problem) => `${problem.origin} ${problem.object}: ${problem.message}`);
  }

  all(kind: string): readonly KubeObject[] {
    return [...this.settled.objects.values()].map(({ object }) => object).filter((object) => object.kind === kind);
  }

  get(key: string): KubeObject | undefined {
    return this.settled.objects.get(key)?.object;
  }

  /** Each pod's address and node, by name. */
  get pods(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.all("Pod").map((pod) => [pod.metadata.name, `${ipOf(pod)} ${nodeOf(pod)}`]));
  }
}

export const ipOf = (pod: KubeObject): string => textOf(fieldsOf(pod["status"])["podIP"]);
export const nodeOf = (pod: KubeObject): string => textOf(fieldsOf(pod["spec"])["nodeName"]);

/** A Deployment of one container; `rest` is more of its spec, as flow YAML without braces. */
export function deployment(name: string, replicas: number | string, rest = "", annotations = ""): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}, annotations: {${annotations}}}
    spec: {containers: [{name: app, ports: [{name: http, containerPort: 9080}]}]${rest === "" ? "" : `, ${rest}`}}
`;
}

/** What a sink was told, in order, as `set Pod shop/cart-0`. */
export class RecordingSink implements ObjectSink {
  readonly objects = new Map<string, KubeObject>();
  readonly origins = new Map<string, string>();
  told: string[] = [];

  set(object: KubeObject, origin: string): void {
    const key = `${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}`;
    this.objects.set(key, object);
    this.origins.set(key, origin);
    this.told.push(`set ${key}`);
  }
  delete({ kind, metadata }: ObjectReference): void {
    const key = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
    this.objects.delete(key);
    this.told.push(`delete ${key}`);
  }
}

/** The machine's own time, and nothing else of it: for tests of the files below a real folder. */
export function realHost(): Host {
  const clock: Clock = {
    now: () => Date.now(),
    elapsedMs: () => performance.now(),
    after: (delayMs, task) => {
      const timer = setTimeout(task, delayMs);
      return { [Symbol.dispose]: () => clearTimeout(timer) };
    },
  };
  const quiet = { enabled: () => false, debug() {}, info() {}, warn() {}, error() {} };
  const metric = { add() {}, set() {}, remove() {}, observe() {} };
  return {
    clock,
    random: { next: () => 0, bytes: (length) => new Uint8Array(length) },
    log: { scope: () => quiet },
    metrics: { counter: () => metric, gauge: () => metric, histogram: () => metric },
  };
}
