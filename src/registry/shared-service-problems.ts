import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import { SCOPE_LABEL, TAKEOVER_LABEL, takeoverOf, unknownTakeoverOf } from "./kube/scope-labels.ts";
import type { KubeService } from "./kube/service.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { identityOf, type SharedServices, type SharingWish } from "./shared-services.ts";
import { union } from "./union.ts";

type Found = readonly [field: string, message: string, severity?: Problem["severity"]];

/** Why what the local cluster means to share is not shared, or not under every name (contract peering.md 2.7, 2.8, 2.12). */
export function sharedServiceProblems(
  graph: Graph,
  objects: Objects,
  { wishes, owners }: SharedServices,
  options: RegistryOptions,
): Collection<string, Problem> {
  const { localCluster } = options;
  const ofWishes = derive(graph, {
    name: "sharing-problems",
    distinct: true,
    from: filter(graph, "local-sharing-wishes", wishes, ({ kube }) => kube.id.cluster === localCluster),
    reads: { owners },
    to: (wish, { owners }, key) => [
      ...labelled(key, wish.kube, notShared(wish)),
      ...labelled(key, wish.kube, aliasesLost(wish, owners)),
    ],
  });
  const ofTakeovers = derive(graph, {
    name: "takeover-problems",
    distinct: true,
    from: filter(
      graph,
      "services-that-take-over",
      objects.services,
      ({ id, labels }) => id.cluster === localCluster && labels.map.has(TAKEOVER_LABEL),
    ),
    reads: { wishes },
    to: (kube, { wishes }, key) => labelled(key, kube, takeoverLost(kube, wishes.get(key) !== undefined)),
  });
  return union<string, Problem>(graph, "shared-service-problems", [
    ofWishes,
    ofTakeovers,
    namespaceTakeovers(graph, objects, options),
  ]);
}

function labelled(
  key: ObjectKey,
  { id }: KubeService,
  found: readonly Found[],
): readonly (readonly [string, Problem])[] {
  const object = `Service ${id.namespace}/${id.name}`;
  return found.map(([field, message, severity = "warning"]) => [
    `Service ${key}#sharing#${field}#${message}`,
    { object, origin: id.origin, field, message: `${object} ${message}.`, severity },
  ]);
}

function notShared({ kube, refused }: SharingWish): readonly Found[] {
  // What a namespace, or a rule, shares takes in services that nobody meant.
  const severity = kube.scope === undefined ? "info" : "warning";
  switch (refused) {
    case undefined:
      return [];
    case "ExternalName":
      return [
        ["spec.type", `is an ExternalName, so it is not shared with peers; label it ${SCOPE_LABEL}: cluster`, severity],
      ];
    case "HeadlessNotExported":
      return [
        [
          "spec.clusterIP",
          "is headless, so it is not shared with peers (HeadlessNotExported): calls across networks need an address that " +
            `stands for all of it; add a Service with a cluster IP beside it, or label it ${SCOPE_LABEL}: cluster`,
          severity,
        ],
      ];
  }
}

function aliasesLost(
  { kube, hosts, skipped, refused }: SharingWish,
  owners: { get(host: SharingWish["hosts"][number]["host"]): string | undefined },
): readonly Found[] {
  if (refused !== undefined) return [];
  const lost = hosts.flatMap(({ host, alias }): readonly Found[] => {
    const owner = owners.get(host);
    if (owner === undefined || owner === identityOf(kube)) return [];
    const what = alias ? "alias" : "name";
    return [
      [
        "metadata.name",
        `does not have the ${what} ${host}: the older Service ${owner} has it; make the pattern tell the two apart`,
      ],
    ];
  });
  return [
    ...lost,
    ...skipped.map(({ pattern, why }): Found => [
      "metadata.labels",
      `has no alias by the pattern ${pattern} of its segment: it ${why}`,
    ]),
  ];
}

function takeoverLost({ labels }: KubeService, shared: boolean): readonly Found[] {
  const field = `metadata.labels[${TAKEOVER_LABEL}]`;
  const unknown = unknownTakeoverOf(labels);
  if (unknown !== undefined)
    return [[field, `has ${field} ${JSON.stringify(unknown)}, which has no effect; use true or false`]];
  if (takeoverOf(labels) !== true || shared) return [];
  return [
    [
      field,
      `takes over its name, but is not shared, so only its own endpoints have it; label it ${SCOPE_LABEL}: global`,
    ],
  ];
}

/** A whole namespace that takes over names would take those that must stay local, too (contract peering.md 2.8). */
function namespaceTakeovers(
  graph: Graph,
  { namespaces }: Objects,
  { localCluster, namespaceTakeover }: RegistryOptions,
): Collection<string, Problem> {
  const takesOver = filter(
    graph,
    "namespaces-that-take-over",
    namespaces,
    ({ labels }) => !namespaceTakeover && takeoverOf(labels) === true,
  );
  return derive(graph, {
    name: "namespace-takeover-problems",
    distinct: true,
    from: takesOver,
    reads: {},
    to: ({ name, labels, origin }, _reads, key): readonly (readonly [string, Problem])[] => {
      if (!key.startsWith(`${localCluster}/`)) return [];
      const field = `metadata.labels[${labels.map.has(TAKEOVER_LABEL) ? TAKEOVER_LABEL : SCOPE_LABEL}]`;
      const message =
        `${field} of namespace ${name} takes over no name: that is honoured on Services only; label those, or set ` +
        "PEERING_NAMESPACE_TAKEOVER=true.";
      return [[`${key}#takeover`, { object: `Namespace ${name}`, origin, field, message, severity: "warning" }]];
    },
  });
}
