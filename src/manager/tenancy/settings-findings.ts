import { matchesPattern } from "../../registry/model/peer-grant.ts";
import type { SharingRule, WorkspaceSettings } from "../objects/workspace-model.ts";
import type { Tenancy } from "./tenancy.ts";

/** What of the settings of a Workspace that counts has no effect, though somebody will have meant something by it. */
export function settingsFindings(settings: WorkspaceSettings, tenancy: Tenancy): readonly string[] {
  return [
    ...namedBy(settings.exportTo, "exportTo").flatMap((named) => finding(named, settings, tenancy)),
    ...namedBy(settings.importFrom, "importFrom").flatMap((named) => finding(named, settings, tenancy)),
  ];
}

type Direction = "exportTo" | "importFrom";

interface Named {
  readonly field: string;
  readonly pattern: string;
  readonly direction: Direction;
}

const namedBy = (rules: readonly SharingRule[], direction: Direction): readonly Named[] =>
  rules.flatMap(({ workspaces }, at) =>
    workspaces.map((pattern, index) => ({
      field: `spec.${direction}[${at}].workspaces[${index}].name`,
      pattern,
      direction,
    })),
  );

function finding(
  { field, pattern, direction }: Named,
  { workspace }: WorkspaceSettings,
  tenancy: Tenancy,
): readonly string[] {
  const named = tenancy.workspaces.filter(({ name }) => matchesPattern(pattern, name));
  if (named.length === 0)
    return [`${field} is ${pattern}, and there is no such Workspace: create it, or correct the name.`];
  // Of patterns nobody expects that all whom they fit want something, and a Workspace always has its own.
  if (pattern.includes("*") || pattern === workspace) return [];
  const theirs = tenancy.settings.get(pattern);
  const asked = direction === "exportTo" ? theirs?.importFrom : theirs?.exportTo;
  if (asked?.some(({ workspaces }) => workspaces.some((each) => matchesPattern(each, workspace))) === true) return [];
  const missing = direction === "exportTo" ? ["import from", "importFrom"] : ["export to", "exportTo"];
  return [
    `${field} is ${pattern}, and Workspace ${pattern} does not ${missing[0]} ${workspace}: nothing is shared until ` +
      `spec.${missing[1]} of WorkspaceSettings ${pattern} names it.`,
  ];
}
