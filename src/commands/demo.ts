import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Command,
  type CommandCall,
  type ExitCode,
  type Printer,
  listOption,
  textOption,
  UsageError,
} from "../command.ts";
import { type Config, CONFIG_FLAGS, loadConfig } from "../config.ts";
import { runMeshOnce } from "../demo/once.ts";
import { runMeshDemo } from "../demo/story.ts";
import { messageOf } from "../errors.ts";
import type { ChangeBatch } from "../registry/collection/collection.ts";
import { timeLimit } from "../time-limit.ts";
import { traceConfig } from "../trace-config.ts";
import { untilAborted } from "../until-aborted.ts";
import { type DemoClient, demoClient, leaveConnection } from "./demo-client.ts";
import { once, type Summary } from "./once.ts";
import { type RunningPlane, startPlane } from "./running-plane.ts";
import { table } from "./table.ts";

/** How long `--once` may take: a start, a snapshot and a certificate. */
const ONCE_MS = 60_000;
/** A token of 12 hours must not end while the demo runs. */
const RENEW_TOKEN_MS = 6 * 3_600_000;

/** `causeway demo`, which is `npm start`: three clusters that are one mesh, or one cluster from folders of your own. */
export function demoCommand(pid: number): Command {
  return {
    name: "demo",
    summary: "Run a mesh of three clusters on this machine, or of your --manifests, and say what to try",
    endless: true,
    flags: [
      { flags: "--once", description: "start, do once what a ztunnel does in each cluster, print a summary and end" },
      {
        flags: "-o, --output <format>",
        description: "of the summary of --once",
        choices: ["text", "json"],
        default: "text",
      },
      ...CONFIG_FLAGS,
    ],
    run: (call) => {
      const once = call.options["once"] === true;
      if (listOption(call.options, "manifests").length === 0) return once ? runMeshOnce(call) : runMeshDemo(call, pid);
      return once ? runOnce(call) : runDemo(call, pid);
    },
  };
}

function configOf({ options, environment }: CommandCall, over: CommandCall["options"] = {}): Config {
  const defaults = { listenAddress: "127.0.0.1", stateDir: ".causeway" };
  return loadConfig({ ...over, ...options }, environment, defaults);
}

async function runOnce(call: CommandCall): Promise<ExitCode> {
  const scratch = await mkdtemp(join(tmpdir(), "causeway-once-"));
  try {
    // Beside a demo that runs: ports and state of its own, and a log that says only what is wrong.
    const own = { state: scratch, xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "warn" };
    const config = configOf(call, own);
    const running = await startPlane({ config, openToAll: true, traces: traceConfig(call.environment) }, call.signal);
    try {
      using limit = timeLimit(running.host.clock, ONCE_MS, call.signal);
      const summary = await once(running, await demoClient({ ...running, config }), limit.signal);
      call.printer.out(call.options["output"] === "json" ? `${JSON.stringify(summary)}\n` : summaryText(summary));
      return 0;
    } finally {
      await running.close();
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function summaryText({ workloads, services, policies, svid, readyMs, snapshotMs }: Summary): string {
  return [
    `received ${workloads} workloads, ${services} services and ${policies} policies over TLS in ${snapshotMs} ms`,
    `got and verified a certificate for ${svid.spiffeId}, good until ${svid.notAfter}`,
    `was ready ${readyMs} ms after the start\n`,
  ].join("\n");
}

async function runDemo(call: CommandCall, pid: number): Promise<ExitCode> {
  if (textOption(call.options, "output") === "json") throw new UsageError("--output json is for --once; leave it out");
  const config = configOf(call);
  const running = await startPlane({ config, openToAll: true, traces: traceConfig(call.environment) }, call.signal);
  const own: Disposable[] = [];
  try {
    const client = await demoClient({ ...running, config });
    await leaveConnection(running, config, client, pid);
    call.printer.out(welcome(running, config, client));
    own.push(renewToken(running, config, pid), showChanges(running, call.printer));
    await untilAborted(call.signal);
    return 0;
  } finally {
    for (const disposable of own) disposable[Symbol.dispose]();
    await running.close();
  }
}

function renewToken(running: RunningPlane, config: Config, pid: number): Disposable {
  const { clock, log } = running.host;
  let timer: Disposable;
  const wait = (): void => {
    timer = clock.after(RENEW_TOKEN_MS, () => {
      wait();
      demoClient({ ...running, config })
        .then((client) => leaveConnection(running, config, client, pid))
        .catch((thrown: unknown) => log.scope("ca").warn(`the demo's token was not renewed: ${messageOf(thrown)}`));
    });
  };
  wait();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

/** A line for each change of the mesh, as it goes out to whoever is connected. */
function showChanges({ plane, host }: RunningPlane, printer: Printer): Disposable {
  const { workloads, services, policies } = plane.registry;
  return plane.graph.onSettled(() => {
    const changed = [
      gist("workloads", workloads.batch),
      gist("services", services.batch),
      gist("policies", policies.batch),
    ].filter((part) => part !== "");
    if (changed.length === 0) return;
    const time = new Date(host.clock.now()).toISOString().slice(11, 23);
    const clients = plane.discovery.clients().length;
    printer.out(`${time}  changed: ${changed.join(", ")}; told ${clients} ${clients === 1 ? "client" : "clients"}\n`);
  });
}

/** As `workloads +1 ~2 -1`; empty if nothing changed. */
function gist(what: string, batch: ChangeBatch<string, unknown>): string {
  if (batch.length === 0) return "";
  const added = batch.filter(({ before }) => before === undefined).length;
  const removed = batch.filter(({ after }) => after === undefined).length;
  const counts = [
    ["+", added],
    ["~", batch.length - added - removed],
    ["-", removed],
  ] as const;
  return [what, ...counts.flatMap(([sign, count]) => (count === 0 ? [] : [`${sign}${count}`]))].join(" ");
}

function welcome({ plane, admin }: RunningPlane, config: Config, client: DemoClient): string {
  const { workloads, services, policies } = plane.registry;
  const state = config.stateDir === ".causeway" ? "" : ` --state ${config.stateDir}`;
  const folders = config.manifests.map(({ cluster, folder }) => `${cluster}=${folder}`).join(" ");
  const problems = plane.problems();
  const unknown = plane.clusters.unknownKinds();
  const lines = [
    "causeway is ready",
    "",
    table(
      ["SERVES", ""],
      [
        ["clusters", folders],
        ["mesh", `${workloads.size} workloads, ${services.size} services, ${policies.size} policies`],
        ["not read", unknown.map(({ kind, count }) => `${count} ${kind}`).join(", ") || "nothing"],
        ["problems", problems.length === 0 ? "none" : `${problems.length}, see /debug/problemz and the log`],
      ],
    ),
    table(
      ["AT", ""],
      [
        ["discovery and certificates", `https://${client.address}`],
        ["the mesh as a page", `http://${config.listenAddress}:${admin.adminPort}/topology`],
        ["metrics, debug pages", `http://${config.listenAddress}:${admin.adminPort}/debug`],
        ["health", `http://${config.listenAddress}:${admin.healthPort}/ready`],
        ["roots to trust", plane.rootCertificateFile],
        ["token", `${config.stateDir}/token (${client.who})`],
      ],
    ),
    "TRY, in another terminal",
    ...["workloads", "services", "policies", "watch wds", "proxy-status"].map(
      (command) => `  npx causeway ${command}${state}`,
    ),
    `  edit a manifest in ${config.manifests[0]!.folder}, and see it arrive in the watch`,
    "",
    "Ctrl-C ends it.",
  ];
  return `${lines.join("\n")}\n`;
}
