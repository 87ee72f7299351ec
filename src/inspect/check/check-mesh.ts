import type { ClusterFacts } from "../cluster-facts.ts";
import type { Finding } from "../finding.ts";
import { certificatesCheck } from "./certificates-check.ts";
import type { CheckOptions } from "./check-options.ts";
import { clockCheck } from "./clock-check.ts";
import { clusterCheck } from "./cluster-check.ts";
import { dnsCaptureCheck } from "./dns-capture-check.ts";
import { drainsCheck } from "./drains-check.ts";
import { environmentCheck } from "./environment-check.ts";
import { featureCheck } from "./feature-check.ts";
import { gatewayCheck } from "./gateway-check.ts";
import { networksCheck } from "./networks-check.ts";
import { orphansCheck } from "./orphans-check.ts";
import type { Outcome } from "./outcome.ts";
import { peersCheck } from "./peers-check.ts";
import { podChecks } from "./pod-checks.ts";
import { portsCheck } from "./ports-check.ts";
import { remoteSecretsCheck } from "./remote-secrets-check.ts";
import { rightsCheck } from "./rights-check.ts";
import { sharedServicesCheck } from "./shared-services-check.ts";
import { staleWorkloadsCheck } from "./stale-workloads-check.ts";
import { versionsCheck } from "./versions-check.ts";

/** How a mesh is: each cluster, then all together, in the order of the guide. */
export interface MeshReport {
  readonly clusters: readonly { readonly cluster: string; readonly outcomes: readonly Outcome[] }[];
  readonly across: readonly Outcome[];
}

/** Judges what is known of clusters, and asks nobody anything (contract peering.md 4.3). */
export function checkMesh(mesh: readonly ClusterFacts[], options: CheckOptions): MeshReport {
  const read = mesh.filter(({ unread }) => unread === undefined);
  return {
    clusters: mesh.map((facts) => ({ cluster: facts.cluster, outcomes: clusterOutcomes(facts, mesh, options) })),
    across: read.length === 0 ? [] : acrossOutcomes(read, options),
  };
}

export const findingsOf = ({ clusters, across }: MeshReport): readonly Finding[] =>
  [...clusters.flatMap(({ outcomes }) => outcomes), ...across].flatMap(({ findings }) => findings);

function clusterOutcomes(
  facts: ClusterFacts,
  mesh: readonly ClusterFacts[],
  options: CheckOptions,
): readonly Outcome[] {
  const whole = clusterCheck(facts, mesh);
  if (facts.unread !== undefined) return [whole];
  return [
    whole,
    environmentCheck(facts),
    featureCheck(facts),
    dnsCaptureCheck(facts),
    ...podChecks(facts),
    gatewayCheck(facts, options),
    ...(options.precheck ? [] : [peersCheck(facts, mesh)]),
    rightsCheck(facts),
    clockCheck(facts),
    portsCheck(facts),
    orphansCheck(facts),
    remoteSecretsCheck(facts, mesh, options),
    ...(options.precheck ? [] : [drainsCheck(facts)]),
  ];
}

const acrossOutcomes = (mesh: readonly ClusterFacts[], { precheck }: CheckOptions): readonly Outcome[] => [
  ...(precheck ? [] : [sharedServicesCheck(mesh)]),
  certificatesCheck(mesh),
  networksCheck(mesh),
  ...(precheck ? [] : [staleWorkloadsCheck(mesh)]),
  versionsCheck(mesh),
];
