import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, type CommandCall, type ExitCode, textOption, UsageError } from "../command.ts";
import { unpackArchive } from "../inspect/archive/archive-file.ts";
import { untilAborted } from "../until-aborted.ts";
import type { Comparison } from "./replay/comparison.ts";
import { replayedClusters, type ReplayedCluster } from "./replay/replayed-clusters.ts";
import { ReplayedMesh } from "./replay/replayed-mesh.ts";

const SHOWN_MAX = 20;

/** `causeway replay`: what a bug report holds, as a mesh that can be looked at (contract operations.md 1.6). */
export const replayCommand = (pid: number): Command => ({
  name: "replay",
  summary: "run control planes on this machine with the objects of a bug report, to look at what they make of them",
  args: ["<archive>"],
  flags: [
    {
      flags: "--state <dir>",
      description: "where the control planes say how to reach them; a temporary folder by default",
    },
    { flags: "--once", description: "say whether they derive what the archive says was served, and end" },
  ],
  examples: ["causeway replay report.tar.gz", "causeway replay report.tar.gz --once"],
  endless: true,
  run: (call) => replay(call, pid),
});

async function replay(call: CommandCall, pid: number): Promise<ExitCode> {
  const [archive] = call.args;
  if (archive === undefined)
    throw new UsageError("name an archive that causeway bug-report wrote, as replay report.tar.gz");
  const work = await mkdtemp(join(tmpdir(), "causeway-replay-"));
  const stateDir = textOption(call.options, "state") ?? join(work, "state");
  try {
    const clusters = await replayedClusters(await unpacked(archive, work), stateDir);
    const mesh = new ReplayedMesh(clusters);
    call.progress("starting a control plane for each cluster");
    await mesh.start(stateDir, pid, call.signal);
    try {
      return await show(call, clusters, mesh);
    } finally {
      await mesh.close();
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** A folder that was unpacked already will do; nothing is written into it that is not a copy. */
async function unpacked(archive: string, work: string): Promise<string> {
  const isFolder = (await stat(archive).catch(() => undefined))?.isDirectory() === true;
  if (isFolder) return archive;
  const folder = join(work, "archive");
  await mkdir(folder);
  return unpackArchive(archive, folder);
}

async function show(call: CommandCall, clusters: readonly ReplayedCluster[], mesh: ReplayedMesh): Promise<ExitCode> {
  call.progress("waiting for their links");
  await mesh.settle(call.signal);
  let differs = false;
  for (const replayed of clusters) {
    const comparison = mesh.comparisonOf(replayed);
    differs ||= comparison !== undefined && comparison.differences.length > 0;
    call.printer.out(clusterText(replayed, comparison, mesh.strangersOf(replayed.cluster)));
  }
  if (call.options["once"] === true) return differs ? 1 : 0;
  call.printer.out("\nTRY, in another terminal\n");
  for (const { config } of clusters) {
    const admin = mesh.planes.get(config.clusterId)?.admin.adminPort;
    call.printer.out(
      `  causeway services --state ${config.stateDir}    debug pages: http://127.0.0.1:${admin}/debug\n`,
    );
  }
  call.printer.out("\nCtrl-C ends it.\n");
  await untilAborted(call.signal);
  return 0;
}

function clusterText(
  { cluster, facts, limits }: ReplayedCluster,
  comparison: Comparison | undefined,
  strangers: readonly string[],
): string {
  const lost = strangers.map((peer) => `peer ${peer} is not in the archive, and what it shares is missing here`);
  const lines = [`cluster ${cluster}, as it was at ${new Date(facts.readAt).toISOString()}`];
  if (comparison !== undefined) {
    const { compared, differences } = comparison;
    const counts = Object.entries(compared).map(([kind, count]) => `${count} ${kind}`);
    lines.push(
      differences.length === 0
        ? `  derives what was served: ${counts.join(", ")}`
        : `  differs from what was served (${counts.join(", ")}) in ${differences.length}:`,
    );
    for (const { of, is, fields } of differences.slice(0, SHOWN_MAX))
      lines.push(
        `    ${of} is ${is}${is === "missing" ? " here" : is === "new" ? " here" : ""}`,
        ...fields.map((field) => `      ${field}`),
      );
    if (differences.length > SHOWN_MAX) lines.push(`    and ${differences.length - SHOWN_MAX} more`);
  }
  return `${[...lines, ...[...limits, ...lost].map((limit) => `  not as it was: ${limit}`)].join("\n")}\n`;
}
