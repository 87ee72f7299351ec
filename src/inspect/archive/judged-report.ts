import { analyze } from "../analyze/analysis.ts";
import { analysisText } from "../analyze/analysis-text.ts";
import { checkMesh, findingsOf, type MeshReport } from "../check/check-mesh.ts";
import { TOKEN_AGE_MAX_MS } from "../check/check-options.ts";
import { checkText } from "../check/check-text.ts";
import { checkPageOf } from "../check/checks.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { readClusterFolder } from "../cluster-folders.ts";
import type { Finding } from "../finding.ts";
import { failsBy, findingsText } from "../report/findings-report.ts";

/** What is said in `SUMMARY.txt` of what could not be had; `manifest.json` has all of it. */
const NOT_COLLECTED_MAX = 20;

/** What a report says of the clusters that are in it. */
export interface JudgedReport {
  readonly clusters: readonly ClusterFacts[];
  readonly check: MeshReport;
  readonly analysis: readonly Finding[];
}

/**
 * What `multicluster check` and `analyze` find in a report as it lies in `folder`, so as whoever gets it will see it.
 * @throws MeshError if nothing in it can be read.
 */
export async function judgeReport(folder: string, systemNamespace: string): Promise<JudgedReport> {
  const found = await readClusterFolder({ cluster: undefined, folder });
  // Where it lies now is nobody's business later.
  const clusters = found.map((facts) => ({ ...facts, source: facts.source.replace(`${folder}/`, "") }));
  const check = checkMesh(clusters, { precheck: false, tokenAgeMaxMs: TOKEN_AGE_MAX_MS });
  return { clusters, check, analysis: analyze(clusters, { systemNamespace }) };
}

/** For machines, as `-o json` of both commands: first those of the check, then those of the analysis. */
export function judgedJson({ clusters, check, analysis }: JudgedReport): string {
  const silent = clusters.filter(({ unread }) => unread !== undefined);
  const more = {
    clusters: [...new Set(namesOf(clusters))].sort(),
    unread: silent.map(({ source, unread }) => ({ source, why: unread })),
  };
  const findings = [...findingsOf(check), ...analysis];
  const pageOf = (code: string): string => checkPageOf(code) ?? "analysis";
  return findingsText({ command: "bug-report", findings, fails: failsBy(false), pageOf, more }, "json");
}

/** What a report is of, and what is missing in it. */
export interface Collected {
  /** The version of this program. */
  readonly tool: string;
  readonly createdAt: string;
  readonly clusters: readonly { readonly cluster: string; readonly source: string; readonly folder: string }[];
  readonly notCollected: readonly { readonly path: string; readonly why: string }[];
}

/** For people: what this is, what was found, what is missing, and how to go on. */
export function judgedText(judged: JudgedReport, { tool, createdAt, clusters, notCollected }: Collected): string {
  const { check, analysis } = judged;
  const more = notCollected.length - NOT_COLLECTED_MAX;
  return [
    `A bug report of ${clusters.length === 1 ? "one cluster" : `${clusters.length} clusters`}, made by causeway ${tool} at ${createdAt}:`,
    ...clusters.map(({ cluster, source, folder }) => `  ${cluster}, ${source}: in ${folder}`),
    ...section("What was found", [`${countsOf(judged)}. For machines the same is in findings.json.`]),
    ...section("What causeway multicluster check says of it", [checkText(check, { verbose: false, colour: false })]),
    ...section("What causeway analyze says of it", [analysisText(namesOf(judged.clusters.filter(isRead)), analysis)]),
    ...section("What was not collected", [
      ...notCollected.slice(0, NOT_COLLECTED_MAX).map(({ path, why }) => `${path}: ${why}`),
      ...(notCollected.length === 0 ? ["Nothing is missing."] : []),
      ...(more > 0 ? [`And ${more} more, which manifest.json lists.`] : []),
    ]),
    ...section("How to go on", [
      "causeway multicluster check --verbose --directory <this folder>   all details of the checks",
      "causeway replay <the archive>                                     runs these control planes on your machine",
    ]),
  ].join("\n");
}

/** As `2 errors, 1 warning`. */
export function countsOf({ check, analysis }: JudgedReport): string {
  const findings = [...findingsOf(check), ...analysis];
  const counted = (["error", "warning"] as const).map((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return `${count} ${level}${count === 1 ? "" : "s"}`;
  });
  return counted.join(", ");
}

const section = (title: string, lines: readonly string[]): readonly string[] => [
  "",
  title,
  "-".repeat(title.length),
  ...lines.map((line) => line.trimEnd()),
];

const isRead = ({ unread }: ClusterFacts): boolean => unread === undefined;
const namesOf = (clusters: readonly ClusterFacts[]): readonly string[] => clusters.map(({ cluster }) => cluster);
