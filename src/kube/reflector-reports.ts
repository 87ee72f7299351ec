import type { ResourceType } from "./api.ts";
import type { Counter, Host, LogFields, Logger } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";

/** Why a kind is listed, as a label of `informer_relists_total`. */
export type ListReason = "start" | "expired" | "installed" | "refused" | "retry";

export interface ReflectorReportsOptions {
  readonly cluster: string;
  readonly server: string;
  readonly type: ResourceType;
  /** What is lost without it, to follow "for"; nothing is said if absent. */
  readonly purpose?: string;
}

/** What istiod calls these in `pilot_k8s_reg_events`; others go by their kind. */
const REGISTRY_NAMES: Readonly<Record<string, string>> = {
  Pod: "Pods",
  Service: "Services",
  Node: "Nodes",
  Namespace: "Namespaces",
};

/** What one reflector says of itself, in the log (scope `kube`) and in metrics. */
export class ReflectorReports {
  readonly #log: Logger;
  readonly #sparse: SparseLog;
  readonly #names: LogFields;
  readonly #purpose: string | undefined;
  readonly #kind: string;
  readonly #labels: { readonly cluster: string; readonly resource: string };
  readonly #events: Counter;
  readonly #relists: Counter;
  readonly #skipped: Counter;
  readonly #errors: Counter;
  readonly #lag;

  constructor(host: Host, { cluster, server, type, purpose }: ReflectorReportsOptions) {
    const { metrics } = host;
    this.#log = host.log.scope("kube");
    this.#sparse = new SparseLog(this.#log, host.clock);
    this.#names = { cluster, kind: type.group === "" ? type.kind : `${type.kind}.${type.group}`, server };
    this.#purpose = purpose;
    const builtIn = ["", "discovery.k8s.io"].includes(type.group);
    this.#kind = builtIn ? (REGISTRY_NAMES[type.kind] ?? type.kind) : type.kind;
    this.#labels = { cluster, resource: type.plural };
    this.#events = builtIn
      ? metrics.counter("pilot_k8s_reg_events", "Events of built-in kinds", ["type", "event"])
      : metrics.counter("pilot_k8s_cfg_events", "Events of configuration kinds", ["type", "event"]);
    this.#relists = metrics.counter("informer_relists_total", "Lists begun", ["cluster", "resource", "reason"]);
    this.#skipped = metrics.counter("informer_events_skipped_total", "Events that could not be used", [
      "cluster",
      "resource",
      "reason",
    ]);
    this.#errors = metrics.counter("controller_sync_errors_total", "Lists and watches that failed", ["cluster"]);
    this.#errors.add(0, { cluster });
    this.#lag = metrics.gauge("informer_lag_seconds", "Since the API server was last heard", ["cluster", "resource"]);
  }

  lag(seconds: number): void {
    this.#lag.set(seconds, this.#labels);
  }

  /** What is not followed has no lag. */
  close(): void {
    this.#lag.remove({ ...this.#labels });
  }

  events(event: "add" | "update" | "delete", count = 1): void {
    if (count > 0) this.#events.add(count, { type: this.#kind, event });
  }

  listing(reason: ListReason): void {
    this.#relists.add(1, { ...this.#labels, reason });
    this.#log.debug("listing", { ...this.#names, reason });
  }

  listed(objects: number, removed: number, reason: ListReason): void {
    this.#log.info("listed", { ...this.#names, objects, removed, reason });
  }

  /** @param said already, of the server. */
  failed(cause: string, delayMs: number, said: boolean): void {
    this.#countFailure();
    if (said) return;
    this.#sparse.warn("list or watch failed; what was read before stays in force", {
      ...this.#names,
      cause,
      nextTryMs: Math.round(delayMs),
    });
  }

  silent(patienceMs: number): void {
    this.#countFailure();
    this.#sparse.warn("watch said nothing for too long and is taken up anew", { ...this.#names, silentMs: patienceMs });
  }

  #countFailure(): void {
    this.#errors.add(1, { cluster: this.#labels.cluster });
  }

  skipped(reason: "type" | "object" | "version", what: string): void {
    this.#skipped.add(1, { ...this.#labels, reason });
    this.#sparse.warn("an event of a watch makes no sense and is passed over", { ...this.#names, reason, what });
  }

  absent(removed: number): void {
    this.#log.info("API server does not serve this kind; it is picked up when its CRD is installed", {
      ...this.#names,
      neededFor: this.#purpose,
      removed,
    });
  }

  installed(version: string): void {
    this.#log.info("kind is served now", { ...this.#names, version });
  }

  forbidden(cause: string, delayMs: number): void {
    this.#countFailure();
    this.#sparse.warn("may not be read; grant get, list and watch to the service account", {
      ...this.#names,
      cause,
      nextTryMs: Math.round(delayMs),
    });
  }
}
