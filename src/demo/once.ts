import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandCall, ExitCode } from "../command.ts";
import { systemClock } from "../system-host.ts";
import { timeLimit } from "../time-limit.ts";
import { Convergence } from "./convergence.ts";
import { DemoMesh } from "./mesh.ts";
import { type MeshSummary, summarize } from "./summary.ts";
import { globalTable, linkTable } from "./tables.ts";
import { withheldText, withhold } from "./withheld.ts";

/** How long the three may take: their starts, the links, and a certificate each. */
const ONCE_MS = 60_000;

/**
 * Starts the three clusters beside whatever runs, waits until every link is live and every client holds what the
 * manifests imply, says so and ends. @throws MeshError `timeout` with what was missing.
 */
export async function runMeshOnce(call: CommandCall): Promise<ExitCode> {
  const scratch = await mkdtemp(join(tmpdir(), "causeway-once-"));
  try {
    // Ports and state of its own, and a log that says only what is wrong.
    const own = { state: scratch, xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "error" };
    const mesh = new DemoMesh({ options: { ...own, ...call.options }, environment: call.environment });
    using limit = timeLimit(systemClock, ONCE_MS, call.signal);
    await mesh.start(limit.signal);
    try {
      await report(call, mesh, limit.signal);
      return 0;
    } finally {
      await mesh.close();
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function report({ options, printer }: CommandCall, mesh: DemoMesh, signal: AbortSignal): Promise<void> {
  const readyMs = Math.round(systemClock.elapsedMs());
  await using convergence = new Convergence(mesh);
  await convergence.follow();
  const shortcomings = (): readonly string[] => convergence.shortcomings();
  await convergence.until(
    () => shortcomings().length === 0,
    () => shortcomings().join("; "),
    signal,
  );
  const convergedMs = Math.round(systemClock.elapsedMs());
  const clusters = await summarize(mesh, convergence, signal);
  const isAttested = mesh.attestation.of("edge") !== undefined;
  const withheld = isAttested ? await withhold(mesh, "edge", signal) : undefined;
  const summary: MeshSummary = { clusters, readyMs, convergedMs, ...(withheld !== undefined && { withheld }) };
  if (options["output"] === "json") printer.out(`${JSON.stringify(summary)}\n`);
  else printer.out(`${linkTable(mesh, convergence)}\n${globalTable(convergence, "edge")}\n${summaryLine(summary)}\n`);
}

const summaryLine = ({ clusters, readyMs, convergedMs, withheld }: MeshSummary): string =>
  [
    `${clusters.length} clusters were ready after ${readyMs} ms, and one mesh after ${convergedMs} ms; ` +
      `each ${withheld === undefined ? "signed" : "had its stand-in for SPIRE sign"} a certificate, as for ${clusters[0]!.svid.spiffeId}`,
    ...(withheld === undefined ? [] : [withheldText(withheld)]),
  ].join("\n");
