import { type CommandCall, type ExitCode, type Flag, textOption } from "../command.ts";
import { documentationOf, type Finding } from "../inspect/finding.ts";
import { failsBy, findingsText, type FindingsFormat } from "../inspect/report/findings-report.ts";
import { plannedChanges, type PlannedChange, type Wish } from "../linking/applying.ts";
import { objectName } from "../linking/changes.ts";
import type { PairPlan } from "../linking/pairs.ts";
import { forecastOf } from "../linking/forecast.ts";
import { pageOfCode, sharingFindings } from "../linking/sharing.ts";
import { type ToldTable, toldTables, toldView } from "../linking/told-text.ts";
import { changeLine, ownershipOf } from "./link-tools.ts";
import { table } from "./table.ts";

export const LINK_OUTPUT_FLAG: Flag = {
  flags: "-o, --output <format>",
  description: "of --dry-run: how to print it",
  choices: ["text", "json", "yaml", "junit"],
  default: "text",
};

const LEVELS = { error: "✗", warning: "⚠", info: "ℹ", ok: "✓" } as const;

/** What linking would do, without doing it (contract peering.md 6.2). */
export async function printPreview(
  call: CommandCall,
  wishes: readonly Wish[],
  plans: readonly PairPlan[],
): Promise<ExitCode> {
  const { options, printer, signal } = call;
  const changes = await plannedChanges(wishes, ownershipOf(options), signal);
  const sides = [...new Set(plans.flatMap(({ pair }) => [pair.reader, pair.peer]))];
  const forecasts = forecastOf(sides, plans);
  const findings = unrepeated([...plans.flatMap((plan) => plan.findings), ...sharingFindings(plans, forecasts)]);
  const sharing = forecasts.flatMap((forecast) => forecast.told.map((told) => toldView(told, forecast)));
  const report = {
    ...{ command: "multicluster link --dry-run", findings, fails: failsBy(false), pageOf: pageOfCode },
    more: { changes: changes.map(viewOf), sharing },
  };
  const format = (textOption(options, "output") ?? "text") as "text" | FindingsFormat;
  const text = (): string => textOf(changes, toldTables(plans, forecasts), findings, call.terminal.columns);
  printer.out(format === "text" ? text() : findingsText(report, format));
  return findings.some(report.fails) ? 1 : 0;
}

const unrepeated = (findings: readonly Finding[]): readonly Finding[] => [
  ...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values(),
];

const viewOf = ({ wish, change }: PlannedChange): object => ({
  cluster: wish.where,
  object: objectName(change.manifest),
  action: change.action,
  diff: change.diff,
});

function textOf(
  changes: readonly PlannedChange[],
  tables: readonly ToldTable[],
  findings: readonly Finding[],
  columns: number | undefined,
): string {
  const objects = changes.map((each) => `${changeLine(each, true)}${each.change.diff}`);
  const told = tables.map(({ title, rows }) =>
    rows.length === 0 ? `${title}\n` : `${title}\n${table(["  SERVICE", "NAMES", "READY", "VERDICT"], rows, columns)}`,
  );
  const said = findings.map((finding) => {
    const { code, level, evidence, fix } = finding;
    const how = fix === "" ? "" : `  fix  ${fix}\n`;
    const more = level === "ok" || level === "info" ? "" : `  see  ${documentationOf(pageOfCode(code), finding)}\n`;
    return `${LEVELS[level]} ${code} ${evidence}\n${how}${more}`;
  });
  return `${[...objects, ...told, ...said].join("")}Nothing was changed.\n`;
}
