import { MeshError } from "../../errors.ts";
import type { Host } from "../../host.ts";
import { ApiError, type KubeApi, type ResourceType } from "../../kube/api.ts";
import type { ObjectSink } from "../../kube/object.ts";
import { getObject } from "../../kube/objects-api.ts";
import { Reflector } from "../../kube/reflector.ts";
import { RelistGate } from "../../kube/relist-gate.ts";
import { SECRETS } from "../../kube/resource-types.ts";
import type { Problem } from "../../registry/model/problem.ts";
import type { ObjectName } from "../policy.ts";
import type { ObjectFeed } from "./object-feed.ts";
import { secretTexts } from "./secret-texts.ts";
import { TRUST_TYPES } from "./trust-types.ts";

/** How soon a kind is seen whose CRD came after us. */
const LOOK_AGAIN_MS = 1_000;

/** The objects of one namespace of an API server. */
export class KubernetesObjects implements ObjectFeed {
  readonly title: string;
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #namespace: string;
  readonly #reflectors: { readonly type: ResourceType; readonly reflector: Reflector }[] = [];
  /** Kinds that were not served when they were looked for, and were not listed since. */
  readonly #unserved = new Set<ResourceType>();
  #looking: Disposable | undefined;

  constructor(host: Host, api: KubeApi, namespace: string) {
    this.title = `namespace ${namespace} of ${api.server}`;
    this.#host = host;
    this.#api = api;
    this.#namespace = namespace;
  }

  /** A server that has not loaded our CRDs yet must not pass for one without clusters: those would be forgotten. */
  start(sink: ObjectSink, signal: AbortSignal): Promise<void> {
    const gate = new RelistGate();
    const unlisted = new Set(TRUST_TYPES.map(({ kind }) => kind));
    return new Promise((resolve, reject) => {
      for (const type of TRUST_TYPES) {
        const onSynced = (): void =>
          void (unlisted.delete(type.kind) && unlisted.size === 0 && this.#whenServed(resolve));
        const options = { cluster: "", type, namespace: this.#namespace, sink, onSynced };
        this.#reflectors.push({ type, reflector: new Reflector(this.#host, this.#api, gate, options) });
      }
      for (const { reflector } of this.#reflectors) reflector.start();
      const why = (): string => this.problems()[0]?.message ?? `${[...unlisted].join(", ")} are not listed`;
      const ended = (): void => reject(new MeshError("unavailable", `${this.title}: ${why()}`));
      signal.addEventListener("abort", ended, { once: true });
    });
  }

  /** The manager asks again by itself: to watch Secrets, one would have to be allowed to read all of them. */
  onSecrets(): void {}

  async secret({ namespace, name }: ObjectName, signal: AbortSignal): Promise<ReadonlyMap<string, string> | "absent"> {
    try {
      const found = await getObject(this.#api, { type: SECRETS, version: "v1", namespace, name }, signal);
      return found === undefined ? "absent" : secretTexts(found);
    } catch (thrown) {
      if (!(thrown instanceof ApiError) || thrown.status !== 403) throw thrown;
      const fix = `grant get on secrets in namespace ${namespace}, or name it in secrets of the chart trust-manager`;
      throw new MeshError("denied", `Secret ${namespace}/${name} may not be read; ${fix}`, {}, { cause: thrown });
    }
  }

  problems(): readonly Problem[] {
    return this.#reflectors.flatMap(({ type, reflector }) => {
      const { problem, phase } = reflector.state;
      const why =
        phase === "absent" ? `${this.#api.server} does not serve them; kubectl apply -f deploy/crds` : problem;
      if (why === undefined) return [];
      const message = `${type.plural} of ${this.#namespace} are not read: ${why}.`;
      return [{ object: type.kind, origin: "", field: "", message, severity: "error" } as const];
    });
  }

  async close(): Promise<void> {
    this.#looking?.[Symbol.dispose]();
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.close()));
  }

  #whenServed(resolve: () => void): void {
    for (const { type, reflector } of this.#reflectors) {
      const { phase } = reflector.state;
      if (phase === "absent") this.#unserved.add(type);
      if (phase === "watching") this.#unserved.delete(type);
    }
    if (this.#unserved.size === 0) resolve();
    else this.#looking = this.#host.clock.after(LOOK_AGAIN_MS, () => this.#whenServed(resolve));
  }
}
