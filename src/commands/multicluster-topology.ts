import type { Command } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { Topology, TopologyLink } from "../topology/topology.ts";
import { ADMIN_FLAGS, fetchAdmin } from "./admin-client.ts";
import { OUTPUT_FLAG, print } from "./output.ts";
import type { Row } from "./table.ts";

const HEADERS = ["CLUSTER", "DIRECTION", "VIA", "STATE", "FOR", "AGE", "SERVICES", "DENIED", "REASON"];
const SCHEMA = "causeway.dev/topology/v1";

/** What the topology page shows, in a terminal. */
export const topologyCommand: Command = {
  name: "topology",
  summary: "clusters and the links between them, in both directions; exit code 1 if one is not live",
  flags: [OUTPUT_FLAG, ...ADMIN_FLAGS],
  examples: ["causeway multicluster topology", "causeway multicluster topology -o json --state .causeway/edge"],
  async run(call) {
    const answer = await fetchAdmin(call, "/debug/topologyz");
    if (!isTopology(answer))
      throw new MeshError("unavailable", "the answer is no topology: is it a Causeway, and of this release?");
    const { links, clusters, denied, problems } = answer;
    print(call, answer, HEADERS, () => rowsOf(answer));
    for (const { oneWay } of clusters) if (oneWay !== "") call.printer.err(`${printable(oneWay, 600)}\n`);
    for (const { cluster, state, message } of links)
      if (message !== "") call.printer.err(`${printable(`${cluster} is ${state}: ${message}`, 600)}\n`);
    if (denied.total > 0) call.printer.err(`${denied.total} denied: /topology, or -o json, says what and why\n`);
    if (problems.total > 0) call.printer.err(`${problems.total} problems: /debug/problemz has them\n`);
    return links.every(({ state }) => state === "live") && clusters.every(({ oneWay }) => oneWay === "") ? 0 : 1;
  },
};

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
