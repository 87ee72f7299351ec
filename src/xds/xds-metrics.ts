import type { Counter, Gauge, Histogram, Metrics } from "../host.ts";
import { type ClientNode, TYPE_NAMES, type TypeUrl } from "./resource.ts";

/** Upstream's names and buckets, so that upstream's dashboards show them (contract operations.md 1.4). */
const CONVERGENCE_BUCKETS = [0.1, 0.5, 1, 3, 5, 10, 20, 30];
const PUSH_BUCKETS = [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const SEND_BUCKETS = [0.01, 0.1, 1, 3, 5, 10, 20, 30];
const SIZE_BUCKETS = [1, 1e4, 1e6, 4e6, 1e7, 4e7, 1.28e8];

/** Why clients are told something: of the mesh's addresses, of its policies, or of what peers may read. */
export type PushTrigger = "ambient" | "config" | "peering";

/** The name of a type in metrics and logs: few, whatever clients ask for. */
export const shortTypeName = (typeUrl: string): string => TYPE_NAMES.get(typeUrl)?.toLowerCase() ?? "other";

export class XdsMetrics {
  readonly #connected: Gauge;
  readonly #pushes: Counter;
  readonly #rejects: Counter;
  readonly #expiredNonces: Counter;
  readonly #convergence: Histogram;
  readonly #size: Histogram;
  readonly #receivedMax: Gauge;
  readonly #shed: Counter;
  readonly #queued: Histogram;
  readonly #made: Histogram;
  readonly #sent: Histogram;
  readonly #triggers: Counter;
  readonly #unanswered: Counter;
  readonly #internalErrors: Counter;
  readonly #clients: Gauge;
  readonly #byVersion = new Map<string, number>();
  readonly #byType = new Map<string, number>();
  readonly #pushedTypes = new Set<string>();
  #largestReceived = 0;

  constructor(metrics: Metrics) {
    this.#connected = metrics.gauge("pilot_xds", "Clients connected to this control plane over xDS.", ["version"]);
    this.#clients = metrics.gauge("xds_clients", "Clients connected over xDS, by node type; istiod is a peer.", [
      "type",
    ]);
    this.#pushes = metrics.counter("pilot_xds_pushes", "Responses sent, by type.", ["type"]);
    this.#rejects = metrics.counter("pilot_total_xds_rejects", "Responses that clients rejected, by type.", ["type"]);
    this.#expiredNonces = metrics.counter("pilot_xds_expired_nonce", "Answers to no waiting response.", ["type"]);
    this.#convergence = metrics.histogram(
      "pilot_proxy_convergence_time",
      "Seconds from a settled change to the response that tells one client.",
      CONVERGENCE_BUCKETS,
    );
    this.#size = metrics.histogram("pilot_xds_config_size_bytes", "Bytes of each response.", SIZE_BUCKETS, ["type"]);
    this.#receivedMax = metrics.gauge("pilot_xds_recv_max", "Bytes of the largest request so far.");
    this.#queued = metrics.histogram(
      "pilot_proxy_queue_time",
      "Seconds from a settled change until the response that tells one client is made.",
      CONVERGENCE_BUCKETS,
    );
    this.#made = metrics.histogram(
      "pilot_xds_push_time",
      "Seconds that making one response and handing it to its connection took, by type.",
      PUSH_BUCKETS,
      ["type"],
    );
    this.#sent = metrics.histogram(
      "pilot_xds_send_time",
      "Seconds that handing one response to its connection took.",
      SEND_BUCKETS,
    );
    this.#triggers = metrics.counter("pilot_push_triggers", "Settled changes that clients are told of, by why.", [
      "type",
    ]);
    this.#unanswered = metrics.counter("pilot_xds_write_timeout", "Clients let go because they did not answer.");
    this.#internalErrors = metrics.counter("pilot_total_xds_internal_errors", "Streams ended by a defect of ours.");
    this.#shed = metrics.counter("xds_clients_shed_total", "Streams that were ended or refused, by reason.", [
      "reason",
    ]);
  }

  connected(node: ClientNode, step: 1 | -1): void {
    const version = versionOf(node);
    const count = (this.#byVersion.get(version) ?? 0) + step;
    this.#byVersion.set(version, count);
    this.#connected.set(count, { version });
    const type = node.id.slice(0, node.id.indexOf("~"));
    const ofType = (this.#byType.get(type) ?? 0) + step;
    this.#byType.set(type, ofType);
    this.#clients.set(ofType, { type });
  }
  /** Of one response, in ms: from before it was made until it was handed over, and the second half of that. */
  took(typeUrl: TypeUrl, inAllMs: number, sendMs: number): void {
    this.#made.observe(inAllMs / 1000, { type: shortTypeName(typeUrl) });
    this.#sent.observe(sendMs / 1000);
  }
  pushed(typeUrl: TypeUrl, bytes: number): void {
    const type = shortTypeName(typeUrl);
    // Nobody has refused any yet: a series that begins with 1 has not grown, for who asks how fast it does.
    if (!this.#pushedTypes.has(type)) this.#rejects.add(0, { type });
    this.#pushedTypes.add(type);
    this.#pushes.add(1, { type });
    this.#size.observe(bytes, { type });
  }
  triggered(type: PushTrigger): void {
    this.#triggers.add(1, { type });
  }
  internalError(): void {
    this.#internalErrors.add();
  }
  /** `ms` from the change until its response is made. */
  queued(ms: number): void {
    this.#queued.observe(ms / 1000);
  }
  /** `ms` from the change to the response, handed to the socket. */
  converged(ms: number): void {
    this.#convergence.observe(ms / 1000);
  }
  rejected(typeUrl: TypeUrl): void {
    this.#rejects.add(1, { type: shortTypeName(typeUrl) });
  }
  expiredNonce(typeUrl: TypeUrl): void {
    this.#expiredNonces.add(1, { type: shortTypeName(typeUrl) });
  }
  received(bytes: number): void {
    if (bytes <= this.#largestReceived) return;
    this.#largestReceived = bytes;
    this.#receivedMax.set(bytes);
  }
  shed(reason: string): void {
    if (reason === "unanswered") this.#unanswered.add();
    this.#shed.add(1, { reason });
  }
}

/** ztunnel does not say its version; what a client says freely must not make a label each. */
function versionOf(node: ClientNode): string {
  const version = node.metadata.get("ISTIO_VERSION") ?? "unknown";
  return /^[0-9]+\.[0-9]+(\.[0-9]+)?$|^unknown$/.test(version) ? version : "other";
}
