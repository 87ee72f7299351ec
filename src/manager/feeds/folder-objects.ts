import { isDeepStrictEqual } from "node:util";
import { MeshError } from "../../errors.ts";
import type { Clock, Host, Logger } from "../../host.ts";
import type { KubeObject, ObjectSink } from "../../kube/object.ts";
import { type Declared, type DeclaredObjects, problemOf, titleOf } from "../../registry/embedded/declared.ts";
import { type FileChange, ManifestFolder } from "../../registry/embedded/manifest-folder.ts";
import { ManifestSet } from "../../registry/embedded/manifest-set.ts";
import type { Problem } from "../../registry/model/problem.ts";
import type { ObjectName } from "../policy.ts";
import { isTrustKind, type ObjectFeed } from "./object-feed.ts";
import { secretTexts } from "./secret-texts.ts";

/** A folder of manifests, with the Secrets that they name among them. */
export class FolderObjects implements ObjectFeed {
  readonly title: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #namespace: string;
  /** When each object came: of two that cannot both hold, the older one does. */
  readonly #since = new Map<string, string>();
  readonly #folder: ManifestFolder;
  readonly #set = new ManifestSet((kind, apiVersion) => isTrustKind(kind, apiVersion) || isSecret(kind, apiVersion));
  #objects: DeclaredObjects = new Map();
  #problems: readonly Problem[] = [];
  #trouble: string | undefined;
  #sink: ObjectSink | undefined;
  #secretsChanged: () => void = () => {};

  /** @param namespace of the objects that count, as an API server's would be; Secrets may be in any. */
  constructor(host: Host, folder: string, namespace: string) {
    this.#clock = host.clock;
    this.#namespace = namespace;
    this.title = `the folder ${folder}`;
    this.#log = host.log.scope("trust");
    this.#folder = new ManifestFolder(host.clock, folder, {
      changed: (changes) => this.#take(changes),
      trouble: (reason) => {
        this.#trouble = reason;
        this.#log.warn(reason);
      },
    });
  }

  async start(sink: ObjectSink): Promise<void> {
    this.#sink = sink;
    this.#take(await this.#folder.start());
  }

  onSecrets(observer: () => void): void {
    this.#secretsChanged = observer;
  }

  secret({ namespace, name }: ObjectName): Promise<ReadonlyMap<string, string> | "absent"> {
    const found = this.#objects.get(`Secret/${namespace}/${name}`);
    if (found === undefined) return Promise.resolve("absent");
    try {
      return Promise.resolve(secretTexts(found.object));
    } catch (thrown) {
      return Promise.reject(MeshError.from(thrown));
    }
  }

  problems(): readonly Problem[] {
    if (this.#trouble === undefined) return this.#problems;
    const watching = { object: this.title, origin: "", field: "", message: `${this.#trouble}.`, severity: "warning" };
    return [...this.#problems, watching as Problem];
  }

  close(): Promise<void> {
    return this.#folder.close();
  }

  #take(changes: readonly FileChange[]): void {
    for (const change of changes) {
      if (change.is === "text") this.#set.put(change.path, change.text);
      else if (change.is === "gone") this.#set.remove(change.path);
      else this.#set.refuse(change.path, change.reason);
    }
    const { objects: all, problems: faults } = this.#set.declarations();
    const counts = ({ object }: Declared): boolean =>
      object.kind === "Secret" || (object.metadata.namespace ?? "default") === this.#namespace;
    const objects = new Map([...all].filter(([, declared]) => counts(declared)));
    const strangers = [...all.values()].filter((declared) => !counts(declared));
    const problems = [...faults, ...strangers.map((declared) => this.#misplaced(declared))];
    const before = this.#objects;
    this.#objects = objects;
    this.#sayNew(problems);
    this.#problems = problems;
    this.#tell(before, objects);
  }

  #misplaced(declared: Declared): Problem {
    const message = `${titleOf(declared.object)} has no effect: only those in namespace ${this.#namespace} count; move it there.`;
    return problemOf(declared, { field: "metadata.namespace", message, severity: "warning" });
  }

  #dated(key: string, object: KubeObject): KubeObject {
    const creationTimestamp = this.#since.get(key) ?? `${new Date(this.#clock.now()).toISOString().slice(0, 19)}Z`;
    this.#since.set(key, creationTimestamp);
    return { ...object, metadata: { creationTimestamp, ...object.metadata } };
  }

  #tell(before: DeclaredObjects, after: DeclaredObjects): void {
    let secrets = false;
    for (const [key, { object, origin }] of after) {
      if (isDeepStrictEqual(before.get(key)?.object, object)) continue;
      if (object.kind === "Secret") secrets = true;
      else this.#sink?.set(this.#dated(key, placed(object)), origin);
    }
    for (const [key, { object }] of before) {
      if (after.has(key)) continue;
      this.#since.delete(key);
      if (object.kind === "Secret") secrets = true;
      else this.#sink?.delete(placed(object));
    }
    if (secrets) this.#secretsChanged();
  }

  #sayNew(problems: readonly Problem[]): void {
    const said = new Set(this.#problems.map(({ message }) => message));
    for (const { object, origin, message } of problems)
      if (!said.has(message)) this.#log.error(message, { object, origin });
  }
}

/** What an API server would do with an object that names no namespace. */
const placed = (object: KubeObject): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, namespace: object.metadata.namespace ?? "default" },
});

const isSecret = (kind: string, apiVersion: string): boolean => kind === "Secret" && apiVersion === "v1";
