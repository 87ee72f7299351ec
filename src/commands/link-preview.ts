import { stringify } from "yaml";
import type { CommandCall, ExitCode, Flag } from "../command.ts";
import { documentationOf, type Finding } from "../inspect/finding.ts";
import { plannedChanges, type PlannedChange, type Wish } from "../linking/applying.ts";
import { objectName } from "../linking/changes.ts";
import type { PairPlan } from "../linking/pairs.ts";
import { sharingFindings } from "../linking/sharing.ts";
import { changeLine, ownershipOf } from "./link-tools.ts";

export const LINK_OUTPUT_FLAG: Flag = {
  flags: "-o, --output <format>",
  description: "of --dry-run: how to print it",
  choices: ["text", "json", "yaml"],
  default: "text",
};

const LEVELS = { error: "✗", warning: "⚠", info: "ℹ", ok: "✓" } as const;
const SCHEMA = "causeway.dev/findings/v1";

/** What linking would do, without doing it (contract peering.md 6.2). */
export async function printPreview(
  call: CommandCall,
  wishes: readonly Wish[],
  plans: readonly PairPlan[],
): Promise<ExitCode> {
  const { options, printer, signal } = call;
  const changes = await plannedChanges(wishes, ownershipOf(options), signal);
  const findings = unrepeated([...plans.flatMap((plan) => plan.findings), ...sharingFindings(plans)]);
  const format = options["output"];
  if (format === "json") printer.out(`${JSON.stringify(viewOf(changes, findings), undefined, 2)}\n`);
  else if (format === "yaml") printer.out(stringify(viewOf(changes, findings), { aliasDuplicateObjects: false }));
  else printer.out(textOf(changes, findings));
  return findings.some(({ level }) => level === "error") ? 1 : 0;
}

const unrepeated = (findings: readonly Finding[]): readonly Finding[] => [
  ...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values(),
];

function viewOf(changes: readonly PlannedChange[], findings: readonly Finding[]): object {
  return {
    schema: SCHEMA,
    findings: findings.map((finding) => ({ ...finding, documentation: documentationOf("linking", finding) })),
    changes: changes.map(({ wish, change }) => ({
      cluster: wish.where,
      object: objectName(change.manifest),
      action: change.action,
      diff: change.diff,
    })),
  };
}

function textOf(changes: readonly PlannedChange[], findings: readonly Finding[]): string {
  const told = findings.map((finding) => {
    const { code, level, evidence, fix } = finding;
    const how = fix === "" ? "" : `  fix  ${fix}\n`;
    const more = level === "ok" || level === "info" ? "" : `  see  ${documentationOf("linking", finding)}\n`;
    return `${LEVELS[level]} ${code} ${evidence}\n${how}${more}`;
  });
  const objects = changes.map((each) => `${changeLine(each, true)}${each.change.diff}`);
  return `${[...objects, ...told].join("")}Nothing was changed.\n`;
}
