import type { Change, Collection } from "../../src/registry/collection/collection.ts";
import { derive } from "../../src/registry/collection/derive.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Index } from "../../src/registry/collection/index-by.ts";
import { Source } from "../../src/registry/collection/source.ts";
import {
  ADDRESS_TYPE,
  AUTHORIZATION_TYPE,
  type Resource,
  type ResourceChange,
  type ResourceRelations,
  type TypeUrl,
} from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";

/** `revision` makes a value differ from the one before; a client may take `bad` for a reason to reject. */
interface Revised {
  readonly revision: number;
  readonly bad?: boolean;
}
export interface Pod extends Revised {
  readonly app: string;
  readonly node: string;
  readonly address: string;
  readonly healthy: boolean;
}
/** Named `shop/<app>`. */
export interface Service extends Revised {
  readonly vip: string;
  readonly allowAll: boolean;
}
export interface Policy extends Revised {
  readonly app: string;
}

export interface SentService extends Service {
  readonly kind: "service";
}
/**
 * It names its service whether or not that exists, so that a service that returns changes no workload; and the policies
 * that select it, so that it changes with them.
 */
export interface SentWorkload extends Pod {
  readonly kind: "workload";
  readonly services: readonly string[];
  readonly policies: readonly string[];
}
export interface SentPolicy extends Policy {
  readonly kind: "policy";
}
export type Sent = SentService | SentWorkload | SentPolicy;
export interface Named<V = Sent> {
  readonly name: string;
  readonly version: string;
  readonly value: V;
}

/** Sources, indexes and derived resources over a real graph, with a log for each type: a control plane without I/O. */
export class Mesh {
  readonly graph = new Graph();
  readonly pods = new Source<string, Pod>(this.graph, "pods");
  readonly services = new Source<string, Service>(this.graph, "services");
  readonly policies = new Source<string, Policy>(this.graph, "policies");
  readonly workloads: Collection<string, SentWorkload>;
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;

  constructor() {
    const { graph, pods, services, policies } = this;
    const policiesWithKeys = derive(graph, {
      name: "policies with keys",
      from: policies,
      reads: {},
      to: ({ app }, _, key) => [[key, { key, app }]],
    });
    const policiesByApp = new Index(graph, policiesWithKeys, "app", ({ app }) => [app]);
    this.workloads = derive(graph, {
      name: "workloads",
      from: pods,
      reads: { policiesByApp },
      to: (pod, reads, key): readonly (readonly [string, SentWorkload])[] => {
        const policies = reads.policiesByApp.get(pod.app).map((policy) => policy.key);
        return [[key, { kind: "workload", ...pod, services: [`shop/${pod.app}`], policies }]];
      },
    });
    const address = new ResourceLog(relationsOf(graph, this.workloads, services));
    const authorization = new ResourceLog();
    this.logs = new Map([
      [ADDRESS_TYPE, address],
      [AUTHORIZATION_TYPE, authorization],
    ]);
    graph.onSettled(() => {
      authorization.append(policies.batch.map((change) => toResource(change, (v) => ({ kind: "policy", ...v }))));
      const flipped = (c: Change<string, Service>) => c.before !== undefined && c.before.allowAll !== c.after?.allowAll;
      address.append([
        ...services.batch.map((change) => ({
          ...toResource(change, (v): Sent => ({ kind: "service", ...v })),
          bringCompanions: flipped(change),
        })),
        ...this.workloads.batch.map((change) => toResource(change, (v) => v)),
      ]);
    });
  }

  log(typeUrl: TypeUrl): ResourceLog {
    return this.logs.get(typeUrl)!;
  }
}

function relationsOf(
  graph: Graph,
  workloads: Collection<string, SentWorkload>,
  services: Collection<string, Service>,
): ResourceRelations {
  const keyed = derive(graph, {
    name: "keyed workloads",
    from: workloads,
    reads: {},
    to: (workload, _, key) => [[key, { key, ...workload }]],
  });
  const byService = new Index(graph, keyed, "service", (workload) => workload.services);
  const byNode = new Index(graph, keyed, "node", ({ node }) => [node]);
  const byAddress = new Index(graph, keyed, "address", ({ address }) => [address]);
  const vips = derive(graph, {
    name: "vips",
    from: services,
    reads: {},
    to: ({ vip }, _, key) => [[key, { key, vip }]],
  });
  const byVip = new Index(graph, vips, "vip", ({ vip }) => [vip]);
  const names = (members: readonly { readonly key: string }[]) => members.map(({ key }) => key);
  return {
    aliases: (name) => [workloads.get(name)?.address ?? services.get(name)?.vip ?? []].flat(),
    resolve: (alias) => [...names(byAddress.get(alias)), ...names(byVip.get(alias))],
    companions: (name) => names(byService.get(name)),
    followedThrough: (name) => workloads.get(name)?.services ?? [],
    onNode: (node) => names(byNode.get(node)),
  };
}

function toResource<V>({ key, after }: Change<string, V>, sent: (value: V) => Sent): ResourceChange {
  return { name: key, after: after === undefined ? undefined : encode(key, sent(after)) };
}

/** A line of JSON stands for the protobuf: the session layer never looks inside. */
export function encode(name: string, value: Sent): Resource {
  const version = JSON.stringify(value);
  return { name, version, record: Buffer.from(`${JSON.stringify({ name, version, value } satisfies Named)}\n`) };
}

export function decode(records: readonly Uint8Array[]): Named[] {
  const lines = Buffer.concat(records).toString().split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Named);
}
