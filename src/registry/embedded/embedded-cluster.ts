import { messageOf } from "../../errors.ts";
import type { Host, Logger } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import type { ObjectSink } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import type { Assignments, AssignmentStore } from "./assignment-store.ts";
import { Controllers, type Settled } from "./controllers.ts";
import { type Declared, type DeclaredObjects, groupOf } from "./declared.ts";
import { type FileChange, ManifestFolder } from "./manifest-folder.ts";
import { ManifestSet, type UnknownKind } from "./manifest-set.ts";
import { isWorkload } from "./workload-controllers.ts";

export interface EmbeddedClusterOptions {
  readonly cluster: ClusterId;
  /** Holds the manifests, at any depth. */
  readonly folder: string;
  /** Other folders of the same cluster, whose paths are shown whole; what they say comes after, in their order. */
  readonly furtherFolders?: readonly string[];
  /** True if the objects are those of a real cluster, whose controllers have done their part. */
  readonly observed?: boolean;
  /** Hears of every object it knows; several calls in one task are one change. */
  readonly sink: ObjectSink;
  /** True for kinds that the sink reads; the others stay inside, or are listed as unknown. */
  readonly knows: (kind: string, apiVersion: string) => boolean;
  readonly store: AssignmentStore;
  /** As `cluster.local`. */
  readonly clusterDomain: string;
  /** IPv4 ranges; by default those that kubeadm and kind use. Clusters on one network need pod ranges of their own. */
  readonly podCidr?: string;
  readonly serviceCidr?: string;
  readonly nodeCidr?: string;
  /** How many nodes there are if no manifest describes one; 2 by default. */
  readonly nodes?: number;
}

/**
 * A Kubernetes cluster that exists only as a folder of manifests: what an API server, its controllers, a scheduler and
 * the CNI agent of an ambient mesh would make of them, at rest. It follows every edit.
 */
export class EmbeddedCluster {
  readonly #log: Logger;
  readonly #host: Host;
  readonly #options: EmbeddedClusterOptions;
  readonly #manifests: ManifestSet;
  readonly #folders: readonly FollowedFolder[];
  readonly #observers = new Set<() => void>();
  #controllers: Controllers | undefined;
  #objects: DeclaredObjects = new Map();
  #problems: readonly Problem[] = [];
  #troubles: readonly Problem[] = [];
  #unknownKinds: readonly UnknownKind[] = [];
  #unsaved = false;
  #saving: Promise<void> | undefined;

  constructor(host: Host, options: EmbeddedClusterOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("embedded");
    this.#manifests = new ManifestSet(
      (kind, apiVersion) => isOurs(kind, apiVersion) || options.knows(kind, apiVersion),
    );
    const { folder, furtherFolders = [] } = options;
    const further = furtherFolders.map((other) => this.#follow(other, `${other}/`));
    this.#folders = [this.#follow(folder, ""), ...further];
  }

  /** What people wrote, and what controllers make of it, at rest. */
  get objects(): Iterable<Declared> {
    return this.#objects.values();
  }

  /** What is wrong with the manifests now. */
  get problems(): readonly Problem[] {
    return [...this.#troubles, ...this.#problems];
  }

  /** What the folder holds that nothing here reads. */
  get unknownKinds(): readonly UnknownKind[] {
    return this.#unknownKinds;
  }

  /** Calls `observer` after each change, whether or not it changed an object. */
  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  /**
   * Resolves once the sink has all objects.
   * @throws MeshError `absent` or `denied` if the folder cannot be read, `invalid` if it is a file or a range is none.
   */
  async start(): Promise<void> {
    const { cluster, clusterDomain, podCidr, serviceCidr, nodeCidr, nodes } = this.#options;
    this.#controllers = new Controllers(
      {
        cluster,
        clusterDomain,
        podCidr: podCidr ?? "10.244.0.0/16",
        serviceCidr: serviceCidr ?? "10.96.0.0/12",
        nodeCidr: nodeCidr ?? "172.18.0.0/16",
        nodes: nodes ?? 2,
      },
      await this.#load(),
    );
    for (const { folder, shown } of this.#folders) this.#apply((await folder.start()).map(shown));
  }

  /** Stops following the folder, and waits for what is being saved. The sink keeps what it has. */
  async close(): Promise<void> {
    for (const { folder } of this.#folders) await folder.close();
    await this.#saving;
  }

  #follow(folder: string, prefix: string): FollowedFolder {
    const shown = (change: FileChange): FileChange => ({ ...change, path: `${prefix}${change.path}` });
    const listener = {
      changed: (changes: readonly FileChange[]) => this.#apply(changes.map(shown)),
      trouble: (reason: string) => this.#trouble(reason),
    };
    return { folder: new ManifestFolder(this.#host.clock, folder, listener), shown };
  }

  #apply(changes: readonly FileChange[]): void {
    const startedMs = this.#host.clock.elapsedMs();
    for (const change of changes) {
      if (change.is === "text") this.#manifests.put(change.path, change.text);
      else if (change.is === "gone") this.#manifests.remove(change.path);
      else this.#manifests.refuse(change.path, change.reason);
    }
    const declarations = this.#manifests.declarations();
    const settled: Settled = this.#options.observed
      ? { objects: declarations.objects, problems: [], assigned: false }
      : this.#controllers!.settle(declarations.objects);
    const written = this.#write(settled.objects);
    this.#problems = [...declarations.problems, ...settled.problems];
    this.#unknownKinds = declarations.unknownKinds;
    if (settled.assigned) this.#save();
    this.#log.info(`applied ${changes.length} changed ${changes.length === 1 ? "file" : "files"}`, {
      cluster: this.#options.cluster,
      ...written,
      problems: this.#problems.length,
      ms: Math.round(this.#host.clock.elapsedMs() - startedMs),
    });
    for (const observer of this.#observers) observer();
  }

  /** Tells the sink what differs from what it has. */
  #write(objects: DeclaredObjects): { readonly set: number; readonly deleted: number } {
    const { sink, knows } = this.#options;
    let [set, deleted] = [0, 0];
    for (const [key, { object }] of this.#objects) {
      if (objects.has(key) || !knows(object.kind, object.apiVersion)) continue;
      sink.delete(object);
      deleted++;
    }
    for (const [key, { object, origin }] of objects) {
      const had = this.#objects.get(key);
      if ((had?.object === object && had.origin === origin) || !knows(object.kind, object.apiVersion)) continue;
      sink.set(object, origin);
      set++;
    }
    this.#objects = objects;
    return { set, deleted };
  }

  async #load(): Promise<Assignments> {
    try {
      return await this.#options.store.load();
    } catch (error) {
      // Addresses mostly follow from names, so starting without them is better than not starting.
      this.#trouble(`${messageOf(error)}; starting with new ones`);
      return {};
    }
  }

  /** One save at a time, after the change has passed on, and the last one wins. */
  #save(): void {
    this.#unsaved = true;
    this.#saving ??= this.#saveAll().finally(() => (this.#saving = undefined));
  }

  async #saveAll(): Promise<void> {
    await new Promise<void>((resolve) => this.#host.clock.after(0, resolve));
    while (this.#unsaved) {
      this.#unsaved = false;
      try {
        await this.#options.store.save(this.#controllers!.assignments);
      } catch (error) {
        this.#trouble(`${messageOf(error)}; after a restart some pods may have others`);
      }
    }
  }

  #trouble(message: string): void {
    this.#log.warn(message, { cluster: this.#options.cluster });
    const trouble: Problem = { object: this.#options.folder, origin: "", field: "", message, severity: "warning" };
    // The same trouble again is not another one.
    this.#troubles = [...this.#troubles.filter((known) => known.message !== message), trouble];
    for (const observer of this.#observers) observer();
  }
}

/** One folder of a cluster, and how its files are called among those of all. */
interface FollowedFolder {
  readonly folder: ManifestFolder;
  readonly shown: (change: FileChange) => FileChange;
}

const OURS: ReadonlySet<string> = new Set([
  ...["Namespace", "Node", "Pod", "Service", "Endpoints", "ServiceAccount"].map((kind) => `/${kind}`),
  "gateway.networking.k8s.io/Gateway",
]);

/** Kinds that have an effect here, whatever the sink reads. */
const isOurs = (kind: string, apiVersion: string): boolean =>
  isWorkload(kind, apiVersion) || OURS.has(`${groupOf(apiVersion)}/${kind}`);
