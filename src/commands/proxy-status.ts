import type { Command } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import { fetchAdmins, PLANE_FLAGS } from "./admin-client.ts";
import { OUTPUT_FLAG, print } from "./output.ts";
import type { ClientSync, TypeSync } from "./sync-view.ts";

const HEADERS = ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"];
const IGNORED = "IGNORED";

/** Every client and whether it has what it should; 1 if one has not. */
export const proxyStatusCommand: Command = {
  name: "proxy-status",
  aliases: ["ps"],
  summary: "clients, and whether each has taken what it was sent; exit code 1 if one has not",
  args: ["[name]"],
  flags: [
    { flags: "-v, --verbosity [level]", description: "one column for each type, with its state and age" },
    OUTPUT_FLAG,
    ...PLANE_FLAGS,
  ],
  async run(call) {
    const [part = ""] = call.args;
    const answers = await fetchAdmins(call, "/debug/syncz");
    if (!answers.every(Array.isArray))
      throw new MeshError("unavailable", "the answer is no list of clients: is it a Causeway?");
    const clients = (answers as readonly (readonly ClientSync[])[])
      .flat()
      .filter(({ proxy }) => proxy.includes(part))
      .sort((a, b) => byCodeUnit(a.proxy, b.proxy));
    const verbose = !["0", undefined].includes(call.options["verbosity"] as string | undefined);
    const types = [...new Set(clients.flatMap((client) => client.types.map(({ name }) => name)))].sort();
    const headers = verbose ? [...HEADERS.slice(0, -1), ...types] : HEADERS;
    print(call, clients, headers, () =>
      clients.map((client) => [
        ...identityCells(client),
        ...(verbose ? stateCells(client, types) : [typesCell(client)]),
      ]),
    );
    const findings = clients.flatMap(findingsOf);
    for (const finding of findings) call.printer.err(`${finding}\n`);
    return findings.length === 0 ? 0 : 1;
  },
};

const identityCells = (client: ClientSync): readonly string[] => [
  client.proxy,
  client.cluster_id,
  // As its pod is called: its namespace is the mesh's own.
  client.control_plane.replace(/\.[^.]+$/, ""),
  client.istio_version || "-",
];

/** As `2 (WADS,WDS)`. */
function typesCell({ types }: ClientSync): string {
  const names = types.map(({ name }) => name).sort();
  return `${names.length} (${names.join(",")})`;
}

function stateCells({ types }: ClientSync, columns: readonly string[]): readonly string[] {
  return columns.map((column) => {
    const type = types.find(({ name }) => name === column);
    return type === undefined ? IGNORED : stateText(type);
  });
}

function stateText({ state, sent_ms_ago, last_error }: TypeSync): string {
  if (state === "NACKED") return `${state}: ${last_error}`;
  return sent_ms_ago < 0 ? state : `${state} (${formatDuration(sent_ms_ago)})`;
}

function findingsOf({ proxy, types }: ClientSync): readonly string[] {
  return types
    .filter(({ state }) => state === "STALE" || state === "NACKED")
    .map((type) => printable(`${proxy} has not taken ${type.name}: ${stateText(type)}`, 600));
}
