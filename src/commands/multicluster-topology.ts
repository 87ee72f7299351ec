import { type Command, type CommandCall, type ExitCode, UsageError } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { Topology, TopologyLink } from "../topology/topology.ts";
import { archivedAnswer, PLANE_OR_REPORT_FLAGS } from "./plane-source.ts";
import { OUTPUT_FLAG, print } from "./output.ts";
import { openPlanePages } from "./plane-pages.ts";
import type { Row } from "./table.ts";
import { portOption, serveTopology } from "./topology-server.ts";

const HEADERS = ["CLUSTER", "DIRECTION", "VIA", "STATE", "FOR", "AGE", "SERVICES", "DENIED", "REASON"];
const PAGE = "/debug/topologyz";
const SCHEMA = "causeway.dev/topology/v1";

/** What the topology page shows, in a terminal; or the page itself, of a control plane that is elsewhere. */
export const topologyCommand: Command = {
  name: "topology",
  summary: "clusters and the links between them, in both directions; exit code 1 if one is not live",
  flags: [
    OUTPUT_FLAG,
    { flags: "--serve", description: "serve the page on 127.0.0.1, live, until Ctrl-C" },
    { flags: "--port <port>", description: "of the page that --serve serves; any that is free by default" },
    ...PLANE_OR_REPORT_FLAGS,
  ],
  examples: [
    "causeway multicluster topology",
    "causeway multicluster topology -o json --state .causeway/edge",
    "causeway multicluster topology --context east",
    "causeway multicluster topology --context east --serve --port 8080",
    "causeway multicluster topology --directory east=./report",
  ],
  endless: ({ serve }) => serve === true,
  async run(call) {
    portOption(call);
    const serves = call.options["serve"] === true;
    if (serves && call.options["output"] !== "table")
      throw new UsageError("--serve shows a page: leave --output out, or --serve");
    if (serves && call.options["directory"] !== undefined)
      throw new UsageError("--serve shows a control plane that runs: leave --directory out, or --serve");
    const archived = await archivedAnswer(call, { path: PAGE, archived: ["topologyz"] });
    if (archived !== undefined) return printTopology(call, topologyIn(archived));
    const pages = await openPlanePages(call);
    try {
      call.progress(`asking ${pages.where}`);
      const topology = topologyIn(parsed(await pages.text(PAGE)));
      if (!serves) return printTopology(call, topology);
      await serveTopology(call, pages, topology.cluster);
      return 0;
    } finally {
      await pages.close();
    }
  },
};

function printTopology(call: CommandCall, topology: Topology): ExitCode {
  const { links, clusters, drains, denied, problems } = topology;
  print(call, topology, HEADERS, () => rowsOf(topology));
  for (const { oneWay } of clusters) if (oneWay !== "") call.printer.err(`${printable(oneWay, 600)}\n`);
  for (const { cluster, state, message } of links)
    if (message !== "") call.printer.err(`${printable(`${cluster} is ${state}: ${message}`, 600)}\n`);
  for (const { message } of drains.shown) call.printer.err(`${printable(message, 600)}\n`);
  if (denied.total > 0) call.printer.err(`${denied.total} denied: --serve, or -o json, says what and why\n`);
  if (problems.total > 0)
    call.printer.err(
      `${problems.total} ${problems.total === 1 ? "problem" : "problems"}: --serve, or -o json, says which\n`,
    );
  return links.every(({ state }) => state === "live") && clusters.every(({ oneWay }) => oneWay === "") ? 0 : 1;
}

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws MeshError `unavailable` if it is something else. */
function topologyIn(answer: unknown): Topology {
  if (isTopology(answer)) return answer;
  throw new MeshError("unavailable", "the answer is no topology: is it a Causeway, and of this release?");
}

const isTopology = (answer: unknown): answer is Topology =>
  typeof answer === "object" && answer !== null && "schema" in answer && answer.schema === SCHEMA;

function rowsOf({ clusters, links, at }: Topology): readonly Row[] {
  const now = Date.parse(at);
  const services = new Map(clusters.map(({ name, services }) => [name, services]));
  return links.map((link) => linkRow(link, services.get(link.cluster) ?? 0, now));
}

function linkRow(link: TopologyLink, services: number, now: number): Row {
  const { cluster, direction, via, state, since, heardAt, behindSince, denied, reason } = link;
  const peered = direction === "we read" && via === "peer";
  return [
    ...[cluster, direction, via, state, ageText(since, now), ageText(heardAt || behindSince, now)],
    ...[peered ? `${services}` : "-", peered ? `${denied}` : "-", reason || "-"],
  ];
}

const ageText = (time: string, now: number): string => (time === "" ? "-" : formatDuration(now - Date.parse(time)));
