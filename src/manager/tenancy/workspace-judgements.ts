import type { ClusterId } from "../../names.ts";
import { matchesPattern } from "../../registry/model/peer-grant.ts";
import { boundsIn, type Omission, BOUNDS_SIZE_MAX } from "./governance.ts";
import { whyFirst } from "../plan/judgements.ts";
import { titleOf } from "../objects/trust-object-id.ts";
import type { Workspace, WorkspaceSettings } from "../objects/workspace-model.ts";
import type { Judgement } from "../policy.ts";
import { settingsFindings } from "./settings-findings.ts";
import { Tenancy, WORKSPACES_MAX } from "./tenancy.ts";
import { overlaps } from "./workspace-overlaps.ts";

/** The rest is counted. */
const MESSAGES_MAX = 10;

/**
 * What Workspaces and their settings say, judged together: one for each that is given. Whether an object could be read is its
 * reader's to say, of which this knows nothing.
 * @param clusters all that are registered.
 */
export function judgeWorkspaces(
  clusters: Iterable<ClusterId>,
  workspaces: readonly Workspace[],
  settings: readonly WorkspaceSettings[],
): readonly Judgement[] {
  const known = new Set(clusters);
  const tenancy = new Tenancy(workspaces, settings);
  const findings = new Map<Workspace, readonly string[]>();
  const note = (workspace: Workspace, said: readonly string[]): void =>
    void findings.set(workspace, [...new Set([...(findings.get(workspace) ?? []), ...said])]);
  for (const workspace of tenancy.workspaces) note(workspace, extentFindings(workspace, known));
  for (const cluster of known)
    boundsIn(tenancy, cluster, known, (omission) => note(omission.workspace, [omissionText(omission, cluster)]));
  for (const { workspace, message } of overlaps(tenancy, known)) note(workspace, [message]);
  return [
    ...workspaces.map((each) => judged(each, whyNotCounted(each, tenancy), findings.get(each) ?? [])),
    ...settings.map((each) => judged(each, whyWithout(each, tenancy), settingsFindings(each, tenancy))),
  ];
}

function judged({ id }: { id: Judgement["id"] }, invalid: string | undefined, said: readonly string[]): Judgement {
  if (invalid !== undefined) return { id, state: "INVALID", messages: [invalid] };
  const more = said.length - MESSAGES_MAX;
  const messages = more > 0 ? [...said.slice(0, MESSAGES_MAX), `There are ${more} more such.`] : said;
  return { id, state: said.length === 0 ? "ACCEPTED" : "WARNING", messages };
}

function whyNotCounted(workspace: Workspace, { workspaces }: Tenancy): string | undefined {
  const counting = workspaces.find(({ name }) => name === workspace.name);
  if (counting === workspace) return undefined;
  if (counting !== undefined)
    return `It has no effect: ${titleOf(counting.id)}, ${whyFirst(counting.id, workspace.id)}, has the name already; give this one another.`;
  return `It has no effect: ${WORKSPACES_MAX} Workspaces are older, and no more count; have fewer.`;
}

function whyWithout(settings: WorkspaceSettings, tenancy: Tenancy): string | undefined {
  const counting = tenancy.settings.get(settings.workspace);
  if (counting === settings) return undefined;
  if (counting !== undefined)
    return `It has no effect: ${titleOf(counting.id)}, ${whyFirst(counting.id, settings.id)}, is for the same Workspace; delete this one.`;
  return (
    `It has no effect: there is no Workspace ${settings.workspace}, and settings are those of the Workspace that has ` +
    "their name; create that, or rename this."
  );
}

function extentFindings({ workloadClusters }: Workspace, known: ReadonlySet<ClusterId>): readonly string[] {
  if (workloadClusters.length === 0)
    return ["spec.workloadClusters is empty: it takes in nothing, and what is in no Workspace is shared with nobody."];
  return workloadClusters.flatMap(({ name, namespaces }, at) => {
    const field = `spec.workloadClusters[${at}]`;
    if (namespaces.length === 0) return [`${field}.namespaces is empty: nothing of cluster ${name} is taken in.`];
    if ([...known].some((cluster) => matchesPattern(name, cluster))) return [];
    return [
      `${field}.name is ${name}, and no KubernetesCluster is called so: register that cluster, or correct the name.`,
    ];
  });
}

function omissionText({ agreement }: Omission, cluster: ClusterId): string {
  if (agreement === undefined)
    return (
      `It shares nothing at cluster ${cluster}: the bounds of that would be larger than ${BOUNDS_SIZE_MAX} bytes, and older ` +
      "Workspaces come first; use fewer and wider patterns of namespaces and services."
    );
  const importers = Array.from(agreement.importers, ({ name }) => name).join(", ");
  return (
    `It does not share with Workspace ${importers.slice(0, 200)} what both agree on: what spec.exportTo and spec.importFrom ` +
    "of their settings have in common takes too many patterns; use fewer stars in them."
  );
}
