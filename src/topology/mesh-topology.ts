import type { Problem } from "../registry/model/problem.ts";
import { clustersOf } from "./clusters.ts";
import { denials } from "./denials.ts";
import { TopologyDrains } from "./drains.ts";
import { linksOf } from "./links.ts";
import { sharedServices } from "./shared-services.ts";
import { certificatesShown } from "./certificates.ts";
import type { TopologyInputs } from "./inputs.ts";
import type { Shown, Topology, TopologyProblem } from "./topology.ts";

export interface TopologyQuestion {
  /** Only services and problems whose text holds it, in lower case; empty for the first of all. */
  readonly filter: string;
}

const PROBLEMS_MAX = 200;
const SEVERITIES = ["error", "warning", "info"] as const;

/** The whole, of what is known now. It is bounded, however large the mesh: what is left out is counted. */
export function meshTopology(inputs: TopologyInputs, { filter }: TopologyQuestion): Topology {
  const [exported, imported] = [[...inputs.exported], [...inputs.imported]];
  const drains = new TopologyDrains(inputs);
  const links = linksOf(inputs);
  return {
    schema: "causeway.dev/topology/v1",
    at: new Date(inputs.now).toISOString(),
    ...{ controlPlane: inputs.controlPlane, version: inputs.version, cluster: inputs.localCluster },
    clusters: clustersOf(inputs, links, drains, exported.length),
    links,
    services: sharedServices([...exported, ...imported], inputs.hosts, drains, filter),
    drains: drains.shown(imported),
    denied: denials(inputs, exported),
    certificates: certificatesShown(inputs.certificates, inputs.now),
    problems: problemsShown(inputs.problems, filter),
  };
}

function problemsShown(problems: readonly Problem[], filter: string): Shown<TopologyProblem> {
  const matching = problems.filter(({ object, message }) => `${object} ${message}`.toLowerCase().includes(filter));
  const sorted = SEVERITIES.flatMap((severity) => matching.filter((problem) => problem.severity === severity));
  const shown = sorted.slice(0, PROBLEMS_MAX).map(({ severity, object, field, origin, message }) => {
    return { severity, object, field, origin, message };
  });
  return { shown, total: sorted.length, more: false };
}
