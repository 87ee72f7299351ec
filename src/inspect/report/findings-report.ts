import { stringify } from "yaml";
import { documentationOf, type Finding } from "../finding.ts";

/** Changes when a field of the machine-readable forms goes or means something else. */
export const FINDINGS_SCHEMA = "causeway.dev/findings/v1";

export type FindingsFormat = "json" | "yaml" | "junit";

export interface FindingsReport {
  /** What was run, as `multicluster check`. */
  readonly command: string;
  readonly findings: readonly Finding[];
  /** Which of them make the command end with 1. */
  fails(finding: Finding): boolean;
  /** The page of the documentation that explains a code, as `checks/peers`; undefined if none does. */
  pageOf(code: string): string | undefined;
  /** What this command says besides, for JSON and YAML, as the changes that it would make. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Findings for machines, whichever command found them. */
export function findingsText(report: FindingsReport, format: FindingsFormat): string {
  if (format === "junit") return junitText(report);
  const document = findingsDocument(report);
  if (format === "yaml") return stringify(document, { aliasDuplicateObjects: false });
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** What fails by default: errors, and warnings if they count as such. */
export const failsBy =
  (strict: boolean) =>
  ({ level }: Finding): boolean =>
    level === "error" || (strict && level === "warning");

function findingsDocument(report: FindingsReport): unknown {
  const { command, findings, fails, more } = report;
  return {
    ...{ schema: FINDINGS_SCHEMA, command, success: !findings.some(fails), ...more },
    findings: findings.map((finding) => ({ ...finding, documentation: documentationFor(report, finding) })),
  };
}

function documentationFor({ pageOf }: FindingsReport, finding: Finding): string | undefined {
  const page = pageOf(finding.code);
  return page === undefined ? undefined : documentationOf(page, finding);
}

/** Each finding is a test case: what is so has passed. */
function junitText(report: FindingsReport): string {
  const { command, findings, fails } = report;
  const failed = findings.filter(fails).length;
  // Of no cases at all some who show them make a failure.
  const none = `    <testcase classname="mesh" name="nothing was found"/>`;
  const cases = findings.length === 0 ? [none] : findings.map((finding) => caseText(report, finding));
  const counts = `tests="${cases.length}" failures="${failed}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="causeway ${escaped(command)}" ${counts}>`,
    `  <testsuite name="${escaped(command)}" ${counts}>`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function caseText(report: FindingsReport, finding: Finding): string {
  const { code, cluster, object, field, origin = "", evidence, fix, level } = finding;
  const head = `    <testcase classname="${escaped(cluster ?? "mesh")}" name="${escaped(`${code} ${object}`)}"`;
  const see = documentationFor(report, finding) ?? "";
  const more = [evidence, field, origin, fix && `fix: ${fix}`, see && `see: ${see}`].filter((part) => part !== "");
  const body = escaped(more.join("\n"));
  if (report.fails(finding))
    return `${head}>\n      <failure type="${level}" message="${escaped(evidence)}">${body}</failure>\n    </testcase>`;
  return level === "ok" ? `${head}/>` : `${head}>\n      <system-out>${body}</system-out>\n    </testcase>`;
}

/** What XML may not hold at all is replaced. */
const escaped = (text: string): string =>
  text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
