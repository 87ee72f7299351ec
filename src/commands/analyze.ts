import { type Command, type CommandCall, type ExitCode, listOption, textOption, UsageError } from "../command.ts";
import type { Clock } from "../host.ts";
import { analyze } from "../inspect/analyze/analysis.ts";
import { analysisText } from "../inspect/analyze/analysis-text.ts";
import {
  reaches,
  type Suppression,
  suppressionOf,
  type Threshold,
  unsuppressed,
} from "../inspect/analyze/suppressed.ts";
import type { ClusterFacts } from "../inspect/cluster-facts.ts";
import { findingsText, type FindingsFormat, type FindingsReport } from "../inspect/report/findings-report.ts";
import {
  SYSTEM_NAMESPACE_FLAG,
  readSources,
  sayUnread,
  SOURCE_FLAGS,
  sourceTools,
  systemNamespaceOf,
} from "./cluster-sources.ts";

/** `causeway analyze`: what is wrong with the objects of clusters, before or after they are applied. */
export const analyzeCommand = (clock: Clock): Command => ({
  name: "analyze",
  summary: "say what is wrong with manifests of several clusters, or with live ones, each and all together",
  args: ["[folder...]"],
  flags: [
    ...SOURCE_FLAGS,
    SYSTEM_NAMESPACE_FLAG,
    {
      flags: "--suppress <code=object>",
      description: 'leave findings out, as CWY2304 or "CWY2304=Service shop/*"; may be repeated',
      repeated: true,
    },
    {
      flags: "--failure-threshold <level>",
      description: "from which level on it ends with 1",
      choices: ["info", "warning", "error"],
      default: "error",
    },
    { flags: "--strict", description: "as --failure-threshold warning" },
    {
      flags: "-o, --output <format>",
      description: "how to print",
      choices: ["text", "json", "yaml", "junit"],
      default: "text",
    },
  ],
  examples: [
    "causeway analyze ./east ./west",
    "causeway analyze --directory east=./clusters/one --directory west=./clusters/two",
    "causeway analyze --state .causeway",
    'causeway analyze --contexts east,west --strict --suppress "CWY2203=Gateway istio-eastwest/*"',
  ],
  run: (call) => run(clock, call),
});

async function run(clock: Clock, call: CommandCall): Promise<ExitCode> {
  const { options, args } = call;
  const threshold = options["strict"] === true ? "warning" : (textOption(options, "failureThreshold") as Threshold);
  const suppressions = suppressionsOf(call);
  const facts = await readSources(sourceTools(clock), call, args);
  const found = analyze(facts, { systemNamespace: systemNamespaceOf(call) });
  const findings = unsuppressed(found, suppressions);
  const report = reportOf(facts, findings, threshold);
  call.printer.out(formatted((textOption(options, "output") ?? "text") as Format, report));
  if (sayUnread(call, facts)) return 2;
  return findings.some(report.fails) ? 1 : 0;
}

type Format = "text" | FindingsFormat;

interface AnalysisReport extends FindingsReport {
  readonly more: {
    readonly clusters: readonly string[];
    /** Nothing is said of these, and why. */
    readonly unread: readonly { readonly source: string; readonly why: string | undefined }[];
  };
}

function reportOf(
  facts: readonly ClusterFacts[],
  findings: AnalysisReport["findings"],
  threshold: Threshold,
): AnalysisReport {
  const read = facts.filter(({ unread }) => unread === undefined);
  const silent = facts.filter(({ unread }) => unread !== undefined);
  return {
    ...{ command: "analyze", findings, pageOf: () => "analysis" },
    fails: (finding) => reaches(finding, threshold),
    more: {
      clusters: [...new Set(read.map(({ cluster }) => cluster))].sort(),
      unread: silent.map(({ source, unread }) => ({ source, why: unread })),
    },
  };
}

const formatted = (format: Format, report: AnalysisReport): string =>
  format === "text" ? analysisText(report.more.clusters, report.findings) : findingsText(report, format);

/** @throws UsageError for what names no code: a finding that was to be left out must not be left in by a slip. */
const suppressionsOf = ({ options }: CommandCall): readonly Suppression[] =>
  listOption(options, "suppress")
    .flatMap((text) => text.split(/,(?=CWY)/))
    .map((text) => {
      const suppression = suppressionOf(text);
      if (suppression !== undefined) return suppression;
      throw new UsageError(
        `--suppress is "${text}": give a code of docs/analysis.md, as CWY2304, or one with an object, as "CWY2304=Service shop/cart"`,
      );
    });
