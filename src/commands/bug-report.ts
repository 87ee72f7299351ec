import { setMaxListeners } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, type CommandCall, type ExitCode, listOption, textOption, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import type { Clock } from "../host.ts";
import { packFolder } from "../inspect/archive/archive-file.ts";
import { collectReport, type ReportManifest, SUMMARY_FILE } from "../inspect/archive/collect-report.ts";
import { folderSources } from "../inspect/archive/folder-source.ts";
import { contextSource } from "../inspect/archive/context-source.ts";
import { countsOf, type JudgedReport } from "../inspect/archive/judged-report.ts";
import { localSource } from "../inspect/archive/local-source.ts";
import type { GatheringOptions, ReportSource } from "../inspect/archive/report-source.ts";
import { Redactor } from "../inspect/redact/redactor.ts";
import {
  namedFolders,
  SOURCE_FLAGS,
  SYSTEM_NAMESPACE_FLAG,
  systemNamespaceOf,
  throughContexts,
} from "./cluster-sources.ts";
import { openContexts } from "./contexts.ts";
import { localPlanes } from "./local-planes.ts";

const SINCE = "1h";
const SINCE_MS_MAX = 7 * 24 * 3_600_000;

/** `causeway bug-report`: all that helps to find out what is wrong, and nothing that is secret, in one file. */
export const bugReportCommand = (clock: Clock): Command => ({
  name: "bug-report",
  summary: "put what is known of clusters, their control planes and logs into one file, without what is secret",
  flags: [
    ...SOURCE_FLAGS,
    { flags: "--file <file>", description: "the archive to write; causeway-report-<time>.tar.gz by default" },
    { flags: "--since <duration>", description: "how far back logs go, at most 168h", default: SINCE },
    {
      flags: "--include-namespaces <names>",
      description: "whose logs and events are wanted beside the mesh's own",
      repeated: true,
    },
    SYSTEM_NAMESPACE_FLAG,
    { flags: "--dry-run", description: "only say what would be collected" },
  ],
  examples: [
    "causeway bug-report --contexts east,west",
    "causeway bug-report --state .causeway --file report.tar.gz",
    "causeway bug-report --contexts east --since 10m --include-namespaces shop --dry-run",
  ],
  run: (call) => run(clock, call),
});

async function run(clock: Clock, call: CommandCall): Promise<ExitCode> {
  const options = optionsOf(call);
  // Each page that is asked for listens to it, for as long as it takes.
  setMaxListeners(0, call.signal);
  const sources = await openReportSources(clock, call);
  try {
    return call.options["dryRun"] === true
      ? await showPlan(call, sources, options)
      : await report(clock, call, sources, options);
  } finally {
    for (const source of sources) await source.close();
  }
}

function optionsOf({ options, signal, progress }: CommandCall): GatheringOptions {
  const since = textOption(options, "since") ?? SINCE;
  const sinceMs = parseDurationMs(since);
  if (sinceMs === undefined || sinceMs > SINCE_MS_MAX)
    throw new UsageError(`--since is "${since}": give a time of at most 168h, as 30m`);
  const namespaces = listOption(options, "includeNamespaces")
    .flatMap((list) => list.split(","))
    .map((name) => name.trim());
  return {
    sinceSeconds: Math.ceil(sinceMs / 1_000),
    namespaces: namespaces.filter((name) => name !== ""),
    signal,
    progress,
  };
}

/** The current context, unless something else is named. */
async function openReportSources(clock: Clock, call: CommandCall): Promise<readonly ReportSource[]> {
  const local = (await localPlanes(clock, call)).map(localSource);
  const folders = await folderSources(namedFolders(call));
  if (!throughContexts(call, local.length + folders.length > 0)) return [...local, ...folders];
  return [...(await openContexts(call)).map((access) => contextSource(clock, access)), ...local, ...folders];
}

async function showPlan(
  { printer }: CommandCall,
  sources: readonly ReportSource[],
  options: GatheringOptions,
): Promise<ExitCode> {
  const facts = await Promise.all(sources.map((source) => source.facts(options)));
  for (const [at, each] of facts.entries()) {
    printer.out(`${sources[at]!.title}: cluster ${each.cluster}\n`);
    if (each.unread !== undefined) printer.out(`  nothing: ${each.unread}\n`);
    for (const [kind, known] of each.kinds)
      if ("objects" in known) printer.out(`  ${known.objects.length} ${kind}\n`);
      else if (!known.absent) printer.out(`  no ${kind}: ${known.why}\n`);
    for (const line of sources[at]!.plan(each, options)) printer.out(`  ${line}\n`);
  }
  printer.out("What is secret is taken out before anything is written (docs/bug-report.md). Nothing was written.\n");
  return facts.some(({ unread }) => unread !== undefined) ? 1 : 0;
}

async function report(
  clock: Clock,
  call: CommandCall,
  sources: readonly ReportSource[],
  options: GatheringOptions,
): Promise<ExitCode> {
  const time = new Date(clock.now()).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const file = textOption(call.options, "file") ?? `causeway-report-${time}.tar.gz`;
  const folder = await mkdtemp(join(tmpdir(), "causeway-report-"));
  try {
    const redactor = new Redactor();
    const systemNamespace = systemNamespaceOf(call);
    const collecting = { ...options, folder, redactor, systemNamespace };
    const { manifest, facts, judged } = await collectReport(clock, sources, collecting);
    call.progress(`packing ${file}`);
    const { bytes } = await packFolder(folder, file);
    call.printer.out(summary(manifest, judged, file, bytes));
    return facts.some(({ unread }) => unread !== undefined) ? 1 : 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function summary(
  { clusters, files, redacted, notCollected }: ReportManifest,
  judged: JudgedReport | undefined,
  file: string,
  bytes: number,
): string {
  const secrets = Object.entries(redacted).map(([kind, count]) => `${count} ${kind}`);
  const lines = [
    `wrote ${file}: ${files.length} files of ${clusters.map(({ cluster }) => cluster).join(", ")}, ${Math.ceil(bytes / 1024)} KiB`,
    secrets.length === 0 ? "nothing secret was found" : `taken out: ${secrets.join(", ")}`,
    ...(judged === undefined ? [] : [`found in it: ${countsOf(judged)}; ${SUMMARY_FILE} in it names them`]),
    ...notCollected.slice(0, 20).map(({ path, why }) => `not collected: ${path}: ${why}`),
    ...(notCollected.length > 20 ? [`and ${notCollected.length - 20} more, which its manifest.json lists`] : []),
    `Look through it before you send it. causeway replay ${file} runs it here; unpacked, it is what --directory takes.`,
  ];
  return `${lines.join("\n")}\n`;
}
