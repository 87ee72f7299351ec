import type { Config } from "../config.ts";
import type { DebugPage } from "../debug-page.ts";
import type { Clock } from "../host.ts";
import type { LogScopes } from "../log.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { Policy } from "../registry/model/policy.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Service } from "../registry/model/service.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import type { TypeUrl } from "../xds/resource.ts";
import type { ResourceLog } from "../xds/resource-log.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { policyView, serviceView, workloadView } from "./mesh-view.ts";
import { syncView, timeText } from "./sync-view.ts";

/** The part of a registry that ztunnels are told of. */
export interface MeshViewed {
  readonly workloads: Collection<string, Workload>;
  readonly services: Collection<string, Service>;
  readonly policies: Collection<string, Policy>;
  readonly workloadsByService: { get(service: string): readonly Workload[] };
}

/** Where the pages look. Everything is read when a page is asked for, and nothing is changed. */
export interface Viewed {
  readonly clock: Clock;
  readonly registry: MeshViewed;
  readonly graph: Graph;
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  readonly config: Config;
  readonly scopes: LogScopes;
  /** As `istiod-7d4b`: tells replicas apart. */
  readonly controlPlane: string;
  clients(): readonly ClientStatus[];
  problems(): readonly Problem[];
}

/** The pages of contract operations.md 1.2 that there is something to say on. */
export function debugPages(viewed: Viewed): readonly DebugPage[] {
  const { clock, registry, graph, logs, config, scopes, controlPlane } = viewed;
  const page = (name: string, help: string, render: () => unknown): DebugPage => ({ name, help, render });
  return [
    page("ambientz", "Every workload, service and policy that ztunnels get", () => ambientz(registry)),
    page("registryz", "Services, with their endpoints", () => ambientz(registry).services),
    page("syncz", "What each client was sent and acknowledged", () =>
      syncView(viewed.clients(), { now: clock.now(), controlPlane }),
    ),
    page("connections", "Who is connected, since when and from where", () => connections(viewed.clients())),
    page("configz", "The settings of this control plane", () => configz(config, scopes)),
    page("problemz", "Objects without effect, or with less than was asked, and why", () => viewed.problems()),
    page("digestz", "A digest of each type, equal on replicas that hold the same", () => digestz(logs)),
    page("krtz", "The collections, in the order in which they settle, and how much each holds", () => graph.describe()),
  ];
}

/** Views are made one by one as they are taken, of the mesh as it is when the page is asked for. */
export function ambientz({ workloads, services, policies, workloadsByService }: MeshViewed) {
  return {
    workloads: viewsOf(workloads, workloadView),
    services: viewsOf(services, (service) => serviceView(service, workloadsByService.get(service.key))),
    policies: viewsOf(policies, policyView),
  };
}

function viewsOf<V, W>(collection: Collection<string, V>, view: (value: V) => W): Iterable<W> {
  const values = Array.from(collection.entries(), ([, value]) => value);
  return (function* () {
    for (const value of values) yield view(value);
  })();
}

export function connections(clients: readonly ClientStatus[]): unknown {
  return {
    totalClients: clients.length,
    clients: clients.map(({ id, connectedAt, remoteAddress, identity, node }) => ({
      connectionId: node === undefined ? id : `${node.id.split("~")[2] ?? ""}-${id}`,
      connectedAt: timeText(connectedAt),
      address: remoteAddress,
      identity: identity === undefined ? "" : formatServiceAccountId(identity),
      node: node?.id ?? "",
    })),
  };
}

/** Keys and tokens are never part of a Config; it only says where they lie. */
export function configz(config: Config, scopes: LogScopes): unknown {
  const levels = Object.fromEntries(scopes.list().map(({ name, level }) => [name, level]));
  return {
    ...config,
    trustedNodeAccounts: [...config.trustedNodeAccounts],
    insecureKubeconfigOptions: [...config.insecureKubeconfigOptions],
    log: { asJson: config.log.asJson, levels },
  };
}

export function digestz(logs: ReadonlyMap<TypeUrl, ResourceLog>): unknown {
  const entries = [...logs].map(([typeUrl, { digest, size, bytes, head, tombstones }]) => {
    return [typeUrl, { digest, resources: size, bytes, head, tombstones }];
  });
  return Object.fromEntries(entries) as unknown;
}
