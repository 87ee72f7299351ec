import type { ApiError, ResourceType, WatchEvent, WatchHandler } from "../../src/kube/api.ts";
import type { Clock } from "../../src/host.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { shows, type Route } from "./fake-api-route.ts";
import { apiError, versionOf } from "./fake-api-requests.ts";
import { copyOf, typeKey, type FakeStore, type Revision } from "./fake-api-store.ts";

export interface WatchSettings {
  readonly latencyMs: () => number;
  readonly bookmarkEveryMs: () => number;
  readonly watchList: () => "served" | "refused" | "ignored";
}

/** One watch that a server carries. All that it says takes the latency of that moment, in order. */
export class FakeWatch {
  /** True while it still sends the objects that there were. */
  initial = false;
  readonly #timers = new Set<Disposable>();
  #subscription: Disposable | undefined;
  #lastAtMs = 0;
  #ended = false;
  #silent = false;

  constructor(
    readonly type: ResourceType,
    readonly route: Route,
    readonly handler: WatchHandler,
    readonly clock: Clock,
    readonly store: FakeStore,
    readonly settings: WatchSettings,
    readonly onGone: () => void,
  ) {}

  start(): void {
    const { query } = this.route;
    const asked = query.get("resourceVersion") ?? "";
    const listed = query.get("sendInitialEvents") === "true" && this.settings.watchList() !== "ignored";
    if (listed && this.settings.watchList() === "refused")
      return this.end(apiError(422, "Invalid", "sendInitialEvents: Forbidden: forbidden for watch unless enabled"));
    if (asked !== "" && !/^\d+$/.test(asked)) return this.end(apiError(400, "BadRequest", "invalid resource version"));
    if (Number(asked) > this.store.version)
      return this.end(apiError(504, "Timeout", `Too large resource version: ${asked}`));
    this.#say(() => this.handler.onOpen());
    if (Number(asked) > 0 && Number(asked) < this.store.compacted) return this.expire();
    this.#begin(Number(asked), listed);
  }

  #begin(from: number, listed: boolean): void {
    if (from > 0) for (const revision of this.store.since(this.type, from)) this.#tell(revision);
    else this.#sendInitial(listed);
    this.#subscription = this.store.observe((revision) => {
      if (typeKey(revision.type) === typeKey(this.type)) this.#tell(revision);
    });
    this.#bookmarkLater();
    const seconds = Number(this.route.query.get("timeoutSeconds") ?? 1_800);
    this.#later(seconds * 1000, () => (this.#silent ? undefined : this.end(undefined)));
  }

  #sendInitial(listed: boolean): void {
    this.initial = listed;
    for (const object of this.store.list(this.type)) if (shows(this.route, object)) this.#send("ADDED", object);
    if (!listed) return;
    this.#bookmark({ "k8s.io/initial-events-end": "true" });
    this.#say(() => (this.initial = false));
  }

  /** Says that the versions before now are gone, and ends. */
  expire(): void {
    const status = {
      kind: "Status",
      status: "Failure",
      code: 410,
      reason: "Expired",
      message: "too old resource version",
    };
    this.event({ type: "ERROR", object: status });
    this.end(undefined);
  }

  event(event: WatchEvent): void {
    this.#say(() => this.handler.onEvent(event));
  }

  /** From now on nothing is sent, and nobody is told. */
  silence(): void {
    this.#silent = true;
  }

  /** Ends it, silent or not: `error` is what the transport found. */
  end(error: ApiError | undefined): void {
    this.#say(() => {
      this.dispose();
      this.handler.onEnd(error);
    }, true);
  }

  dispose(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#subscription?.[Symbol.dispose]();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.onGone();
  }

  /** An object that a selector no longer shows is deleted, as far as this watch goes. */
  #tell({ before, after, version }: Revision): void {
    const [had, has] = [before, after].map((object) => object !== undefined && shows(this.route, object));
    const gone = before && { ...before, metadata: { ...before.metadata, resourceVersion: `${version}` } };
    if (has) this.#send(had ? "MODIFIED" : "ADDED", after!);
    else if (had) this.#send("DELETED", gone!);
  }

  #send(type: string, object: KubeObject): void {
    this.event({ type, object: copyOf(object) });
  }

  #bookmark(annotations?: Readonly<Record<string, string>>): void {
    const metadata = { resourceVersion: `${this.store.version}`, creationTimestamp: null, annotations };
    this.event({
      type: "BOOKMARK",
      object: { kind: this.type.kind, apiVersion: versionOf(this.type, this.route.version), metadata },
    });
  }

  #bookmarkLater(): void {
    if (this.route.query.get("allowWatchBookmarks") !== "true") return;
    this.#later(this.settings.bookmarkEveryMs(), () => {
      this.#bookmark();
      this.#bookmarkLater();
    });
  }

  #say(task: () => void, always = false): void {
    const nowMs = this.clock.elapsedMs();
    this.#lastAtMs = Math.max(this.#lastAtMs, nowMs + this.settings.latencyMs());
    this.#later(this.#lastAtMs - nowMs, () => (this.#ended || (this.#silent && !always) ? undefined : task()));
  }

  #later(delayMs: number, task: () => void): void {
    if (this.#ended) return;
    const timer = this.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      task();
    });
    this.#timers.add(timer);
  }
}
