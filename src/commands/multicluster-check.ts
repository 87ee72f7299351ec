import { type Command, type CommandCall, type ExitCode, type Flag, textOption, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import type { Clock } from "../host.ts";
import { TOKEN_AGE_MAX_MS } from "../inspect/check/check-options.ts";
import { checkMesh, findingsOf, type MeshReport } from "../inspect/check/check-mesh.ts";
import { checkText } from "../inspect/check/check-text.ts";
import { checkPageOf } from "../inspect/check/checks.ts";
import type { ClusterFacts } from "../inspect/cluster-facts.ts";
import { failsBy, findingsText, type FindingsFormat } from "../inspect/report/findings-report.ts";
import { timeLimit } from "../time-limit.ts";
import { untilAborted } from "../until-aborted.ts";
import { openSources, SOURCE_FLAGS, type Sources, type SourceTools } from "./cluster-sources.ts";

const FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS,
  { flags: "-p, --precheck", description: "only what has to be so before clusters are linked" },
  { flags: "-v, --verbose", description: "the details of each check, too" },
  {
    flags: "-i, --istioNamespace <name>",
    description: "taken for istioctl's sake: parts are found by their labels in all namespaces",
  },
  { flags: "--wait <duration>", description: "check again until nothing is wrong, or for this long, as 5m" },
  { flags: "--strict", description: "warnings count as failures, too" },
  { flags: "--token-age <duration>", description: "how old tokens of remote secrets may be; 2160h by default" },
  {
    flags: "-o, --output <format>",
    description: "how to print",
    choices: ["text", "json", "yaml", "junit"],
    default: "text",
  },
];
const COMMAND = "multicluster check";
/** For one look at all clusters; --timeout can make it less. */
const LIMIT_MS = 120_000;
/** Between two looks. */
const AGAIN_MS = 3_000;
/** Two clusters are read one after the other: what changed in between looks like a difference. */
const DIFFERS = "CWY0701";
const DIFFERENCE_MS = 1_500;

/** `causeway multicluster check` (contract peering.md 4.3): 1 if something is wrong, 2 if nothing could be looked at. */
export const multiclusterCheckCommand = (tools: SourceTools): Command => ({
  name: "check",
  summary: "whether clusters are ready to be linked, or well linked; exit code 1 if something is wrong",
  flags: FLAGS,
  endless: true,
  examples: [
    "causeway multicluster check --precheck --contexts east,west",
    "causeway multicluster check --contexts east,west --verbose",
    "causeway multicluster check --contexts east,west --wait 5m",
    "causeway multicluster check --state .causeway",
    "causeway multicluster check --directory bug-report -o junit",
  ],
  async run(call) {
    const wanted = wishOf(call);
    const limitMs = wanted.waitMs === 0 ? LIMIT_MS : wanted.waitMs + LIMIT_MS;
    using limit = timeLimit(tools.clock, limitMs, call.signal);
    await using sources = await openSources(tools, call);
    if (wanted.waitMs > 0 && !sources.live)
      throw new UsageError(
        "--wait has nothing to wait for: a folder does not change; leave one of --wait and --directory out",
      );
    return printed(call, wanted, await untilGood(call, tools.clock, wanted, sources, limit.signal));
  },
});

interface Looked {
  readonly mesh: readonly ClusterFacts[];
  readonly report: MeshReport;
}

function printed({ printer, terminal }: CommandCall, wanted: Wish, { mesh, report }: Looked): ExitCode {
  const whole = { command: COMMAND, findings: findingsOf(report), fails: failsBy(wanted.strict), pageOf: checkPageOf };
  if (wanted.format !== "text") printer.out(findingsText(whole, wanted.format));
  else printer.out(checkText(report, { verbose: wanted.verbose, colour: terminal.colour }));
  if (!whole.findings.some(whole.fails)) return 0;
  printer.err("Error: multicluster check found issues\n");
  return mesh.every(({ unread }) => unread !== undefined) ? 2 : 1;
}

interface Wish {
  readonly precheck: boolean;
  readonly verbose: boolean;
  readonly strict: boolean;
  readonly tokenAgeMaxMs: number;
  readonly waitMs: number;
  readonly format: "text" | FindingsFormat;
}

/** @throws UsageError */
function wishOf({ options }: CommandCall): Wish {
  return {
    precheck: options["precheck"] === true,
    verbose: options["verbose"] === true,
    strict: options["strict"] === true,
    tokenAgeMaxMs: durationOf(options, "tokenAge", "--token-age") ?? TOKEN_AGE_MAX_MS,
    waitMs: durationOf(options, "wait", "--wait") ?? 0,
    format: (textOption(options, "output") ?? "text") as Wish["format"],
  };
}

function durationOf(options: CommandCall["options"], name: string, flag: string): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new UsageError(`${flag} is "${text}": give a duration above 0, as 30s, 5m or 2160h`);
  return ms;
}

/** Looks again while something is wrong and there is time to wait; what only differs gets a second look anyway. */
async function untilGood(
  call: CommandCall,
  clock: Clock,
  wanted: Wish,
  sources: Sources,
  signal: AbortSignal,
): Promise<Looked> {
  const endMs = clock.elapsedMs() + wanted.waitMs;
  for (let looks = 1; ; looks += 1) {
    const mesh = await sources.read(signal);
    const report = checkMesh(mesh, wanted);
    const wrong = findingsOf(report).filter(failsBy(wanted.strict));
    const differs = looks === 1 && wrong.some(({ code }) => code === DIFFERS) && sources.live;
    const pauseMs = differs ? DIFFERENCE_MS : AGAIN_MS;
    if (wrong.length === 0 || signal.aborted || (!differs && clock.elapsedMs() + pauseMs > endMs))
      return { mesh, report };
    call.progress(`${wrong.length} to mend, as ${wrong[0]!.code} ${wrong[0]!.object}; checking again`);
    using pause = timeLimit(clock, pauseMs, signal);
    await untilAborted(pause.signal);
  }
}
