import type { MeshError } from "../errors.ts";
import type { Counter, Gauge, Host } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";
import { RELAY_REFUSALS } from "./methods.ts";

/** What the manager's half of the relay counts (docs/operations.md). */
export class RelayMetrics {
  readonly #connected: Gauge;
  readonly #enrollments: Counter;
  readonly #refusals: Counter;
  readonly #strangers: SparseLog;

  constructor({ metrics, log, clock }: Host) {
    this.#connected = metrics.gauge("relay_connected_clusters", "Clusters with an open stream to the trust manager.");
    this.#enrollments = metrics.counter("relay_enrollments_total", "Calls of Enroll and Renew, by result.", ["result"]);
    this.#refusals = metrics.counter("relay_refusals_total", "Callers of the relay turned away, by reason.", [
      "reason",
    ]);
    // One is enough for an alert, and a series that begins with 1 has not grown.
    for (const reason of RELAY_REFUSALS) this.#refusals.add(0, { reason });
    this.#strangers = new SparseLog(log.scope("trust"), clock);
  }

  connected(clusters: number): void {
    this.#connected.set(clusters);
  }

  /** `enrolled`, `again` for an answer that was lost, `renewed`, or the code of a refusal. */
  enrollment(result: string): void {
    this.#enrollments.add(1, { result });
  }

  /** Counts it by its reason, or its code if it has none, and logs it now and then: strangers cause these. */
  refused({ code, message, detail }: MeshError): void {
    const { reason = code } = detail;
    this.#refusals.add(1, { reason: String(reason) });
    this.#strangers.warn(`caller refused: ${reason}`, { why: message });
  }
}

/** Without the port. */
export const addressOf = (remoteAddress: string): string => remoteAddress.replace(/:\d+$/, "");
