import { printable } from "../../printable.ts";
import { documentationOf, type Finding } from "../finding.ts";

export const FINDINGS_SCHEMA = "causeway.dev/findings/v1";

/** What scripts read: the same shape for whatever finds something. */
export const findingsDocument = (clusters: readonly string[], findings: readonly Finding[]): unknown => ({
  schema: FINDINGS_SCHEMA,
  clusters,
  findings: findings.map((finding) => ({ ...finding, documentation: documentationOf("analysis", finding) })),
});

/** For people: a block for each finding, and how many there are. */
export function analysisText(clusters: readonly string[], findings: readonly Finding[]): string {
  const names = clusters.join(", ");
  if (findings.length === 0) return `Nothing to say of ${clusters.length === 1 ? "cluster" : "clusters"} ${names}.\n`;
  const blocks = findings.map((finding) => {
    const { code, level, cluster, object, field, origin, evidence, fix } = finding;
    const where = [cluster === undefined ? "" : `cluster ${cluster}`, object, field].filter((part) => part !== "");
    const head = `${LEVELS[level]} [${code}] ${where.join(", ")}${origin === undefined ? "" : ` (${origin})`}`;
    const advice = fix === "" ? [] : [`  fix: ${fix}`];
    const lines = [head, `  ${evidence}`, ...advice, `  see ${documentationOf("analysis", finding)}`];
    return `${lines.map((line) => printable(line, LINE_CHARACTERS_MAX)).join("\n")}\n`;
  });
  return `${blocks.join("\n")}\n${countsOf(findings)} in ${names}\n`;
}

const LINE_CHARACTERS_MAX = 2_000;
const LEVELS = { error: "Error", warning: "Warning", info: "Info", ok: "Ok" } as const;

function countsOf(findings: readonly Finding[]): string {
  const counted = (["error", "warning", "info"] as const).map((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return level === "info" ? `${count} info` : `${count} ${level}${count === 1 ? "" : "s"}`;
  });
  return counted.join(", ");
}

/** A suite for each cluster, and one for all; whoever runs tests shows it with theirs. */
export function junitText(
  clusters: readonly string[],
  findings: readonly Finding[],
  fails: (one: Finding) => boolean,
): string {
  const suites = [...new Set([...clusters, ...findings.map(({ cluster }) => cluster ?? ALL)])].map((cluster) => {
    const own = findings.filter((finding) => (finding.cluster ?? ALL) === cluster);
    const cases =
      own.length === 0
        ? [`    <testcase name="analysis" classname="${xml(cluster)}"/>`]
        : own.map((one) => caseOf(one, fails(one)));
    const failures = own.filter(fails).length;
    return `  <testsuite name="${xml(cluster)}" tests="${cases.length}" failures="${failures}">\n${cases.join("\n")}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="causeway analyze">\n${suites.join("\n")}\n</testsuites>\n`;
}

const ALL = "all clusters";

function caseOf(finding: Finding, fails: boolean): string {
  const { code, object, cluster = ALL, field, origin = "", evidence, fix } = finding;
  const text = [evidence, field, origin, fix === "" ? "" : `fix: ${fix}`, documentationOf("analysis", finding)];
  const body = xml(text.filter((part) => part !== "").join("\n"));
  const said = fails
    ? `<failure type="${code}" message="${xml(evidence)}">${body}</failure>`
    : `<system-out>${body}</system-out>`;
  return `    <testcase name="${xml(`${code} ${object}`)}" classname="${xml(cluster)}">${said}</testcase>`;
}

const xml = (text: string): string =>
  text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, "?").replace(/[<>&"]/g, (sign) => ENTITIES[sign]!);
const ENTITIES: Readonly<Record<string, string>> = { "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" };
