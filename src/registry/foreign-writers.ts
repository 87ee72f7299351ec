import type { ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import type { GlobalHost } from "./global-merge.ts";
import type { Objects } from "./kube/objects.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";

/** So many hosts of one ServiceEntry are spoken of. */
const NAMED_MAX = 20;

/**
 * ServiceEntries that claim a name of a global service: told at both, for whoever looks at one of them wonders where its
 * traffic goes. The older has the name (contract peering.md 2.5, B24).
 */
export function foreignWriterProblems(
  graph: Graph,
  objects: Objects,
  hosts: Collection<ServiceName, GlobalHost>,
  { localCluster }: RegistryOptions,
): Collection<string, Problem> {
  const made = filter(graph, "hosts-that-are-made", hosts, ({ kind }) => kind !== "local");
  return derive(graph, {
    name: "foreign-writers",
    distinct: true,
    from: objects.serviceEntries,
    reads: { made: new Index(graph, made, "host", ({ host }) => [host]) },
    to: (entry, { made }, key) => {
      if (entry.id.cluster !== localCluster) return [];
      const claimed = entry.hosts.flatMap((host) => made.get(host)).slice(0, NAMED_MAX);
      return claimed.flatMap((global) =>
        problemsOf(entry, global).map(
          (problem) => [`foreign ${key} ${global.key} ${problem.object}`, problem] as const,
        ),
      );
    },
  });
}

/** In one namespace the loser is told already, like whoever shares a host with another object. */
function problemsOf({ id }: ServiceEntry, { host, namespace, name, createdMs }: GlobalHost): readonly Problem[] {
  const [theirs, ours] = [`ServiceEntry ${id.namespace}/${id.name}`, `Service ${namespace}/${name}`];
  const older = id.createdMs < createdMs;
  const apart = id.namespace !== namespace;
  const problem = (object: string, message: string): Problem => ({
    object,
    origin: object === theirs ? id.origin : "",
    field: object === theirs ? "spec.hosts" : "",
    message,
    severity: "warning",
  });
  const winner = older ? theirs : ours;
  const told = older
    ? `${theirs} names host ${host}, which clusters share as ${ours}. The entry is older, so it has the name, and no ` +
      `endpoint that is shared is reached by it; ${FIX}.`
    : `${theirs} names host ${host}, too, which clusters share as ${ours}. The entry is younger, so it does not have ` +
      `the name; ${FIX}.`;
  const found = [problem(winner, told)];
  const loser = older ? ours : theirs;
  if (apart) found.push(problem(loser, told));
  return found;
}

const FIX = "give the entry another host, or delete it";
