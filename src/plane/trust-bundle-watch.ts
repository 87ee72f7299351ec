import type { Host } from "../host.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject, ObjectSink } from "../kube/object.ts";
import { Reflector } from "../kube/reflector.ts";
import { CLUSTER_TRUST_BUNDLES } from "../kube/resource-types.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import { type FoundBundle, TRUST_BUNDLE } from "../registry/wanted/trust-bundle.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

/** How often it is looked whether the API server has the kind now, or has it no more. */
const LOOK_MS = 5_000;

/** Whether the API server has ClusterTrustBundles, and what ours holds: of the others none is our business. */
export class TrustBundleWatch implements ObjectSink {
  readonly #host: Host;
  readonly #found: Source<"bundle", { readonly pem: string | undefined }>;
  readonly #reflector: Reflector;
  #pem: string | undefined;
  #timer: Disposable | undefined;

  constructor(host: Host, graph: Graph, { api, gate }: KubernetesAccess, cluster: string) {
    this.#host = host;
    this.#found = new Source(graph, "found-trust-bundle");
    const fieldSelector = `metadata.name=${TRUST_BUNDLE}`;
    const options = { cluster, type: CLUSTER_TRUST_BUNDLES, fieldSelector, sink: this, onSynced: () => this.#look() };
    this.#reflector = new Reflector(host, api, gate, options);
  }

  get found(): FoundBundle {
    return this.#found;
  }

  start(): void {
    this.#reflector.start();
  }

  set(object: KubeObject): void {
    const { spec } = object;
    const pem = isFields(spec) ? spec["trustBundle"] : undefined;
    this.#pem = typeof pem === "string" ? pem : "";
    this.#look();
  }

  delete(): void {
    this.#pem = undefined;
    this.#look();
  }

  async close(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#reflector.close();
  }

  #look(): void {
    const { phase, synced } = this.#reflector.state;
    if (phase === "closed") return;
    if (phase === "absent") this.#found.delete("bundle");
    else if (synced) this.#found.set("bundle", { pem: this.#pem });
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(LOOK_MS, () => this.#look());
  }
}
