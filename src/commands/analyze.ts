import { stringify } from "yaml";
import { type Command, type CommandCall, type ExitCode, listOption, textOption, UsageError } from "../command.ts";
import type { Clock } from "../host.ts";
import { analyze } from "../inspect/analyze/analysis.ts";
import { analysisText, findingsDocument, junitText } from "../inspect/analyze/analysis-text.ts";
import {
  reaches,
  type Suppression,
  suppressionOf,
  type Threshold,
  unsuppressed,
} from "../inspect/analyze/suppressed.ts";
import type { Finding } from "../inspect/finding.ts";
import { readSources, sayUnread, SOURCE_FLAGS, systemNamespaceOf } from "./cluster-sources.ts";

/** `causeway analyze`: what is wrong with the objects of clusters, before or after they are applied. */
export const analyzeCommand = (clock: Clock): Command => ({
  name: "analyze",
  summary: "say what is wrong with manifests of several clusters, or with live ones, each and all together",
  args: ["[folder...]"],
  flags: [
    ...SOURCE_FLAGS,
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
    'causeway analyze --contexts east,west --strict --suppress "CWY2203=Gateway istio-eastwest/*"',
  ],
  run: (call) => run(clock, call),
});

async function run(clock: Clock, call: CommandCall): Promise<ExitCode> {
  const { options, args } = call;
  const threshold = options["strict"] === true ? "warning" : (textOption(options, "failureThreshold") as Threshold);
  const suppressions = suppressionsOf(call);
  const facts = await readSources(clock, call, args);
  const found = analyze(facts, { systemNamespace: systemNamespaceOf(call) });
  const findings = unsuppressed(found, suppressions);
  const fails = (finding: Finding): boolean => reaches(finding, threshold);
  const clusters = [...new Set(facts.map(({ cluster }) => cluster))].sort();
  call.printer.out(formatted(textOption(options, "output") ?? "text", clusters, findings, fails));
  if (sayUnread(call, facts)) return 2;
  return findings.some(fails) ? 1 : 0;
}

function formatted(
  format: string,
  clusters: readonly string[],
  findings: readonly Finding[],
  fails: (finding: Finding) => boolean,
): string {
  if (format === "junit") return junitText(clusters, findings, fails);
  const document = findingsDocument(clusters, findings);
  if (format === "json") return `${JSON.stringify(document, undefined, 2)}\n`;
  return format === "yaml" ? stringify(document, { aliasDuplicateObjects: false }) : analysisText(clusters, findings);
}

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
