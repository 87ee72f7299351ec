import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { drainedObject, type Drain, type DrainKey, type Drains, isOfGateway, timeOfDrain } from "./drains.ts";
import { DRAIN_UNTIL, DRAIN_UNTIL_FIELD } from "./kube/peering-annotations.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";

/** What is drained, for those who wonder where its calls went; and what cannot be. */
export function drainProblems(
  graph: Graph,
  { wanted, states }: Drains,
  { localCluster }: RegistryOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "drain-problems",
    distinct: true,
    from: wanted,
    reads: { states },
    to: ({ text, untilMs, id }, { states }, key): readonly (readonly [string, Problem])[] => {
      const object = drainedObject(key, localCluster);
      const state = states.get(key);
      const found = untilMs === undefined ? unread(text) : state && saidOf(key, state);
      if (found === undefined) return [];
      const [severity, message] = found;
      return [
        [
          `${key}#drain`,
          { object, origin: id.origin, field: DRAIN_UNTIL_FIELD, message: `${object} ${message}.`, severity },
        ],
      ];
    },
  });
}

type Said = readonly [severity: Problem["severity"], message: string];

const unread = (text: string): Said => [
  "warning",
  `has ${DRAIN_UNTIL} ${JSON.stringify(text.slice(0, 80))}, which is no time, so nothing is drained; write it as 2030-01-31T09:30:00Z`,
];

function saidOf(key: DrainKey, { state, untilMs }: Drain): Said {
  const until = timeOfDrain(untilMs);
  if (state === "far")
    return [
      "warning",
      `has ${DRAIN_UNTIL} ${until}, which is more than 24 hours ahead, so nothing is drained before that; name a time within 24 hours`,
    ];
  if (state === "spared")
    return [
      "info",
      `is to be drained until ${until}, and keeps its calls: no peer that is not drained has a ready endpoint of it`,
    ];
  return [
    "info",
    isOfGateway(key)
      ? `is drained until ${until}: services of that peer get no new calls from here, wherever another cluster has ready endpoints`
      : `is drained until ${until}: under its global names its endpoints here get no new calls, from no cluster`,
  ];
}
