import { objectsOf } from "../inspect/cluster-facts.ts";
import * as types from "../kube/resource-types.ts";
import { readNamespace } from "../registry/kube/namespace.ts";
import { takeoverOf } from "../registry/kube/scope-labels.ts";
import { readSegment, SEGMENT_LABEL } from "../registry/kube/segment.ts";
import { readService, type KubeService } from "../registry/kube/service.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "../registry/model/peer.ts";
import { effectiveScope } from "../registry/service-scope.ts";
import { readOr, type Side } from "./side.ts";

/** A Service that its cluster shares, or would share with peers. */
export interface SharedHere {
  readonly kube: KubeService;
  readonly scope: "global" | "segment";
  readonly takeover: boolean;
}

/** What a cluster has and shares, by `namespace/name`. */
export interface Sharing {
  readonly shared: ReadonlyMap<string, SharedHere>;
  readonly services: ReadonlyMap<string, KubeService>;
  /** Empty if it is in none. */
  readonly segment: string;
  /** Of its global names. */
  readonly domain: string;
}

/** By the labels of Services and Namespaces and by the mesh config, as the control plane decides it (contract peering.md 2.7). */
export function sharingOf({ facts, mesh, system }: Side): Sharing {
  const namespaces = new Map(
    objectsOf(facts, types.NAMESPACES).flatMap((object) => {
      const namespace = readOr(object, true, readNamespace);
      return namespace === undefined ? [] : [[namespace.name, namespace] as const];
    }),
  );
  const services = new Map(
    objectsOf(facts, types.SERVICES).flatMap((object) => {
      const service = readOr(object, false, readService);
      return service === undefined ? [] : [[`${service.id.namespace}/${service.id.name}`, service] as const];
    }),
  );
  const rules = mesh?.serviceScopeConfigs ?? [];
  const shared = [...services].flatMap(([key, kube]): readonly (readonly [string, SharedHere])[] => {
    const scope = effectiveScope(kube, namespaces.get(kube.id.namespace), () => rules);
    // Headless ones and those that only rename a host are not told to peers.
    if (scope === "cluster" || kube.external || kube.clusterIps.length === 0) return [];
    return [[key, { kube, scope, takeover: takeoverOf(kube.labels) ?? false }]];
  });
  const segment = namespaces.get(system)?.labels.map.get(SEGMENT_LABEL) ?? "";
  const found = objectsOf(facts, types.SEGMENTS)
    .filter(({ metadata }) => metadata.namespace === system && metadata.name === segment)
    .flatMap((object) => readOr(object, false, readSegment) ?? [])[0];
  return { shared: new Map(shared), services, segment, domain: found?.domain ?? DEFAULT_GLOBAL_DOMAIN };
}

/** What `peer` tells a cluster of that segment. */
export const toldTo = (peer: Sharing, segment: string): readonly (readonly [string, SharedHere])[] =>
  [...peer.shared].filter(([, { scope }]) => scope === "global" || peer.segment === segment);
