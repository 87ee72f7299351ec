import { objectKey, type ClusterId, type ObjectKey } from "../names.ts";
import type { ChangeBatch, Collection } from "../registry/collection/collection.ts";
import { filter } from "../registry/collection/filter.ts";
import { Index } from "../registry/collection/index-by.ts";
import { Source } from "../registry/collection/source.ts";
import type { ClusterSpiffeId } from "../registry/kube/cluster-spiffe-id.ts";
import type { TemplatePlace } from "../registry/kube/entry-template.ts";
import type { Problem } from "../registry/model/problem.ts";
import { spiffeIdSelections } from "../registry/spiffe-id-matches.ts";
import type { UncoveredPod } from "../registry/spire-coverage.ts";
import { builtinSpiffeIds } from "../registry/wanted/builtin-spiffe-ids.ts";
import {
  podEntries,
  podInIds,
  podOfOwnEntry,
  type PodEntries,
  type WantedEntry,
} from "../registry/wanted/spire-entries.ts";
import { nodeAgents } from "../spire/node-agents.ts";
import type { ParentOf } from "../spire/registration-plan.ts";
import { Registrar, type Registration, type RegistrationState } from "../spire/registrar.ts";
import type { SpireAgent, SpireEntry, SpireServer } from "../spire/spire.ts";
import type { Census } from "../spire/status/census.ts";
import { EntryCensus } from "../spire/status/entry-census.ts";
import type { ClusterContext, Clusters, WriterElection } from "./clusters.ts";
import { censusProblems, registrationProblems } from "./registration-problems.ts";
import { RegistrationTemplates } from "./registration-templates.ts";
import { spireClaims } from "./spire-claims.ts";
import { SpireCoverage, type SpiffeIdView } from "./spire-coverage.ts";

/** What an operator sees of how pods come to be known to SPIRE. */
export interface SpireRegistrationView {
  /** `off`, `built-in`, or the file of our templates. */
  readonly register: string;
  /** Of entries that we make; undefined if we make none. */
  readonly state: RegistrationState | undefined;
  /** Why the file of our templates does not count as it is now. */
  readonly fileTrouble: string | undefined;
  /** ClusterSPIFFEIDs of the cluster, and our own templates. */
  readonly spiffeIds: readonly SpiffeIdView[];
  /** Pods of the mesh whose identity none of those gives them. */
  readonly uncovered: readonly UncoveredPod[];
  /** For whom SPIRE has entries; undefined unless it signs by them, or is to. */
  readonly census: Census | undefined;
  readonly problems: readonly Problem[];
}

/** One replica registers, whatever its revision: what it writes is about the whole cluster. */
const LEASE = "causeway-spire-registrar";

/**
 * How pods come to be known to SPIRE: by entries that we make of templates, if we are to; and whether ClusterSPIFFEIDs
 * miss any of the mesh.
 */
export class SpireRegistration {
  readonly #context: ClusterContext;
  readonly #place: TemplatePlace & { readonly localCluster: ClusterId };
  readonly #templates: Source<ObjectKey, ClusterSpiffeId>;
  readonly #coverage: SpireCoverage;
  readonly #file: RegistrationTemplates | undefined;
  /** Undefined if we register nobody. */
  readonly #pods: Collection<ObjectKey, PodEntries> | undefined;
  readonly #troubled: Collection<ObjectKey, PodEntries> | undefined;
  readonly #registrar: Registrar | undefined;
  /** Of all pods, by id. */
  readonly #wanted = new Map<string, WantedEntry>();
  readonly #census: EntryCensus | undefined;
  readonly #following: Disposable[] = [];
  #election: WriterElection | undefined;

  /** Before the graph's first flush. @param server asked only if the configuration says that we register. */
  constructor(context: ClusterContext, server: SpireServer | undefined) {
    const { host, config, graph, registry, noteProblems } = context;
    const { templates, removalShare } = config.spire.register;
    const localCluster = registry.statusInputs.localCluster;
    const { trustDomain, clusterDomain } = registry.mesh;
    const clusterName = config.spire.cluster ?? localCluster;
    const at = (this.#place = { trustDomain, clusterDomain, clusterName, localCluster });
    this.#context = context;
    this.#templates = new Source(graph, "registered-spiffe-ids");
    this.#coverage = new SpireCoverage(graph, registry, config, at, this.#templates);
    this.#following.push(this.#coverage.uncovered.observe(noteProblems));
    // Before SPIRE signs, it shows who would be refused then; of those whom we register the registrar knows.
    const { identity } = config.spire;
    const counts = identity === "spire" || (identity === "mesh" && templates === undefined);
    if (server !== undefined && counts) this.#census = this.#newCensus(server);
    if (templates === undefined || server === undefined) return;
    const spiffeIds = new Index(graph, this.#templates, "cluster", ({ id }) => [id.cluster]);
    const inputs = { objects: registry.objects, spiffeIds };
    const selections = spiffeIdSelections(graph, "registered-spiffe-ids-selecting", inputs, localCluster);
    this.#pods = podEntries(graph, { objects: registry.objects, selections }, at);
    this.#troubled = filter(graph, "troubled-spire-entries", this.#pods, (pod) => pod.troubles.length > 0);
    this.#registrar = new Registrar(host, server, this.#registration(), removalShare);
    this.#following.push(
      this.#pods.observe((batch) => this.#note(batch)),
      registry.objects.clusterSpiffeIds.observe(() => this.#registrar!.noteChange()),
    );
    if (templates === "built-in") return;
    const take = (found: readonly ClusterSpiffeId[]): void => this.#take(found);
    this.#file = new RegistrationTemplates(host, templates.file, localCluster, take, noteProblems);
  }

  /** Before the clusters are known, as all of their pods are looked at. @throws MeshError for a file that cannot be used. */
  async open(): Promise<void> {
    if (this.#file !== undefined) await this.#file.open();
    else if (this.#registrar !== undefined) this.#take(builtinSpiffeIds());
  }

  /** Once the clusters are known: before, it would seem that there is nobody to register. */
  start(clusters: Pick<Clusters, "election">): void {
    this.#census?.start();
    const registrar = this.#registrar;
    if (registrar === undefined) return;
    this.#election = clusters.election(LEASE);
    if (this.#election === undefined) registrar.begin({ lives: () => true });
    this.#election?.observe((term) => (term === undefined ? registrar.end() : registrar.begin(term)));
    this.#election?.start();
  }

  view(): SpireRegistrationView {
    const { templates } = this.#context.config.spire.register;
    return {
      register: templates === undefined ? "off" : templates === "built-in" ? templates : templates.file,
      state: this.#registrar?.state,
      fileTrouble: this.#file?.trouble,
      spiffeIds: this.#coverage.views(),
      uncovered: Array.from(this.#coverage.uncovered.entries(), ([, pod]) => pod),
      census: this.#census?.census,
      problems: this.problems(),
    };
  }

  problems(): readonly Problem[] {
    const coverage = [
      ...this.#coverage.problems(),
      ...censusProblems(this.#census?.census, this.#context.config.spire.identity),
    ];
    if (this.#registrar === undefined) return coverage;
    const facts = {
      state: this.#registrar.state,
      pods: this.#pods!,
      troubled: this.#troubled!,
      fileTrouble: this.#file?.trouble,
      cluster: this.#place.clusterName,
    };
    return [...coverage, ...registrationProblems(facts)];
  }

  async close(): Promise<void> {
    this.#census?.close();
    this.#registrar?.end();
    this.#file?.close();
    for (const following of this.#following) following[Symbol.dispose]();
    await this.#election?.close();
  }

  #newCensus(server: SpireServer): EntryCensus {
    const { host, config, registry, noteProblems } = this.#context;
    const { localCluster, clusterName, trustDomain } = this.#place;
    const claimed = () => spireClaims(registry, config, localCluster, clusterName);
    return new EntryCensus(host, { server, trustDomain, cluster: clusterName, claimed, onChange: noteProblems });
  }

  #take(templates: readonly ClusterSpiffeId[]): void {
    const { localCluster } = this.#place;
    const prefix = `${localCluster}/ours/`;
    const own = templates.map((one) => {
      const id = { ...one.id, cluster: localCluster };
      return [`${prefix}${one.id.name}` as ObjectKey, { ...one, id }] as const;
    });
    this.#templates.replace(prefix, own);
  }

  #registration(): Registration {
    const { clusterName } = this.#place;
    return {
      wanted: () => this.#wanted,
      isOwn: (id) => podOfOwnEntry(clusterName, id) !== undefined,
      removable: () => this.#removable(),
      paused: () => this.#paused(),
      parents: (agents) => this.#parents(agents),
      stateChanged: () => this.#context.noteProblems(),
    };
  }

  #note(batch: ChangeBatch<ObjectKey, PodEntries>): void {
    for (const { before } of batch) for (const { id } of before?.entries ?? []) this.#wanted.delete(id);
    for (const { after } of batch) for (const entry of after?.entries ?? []) this.#wanted.set(entry.id, entry);
    this.#registrar!.noteChange();
  }

  /** Not of a pod whose templates fail, nor where pods cannot be read: that a pod is not seen says nothing there. */
  #removable(): (entry: SpireEntry) => boolean {
    const { clusterName, localCluster } = this.#place;
    const troubled = new Set(Array.from(this.#troubled!.entries(), ([, { uid }]) => podInIds(uid)));
    const unread = new Set<string>();
    for (const [key] of this.#context.registry.objects.unreadable.entries()) {
      const [cluster, kind, namespace] = key.split("/");
      if (cluster === localCluster && kind === "Pod") unread.add(namespace ?? "");
    }
    return ({ id, spiffeId }) => {
      const [, namespace] = /\/ns\/([^/]+)\//.exec(spiffeId) ?? [];
      const seen = namespace === undefined ? unread.size === 0 : !unread.has(namespace);
      return seen && !troubled.has(podOfOwnEntry(clusterName, id) ?? "");
    };
  }

  #paused(): string | undefined {
    const { controller } = this.#coverage;
    if (controller === undefined || this.#context.config.spire.register.besideController) return undefined;
    return (
      `SPIRE's controller makes entries here: it has handled ClusterSPIFFEID ${controller}, and two who do it get in ` +
      "each other's way. Turn --spire-register off, or allow both with --spire-register-beside-controller on"
    );
  }

  #parents(agents: readonly SpireAgent[]): ParentOf {
    const { clusterName, localCluster } = this.#place;
    const { byName, byUid } = nodeAgents(agents, clusterName, this.#context.host.clock.now());
    const { nodes } = this.#context.registry.objects;
    return (node) => byName.get(node) ?? byUid.get(nodes.get(objectKey(localCluster, "", node))?.uid ?? "");
  }
}
