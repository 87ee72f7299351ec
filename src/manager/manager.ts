import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../kube/object.ts";
import type { Problem } from "../registry/model/problem.ts";
import { ClusterLedger } from "./cluster-ledger.ts";
import { TrustDesk } from "./desk.ts";
import type { ObjectFeed } from "./feeds/object-feed.ts";
import { type Findings, judgedObjects, trustView } from "./findings.ts";
import type { Issuer } from "./issuer.ts";
import { ManagerMemory } from "./manager-memory.ts";
import { TrustObjectBook } from "./plan/trust-object-book.ts";
import { planTrust, type TrustPlan } from "./plan/plan.ts";
import { PassiveRoots } from "./passive-roots.ts";
import { RootRotation, rotationMemoryOf } from "./rotation/rotation.ts";
import { Sources, type WantedSource } from "./sources.ts";
import { TrustStatuses } from "./statuses.ts";
import type { TrustStore } from "./store/store.ts";
import type { TrustView } from "./view.ts";

/** Certificates end, and clocks are set, without anybody saying so. */
const LOOK_MS = 60_000;
const RETRY_MS = 5_000;
/** What differs by times alone is not written more often: a cluster may say as much as it likes. */
const REWRITE_MS = 60_000;

export interface ManagerParts {
  readonly feed: ObjectFeed;
  readonly store: TrustStore;
  /** @throws MeshError for a source that cannot be opened. */
  readonly openIssuer: (wanted: WantedSource) => Issuer;
}

/**
 * The trust manager without its ports: objects to a plan, the plan and what sources and clusters say to an order for each
 * cluster, and a status for each object.
 */
export class TrustManager {
  readonly statuses = new TrustStatuses();
  readonly desk: TrustDesk;
  readonly #host: Host;
  readonly #parts: ManagerParts;
  readonly #memory: ManagerMemory;
  readonly #ledger: ClusterLedger;
  readonly #sources: Sources;
  readonly #passive: PassiveRoots;
  readonly #rotation: RootRotation;
  readonly #book = new TrustObjectBook();
  #plan: TrustPlan | undefined;
  #sourceTrouble: string | undefined;
  #replanning: Disposable | undefined;
  #settling: Disposable | undefined;
  #nextStep: Disposable | undefined;
  #settled: Promise<void> = Promise.resolve();
  /** Of the rotation, as it was written last, and of `Clock.elapsedMs`. */
  #remembered = { facts: "", atMs: -Infinity };
  #closed = false;

  private constructor(host: Host, parts: ManagerParts, memory: ManagerMemory) {
    const { rotation } = memory;
    this.#host = host;
    this.#parts = parts;
    this.#memory = memory;
    this.#ledger = new ClusterLedger(host.clock);
    this.#rotation = new RootRotation(host.clock, rotation === "" ? undefined : rotationMemoryOf(rotation));
    const changed = (): void => this.#settleSoon();
    this.#sources = new Sources(host, parts.openIssuer, changed);
    this.#passive = new PassiveRoots(host, parts.feed, changed);
    this.desk = new TrustDesk(host, {
      ...{ sources: this.#sources, rotation: this.#rotation, ledger: this.#ledger },
      issuedDomain: (cluster) => memory.issuedDomain(cluster),
      noteIssued: async (cluster, trustDomain, signed) => {
        this.#rotation.given(cluster, signed);
        await memory.noteRotation(JSON.stringify(this.#rotation.remembered()));
        await memory.noteDomain(cluster, trustDomain);
      },
      onCluster: changed,
    });
  }

  /** @throws MeshError if what is remembered cannot be read: then nothing may be guessed. */
  static async open(host: Host, parts: ManagerParts, signal: AbortSignal): Promise<TrustManager> {
    const memory = new ManagerMemory(host, parts.store);
    await memory.open(signal);
    return new TrustManager(host, parts, memory);
  }

  /** Resolves once all objects are read. @throws MeshError as the feed. */
  async start(signal: AbortSignal): Promise<void> {
    this.#parts.feed.onSecrets(() => {
      this.#sources.read();
      this.#passive.read();
    });
    await this.#parts.feed.start(this.#sink(), signal);
    this.#book.observe(() => this.#replanSoon());
    this.#replan();
  }

  /** Why no cluster can be told anything; undefined if they can. */
  waitingFor(): string | undefined {
    if (this.#plan !== undefined) return undefined;
    const [problem] = this.problems();
    return `${this.#parts.feed.title} is not read yet${problem === undefined ? "" : `: ${problem.message.replace(/\.$/, "")}`}`;
  }

  view(): TrustView {
    if (this.#plan !== undefined) return trustView(this.#findings(this.#plan));
    throw new MeshError("unavailable", `${this.waitingFor()}; ask again`);
  }

  problems(): readonly Problem[] {
    return this.#parts.feed.problems();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#replanning?.[Symbol.dispose]();
    this.#settling?.[Symbol.dispose]();
    await this.#settled;
    this.#nextStep?.[Symbol.dispose]();
    await this.#parts.feed.close();
    await this.#passive.close();
    await this.#sources.close();
    await this.#memory.close();
  }

  #sink(): ObjectSink {
    return {
      set: (object: KubeObject, origin: string): void => {
        this.statuses.found(object);
        this.#book.set(object, origin);
        this.#settleSoon();
      },
      delete: (object: ObjectReference): void => {
        this.statuses.gone(object);
        this.#book.delete(object);
      },
    };
  }

  /** A file of many objects is one change. */
  #replanSoon(): void {
    this.#replanning ??= this.#host.clock.after(0, () => {
      this.#replanning = undefined;
      this.#replan();
    });
  }

  #replan(): void {
    const plan = (this.#plan = planTrust(this.#book.objects));
    this.#memory.keepOnly({ has: (cluster) => plan.clusters.has(cluster) || plan.doubtful.has(cluster) });
    this.#rotation.registered(new Set([...plan.clusters.keys(), ...plan.doubtful.keys()]));
    if (plan.policy !== undefined) this.#wantSource(plan.policy);
    this.desk.planned(plan);
    this.#settleSoon();
  }

  #wantSource(policy: NonNullable<TrustPlan["policy"]>): void {
    const { source: spec, rotateRoot, intermediate } = policy;
    try {
      this.#sources.want({ spec, rotateRoot, graceRatio: intermediate.graceRatio });
      this.#passive.want(policy);
      this.#sourceTrouble = undefined;
    } catch (thrown) {
      this.#sourceTrouble = MeshError.from(thrown).message;
    }
  }

  /** What came together is settled together. */
  #settleSoon(): void {
    if (this.#closed) return;
    this.#settling ??= this.#host.clock.after(0, () => {
      this.#settled = this.#settled.then(() => {
        this.#settling = undefined;
        return this.#settle();
      });
    });
  }

  async #settle(): Promise<void> {
    if (this.#plan === undefined || this.#closed) return;
    const { roots } = this.#sources;
    const passive = this.#passive.roots;
    if (roots !== undefined && passive !== undefined) this.#rotation.want({ ...roots, passive });
    const delayMs = Math.min(this.#rotation.nextChangeMs() ?? LOOK_MS, LOOK_MS);
    // What came due since it was wanted is in no delay.
    this.#rotation.advance();
    const needs = (root: Uint8Array): boolean => this.#rotation.needs(root);
    this.#sources.forget(needs);
    if (this.#rotation.view.phase === "steady") this.#sources.retire(needs);
    // A cluster must not be told of a step that the next process would not know of.
    if (await this.#remembers()) this.desk.settle();
    this.statuses.judge(judgedObjects(this.#findings(this.#plan)));
    this.#nextStep?.[Symbol.dispose]();
    if (!this.#closed) this.#nextStep = this.#host.clock.after(delayMs, () => this.#settleSoon());
  }

  async #remembers(): Promise<boolean> {
    const remembered = this.#rotation.remembered();
    const facts = JSON.stringify(remembered, untimed);
    const atMs = this.#host.clock.elapsedMs();
    const known = facts === this.#remembered.facts && atMs - this.#remembered.atMs < REWRITE_MS;
    if (known && this.#memory.trouble === undefined) return true;
    try {
      await this.#memory.noteRotation(JSON.stringify(remembered));
      this.#remembered = { facts, atMs };
      return true;
    } catch {
      // Said in the policy's status, and written again.
      this.#host.clock.after(RETRY_MS, () => this.#settleSoon());
      return false;
    }
  }

  #findings(plan: TrustPlan): Findings {
    const troubles = [this.#sourceTrouble, this.#memory.trouble, this.#passive.trouble];
    return {
      ...{ plan, sources: this.#sources, rotation: this.#rotation, ledger: this.#ledger },
      whyNoOrder: (cluster) => {
        const word = this.desk.wordFor(cluster);
        return word?.kind === "refusal" ? word.reason : undefined;
      },
      generationOf: (cluster) => {
        const word = this.desk.wordFor(cluster);
        return word?.kind === "order" ? word.order.generation : undefined;
      },
      refused: this.desk.refusals,
      contested: (cluster) => this.desk.contestOf(cluster),
      troubles: troubles.filter((trouble) => trouble !== undefined),
      now: this.#host.clock.now(),
    };
  }
}

/** When a cluster was last heard, and how long ago things were, is another with each word: the next process waits longer. */
const untimed = (key: string, value: unknown): unknown =>
  key === "passedMs" ? undefined : key === "heard" ? value !== null : value;
