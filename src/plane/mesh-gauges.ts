import type { Gauge, Host } from "../host.ts";
import type { Registry } from "../registry/registry.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import { shortTypeName } from "../xds/xds-metrics.ts";

/** What Prometheus asks for, mostly. */
const LOOK_MS = 15_000;
/** Not at once, as little is known at the start. */
const FIRST_LOOK_MS = 1_000;
/** Services with a series for each cluster that has them, the largest first: names are other people's to make. */
const SERVICES_MAX = 200;

/** What the gauges look at; not before the first look is due. */
export interface GaugedPlane {
  readonly registry: Pick<Registry, "peers" | "exports">;
  readonly discovery: { clients(): readonly ClientStatus[] };
}

/** Gauges of what is known anyway, looked at now and then. */
export class MeshGauges implements Disposable {
  readonly #host: Host;
  readonly #plane: GaugedPlane;
  readonly #backlog: Gauge;
  readonly #endpoints: Gauge;
  #owed = new Map<string, number>();
  /** The series of endpoints that show something. */
  #shown = new Map<string, Readonly<Record<string, string>>>();
  #next: Disposable;

  constructor(host: Host, plane: GaugedPlane) {
    this.#host = host;
    this.#plane = plane;
    this.#backlog = host.metrics.gauge(
      "xds_client_backlog_bytes",
      "Bytes that clients are owed, or have not acknowledged, in all; by type.",
      ["type"],
    );
    this.#endpoints = host.metrics.gauge(
      "global_service_endpoints",
      "Endpoints of the largest global services, by the cluster that has them and by state.",
      ["service", "peer", "state"],
    );
    this.#next = host.clock.after(FIRST_LOOK_MS, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#next[Symbol.dispose]();
  }

  #look(): void {
    this.#next = this.#host.clock.after(LOOK_MS, () => this.#look());
    this.#showBacklog();
    this.#showEndpoints();
  }

  #showBacklog(): void {
    const owed = new Map<string, number>(Array.from(this.#owed.keys(), (type) => [type, 0]));
    for (const { subscriptions } of this.#plane.discovery.clients())
      for (const { typeUrl, backlogBytes } of subscriptions) {
        const type = shortTypeName(typeUrl);
        owed.set(type, (owed.get(type) ?? 0) + backlogBytes);
      }
    for (const [type, bytes] of owed) this.#backlog.set(bytes, { type });
    this.#owed = owed;
  }

  #showEndpoints(): void {
    const { exports, peers } = this.#plane.registry;
    const shown = new Map<string, Readonly<Record<string, string>>>();
    for (const { cluster, namespace, name, ready, total } of largest([exports.services, peers.federated]))
      for (const [state, count] of [["ready", ready] as const, ["unready", Math.max(0, total - ready)] as const]) {
        const labels = { service: `${namespace}/${name}`, peer: cluster, state };
        this.#endpoints.set(count, labels);
        shown.set(Object.values(labels).join(), labels);
      }
    for (const [series, labels] of this.#shown) if (!shown.has(series)) this.#endpoints.remove(labels);
    this.#shown = shown;
  }
}

type Shared = Pick<Registry["exports"]["services"], "entries">;

/** Of the services that have the most endpoints in all clusters together, every cluster's part. */
function largest(shared: readonly Shared[]): readonly FederatedService[] {
  const parts = new Map<string, FederatedService[]>();
  for (const services of shared)
    for (const [, service] of services.entries()) {
      const name = `${service.namespace}/${service.name}`;
      const known = parts.get(name);
      if (known === undefined) parts.set(name, [service]);
      else known.push(service);
    }
  const sizes = Array.from(parts.values(), (of) => ({ of, total: of.reduce((sum, { total }) => sum + total, 0) }));
  if (sizes.length > SERVICES_MAX) sizes.sort((a, b) => b.total - a.total);
  return sizes.slice(0, SERVICES_MAX).flatMap(({ of }) => of);
}
