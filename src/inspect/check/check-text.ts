import { printable } from "../../printable.ts";
import { type Finding, type FindingLevel, documentationOf } from "../finding.ts";
import type { MeshReport } from "./check-mesh.ts";
import { checkPageOf } from "./checks.ts";
import { isWorthALine } from "./cluster-check.ts";
import type { DetailLine, Outcome } from "./outcome.ts";

export interface TextOptions {
  /** The details of each check, too. */
  readonly verbose: boolean;
  readonly colour: boolean;
}

/** As guide 002 shows them. */
const MARKS: Readonly<Record<FindingLevel, string>> = { ok: "✅", info: "ℹ", warning: "⚠", error: "❌" };
const COLOURS: Readonly<Record<FindingLevel, string>> = { ok: "32", info: "36", warning: "33", error: "31" };
const LINE_CHARACTERS_MAX = 2_000;

/** The report in the layout of guide 002: a block for each cluster if there are several, then all together. */
export function checkText({ clusters, across }: MeshReport, options: TextOptions): string {
  const blocks = clusters.flatMap(({ cluster, outcomes }) => [
    ...(clusters.length > 1 ? [`=== Cluster: ${cluster} ===`] : []),
    ...outcomes.filter(isWorthALine).flatMap((outcome) => outcomeLines(outcome, options)),
    ...(clusters.length > 1 ? ["======", ""] : []),
  ]);
  const lines = [...blocks, ...across.flatMap((outcome) => outcomeLines(outcome, options))];
  return lines.map((line) => `${line}\n`).join("");
}

function outcomeLines({ title, details, findings, level, summary }: Outcome, options: TextOptions): readonly string[] {
  const problems = findings.filter((finding) => finding.level === "error" || finding.level === "warning");
  const head = options.verbose ? [`--- ${title} ---`, ...details.map((line) => detailText(line, options))] : [];
  const last = `${marked(level, options)} ${safe(`${title}: ${summary}`)}`;
  return [...head, last, ...problems.flatMap((finding) => problemLines(finding, problems.length > 1, options))];
}

const detailText = ({ level, text }: DetailLine, options: TextOptions): string =>
  level === undefined ? safe(text) : `${marked(level, options)} ${safe(text)}`;

/** What is wrong, whose it is, what mends it, and where more is said; one part to a line, so that a terminal wraps well. */
function problemLines(finding: Finding, several: boolean, options: TextOptions): readonly string[] {
  const { code, object, evidence, fix, field } = finding;
  const page = checkPageOf(code);
  return [
    `   ${code} ${safe(object)}${field === "" ? "" : safe(` ${field}`)}`,
    ...(several ? [`     ${marked(finding.level, options)} ${safe(evidence)}`] : []),
    ...(fix === "" ? [] : [`     fix: ${safe(fix)}`]),
    ...(page === undefined ? [] : [`     see: ${documentationOf(page, finding)}`]),
  ];
}

const marked = (level: FindingLevel, { colour }: TextOptions): string =>
  colour ? `\u001b[${COLOURS[level]}m${MARKS[level]}\u001b[0m` : MARKS[level];

const safe = (text: string): string => printable(text, LINE_CHARACTERS_MAX);
