import type { EpochMs, Host } from "../../host.ts";
import type { KubeApi } from "../../kube/api.ts";
import type { ObjectSink } from "../../kube/object.ts";
import { Reflector, type ReflectorState } from "../../kube/reflector.ts";
import type { RelistGate } from "../../kube/relist-gate.ts";
import type { ClusterId } from "../../names.ts";
import type { ClusterFeed, FeedState } from "./cluster-feed.ts";
import type { Intake } from "./intake.ts";
import type { WatchedKind } from "./watched-kinds.ts";

export interface KubeClusterOptions {
  readonly cluster: ClusterId;
  /** Closed with the cluster. */
  readonly api: KubeApi;
  /** Shared by all clusters of the process. */
  readonly gate: RelistGate;
  readonly kinds: readonly WatchedKind[];
  /** Held: nothing of it shows yet. */
  readonly intake: Intake;
  /** Hears what the intake hears, and of the join; nothing is read before it is there. */
  readonly copy?: Promise<ClusterCopy>;
  readonly onJoined?: () => void;
}

/** Who keeps what a cluster said, for the time when it says nothing. */
export interface ClusterCopy extends ObjectSink {
  /** What was set since it was opened is all that the cluster has. */
  commit(): Promise<void>;
  /** What was said so far is still so. */
  confirm(): void;
  close(): Promise<void>;
}

interface Watched {
  readonly kind: WatchedKind;
  readonly reflector: Reflector;
}

/** How often it is looked whether all that a cluster still waits for is what it can do without. */
const LOOK_MS = 500;
/** How often the copy hears that all is still so. */
const CONFIRM_MS = 60_000;
/**
 * Not a word for so long, from any kind, is trouble. Of kinds that have not changed since it began a server may send no
 * bookmarks: their watches are taken up anew every 300 s, and connections that are dead are found by pings.
 */
export const SILENT_MS = 330_000;

/** One cluster's reflectors, joined and left as a whole. */
export class KubeCluster implements ClusterFeed {
  readonly #host: Host;
  readonly #options: KubeClusterOptions;
  readonly #watched: readonly Watched[];
  readonly #waiting: (() => void)[] = [];
  #state: FeedState = "syncing";
  #copy: ClusterCopy | undefined;
  #look: Disposable | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: Host, options: KubeClusterOptions) {
    this.#host = host;
    this.#options = options;
    const { api, gate, cluster, kinds } = options;
    const sink = this.#sink();
    const onSynced = (): void => this.#check();
    this.#watched = kinds.map((kind) => {
      const { type, purpose } = kind;
      const named = purpose === undefined ? { cluster, type } : { cluster, type, purpose };
      return { kind, reflector: new Reflector(host, api, gate, { ...named, sink, onSynced }) };
    });
  }

  get state(): FeedState {
    return this.#state;
  }

  /** Each kind, by its plural, for debug pages. */
  kinds(): readonly (ReflectorState & { readonly resource: string; readonly required: boolean })[] {
    return this.#watched.map(({ kind: { type, required }, reflector }) => {
      return { resource: type.plural, required, ...reflector.state };
    });
  }

  get trouble(): string | undefined {
    const ill = this.kinds().find(
      ({ problem, phase, required }) => problem !== undefined && (required || phase !== "forbidden"),
    );
    if (ill !== undefined) return `${ill.resource}: ${ill.problem}`;
    const silentMs = Math.min(...this.kinds().map(({ silentMs }) => silentMs));
    if (this.heardAt === undefined) return `${this.#options.api.server} has not answered yet`;
    return silentMs > SILENT_MS
      ? `${this.#options.api.server} has said nothing for ${Math.round(silentMs / 1000)} s`
      : undefined;
  }

  /** The kind that was heard of the longest ago counts. */
  get heardAt(): EpochMs | undefined {
    if (!this.kinds().some(({ objects, synced }) => synced || objects > 0)) return undefined;
    const silentMs = Math.max(...this.kinds().map((kind) => kind.silentMs));
    return Math.round(this.#host.clock.now() - silentMs);
  }

  start(): void {
    this.#starting ??= this.#begin();
  }

  whenSynced(task: () => void): void {
    if (this.#state === "synced") task();
    else if (this.#state === "syncing") this.#waiting.push(task);
  }

  join(): void {
    const { intake, onJoined } = this.#options;
    intake.join();
    void this.#copy?.commit();
    this.#confirmLater();
    onJoined?.();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #begin(): Promise<void> {
    this.#copy = await this.#options.copy;
    if (this.#state === "closed") return;
    for (const { reflector } of this.#watched) reflector.start();
    this.#lookLater();
  }

  async #close(): Promise<void> {
    this.#state = "closed";
    this.#waiting.length = 0;
    this.#look?.[Symbol.dispose]();
    await this.#starting;
    await Promise.all(this.#watched.map(({ reflector }) => reflector.close()));
    await this.#options.api.close();
    await this.#copy?.close();
  }

  #sink(): ObjectSink {
    const { intake } = this.#options;
    return {
      set: (object, origin) => {
        if (this.#state === "closed") return;
        intake.set(object, origin);
        this.#copy?.set(object, origin);
      },
      delete: (reference) => {
        if (this.#state === "closed") return;
        intake.delete(reference);
        this.#copy?.delete(reference);
      },
    };
  }

  #check(): void {
    if (this.#state !== "syncing") return;
    const waits = ({ kind: { required }, reflector: { state } }: Watched): boolean =>
      !state.synced && (required || state.phase !== "forbidden");
    if (this.#watched.some(waits)) return;
    this.#state = "synced";
    this.#look?.[Symbol.dispose]();
    for (const task of this.#waiting.splice(0)) task();
  }

  #confirmLater(): void {
    if (this.#copy === undefined || this.#state === "closed") return;
    this.#look = this.#host.clock.after(CONFIRM_MS, () => {
      if (this.trouble === undefined) this.#copy?.confirm();
      this.#confirmLater();
    });
  }

  /** A kind that may not be read says so to nobody. */
  #lookLater(): void {
    if (this.#state !== "syncing") return;
    this.#look = this.#host.clock.after(LOOK_MS, () => {
      this.#check();
      this.#lookLater();
    });
  }
}
