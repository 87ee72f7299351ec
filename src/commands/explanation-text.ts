import type {
  CallerView,
  Cause,
  Contribution,
  Explanation,
  Path,
  PolicyView,
  SharingView,
  Verdict,
} from "../explain/explanation.ts";
import { formatDuration } from "../duration.ts";
import { printable } from "../printable.ts";
import { folded } from "./folded.ts";
import type { OtherEnd } from "./other-ends.ts";
import { isNarrow } from "./table.ts";

const LINE_CHARACTERS_MAX = 2_000;
const FIX = "fix  ";

type Lines = readonly string[];

/**
 * An explanation for people: the answer first, then how it comes about.
 * @param columns how wide the terminal is; undefined if what is printed goes to a file or a pipe.
 */
export function explanationText(explanation: Explanation, ends: readonly OtherEnd[], columns?: number): string {
  const { answer, cluster, paths, caller, sharing, warnings } = explanation;
  const sections: readonly (readonly [string, Lines])[] = [
    [`name, as cluster ${cluster} has it`, nameLines(explanation)],
    ["clusters", clusterLines(explanation, ends)],
    ["paths", pathsLines(paths, isNarrow(columns) ? hopBlock : hopTable)],
    ["policies", policiesLines(explanation, ends)],
    [`caller ${caller?.caller ?? ""}`, caller === undefined ? [] : callerLines(caller, explanation, ends)],
    [`what cluster ${cluster} tells its peers of Service ${sharing.service}`, sharingLines(sharing)],
    ["look at this, too", warnings.flatMap((cause) => causeLines(cause))],
    ["the other ends", strayLines(explanation, ends)],
  ];
  const shown = sections.filter(([, lines]) => lines.length > 0);
  const lines = shown.flatMap(([title, lines]) => ["", title, ...lines.map((line) => `  ${line}`)]);
  const safe = [answer, ...lines].map((line) => printable(line, LINE_CHARACTERS_MAX));
  return `${(isNarrow(columns) ? safe.flatMap((line) => narrowed(line, columns)) : safe).join("\n")}\n`;
}

/** What is to be pasted stays in one piece. */
const narrowed = (line: string, columns: number): Lines =>
  line.trimStart().startsWith(FIX) ? [line] : folded(line, columns);

const KINDS: Readonly<Record<Exclude<Explanation["name"]["kind"], "other">, string>> = {
  global: "the global name",
  alias: "an alias",
  local: "the name within this cluster",
  "taken over": "the name within this cluster, taken over: it leads to all clusters",
  unknown: "not known to ztunnels here; by its parts it would be the name",
};

function nameLines(explanation: Explanation): Lines {
  const { name, waypoint } = explanation;
  const { kind, addresses, ports, others, segment, distribution, identities } = name;
  return [
    ...row("is", meaningOf(explanation)),
    ...row("addresses", addresses.join(", ") || (kind === "unknown" ? "" : "none")),
    ...row("ports", ports.join(", ")),
    ...row("also", others.join(", ")),
    ...row("segment", segment),
    ...row("spread", kind === "unknown" ? "" : distribution),
    ...row("expects", identities.length === 0 ? "" : `${identities.join(", ")} behind gateways of other networks`),
    ...row("waypoint", kind === "unknown" ? "" : waypoint.rule),
  ];
}

function meaningOf({ name: { kind, service, owner } }: Explanation): string {
  if (kind === "other") return `the name of ${owner}`;
  const own = owner === "" || owner.endsWith(service);
  return `${KINDS[kind]} of Service ${service}${own ? "" : `; but it belongs to ${owner}`}`;
}

const row = (title: string, text: string): Lines => (text === "" ? [] : [`${title.padEnd(9)} ${text}`]);

/** Beyond so many clusters those that are silent are named in one line: most clusters of a large mesh lack most names. */
const SILENT_MAX = 4;
const NAMED_MAX = 8;

function clusterLines({ contributions, cluster, name }: Explanation, ends: readonly OtherEnd[]): Lines {
  const answering = new Set(ends.map((end) => end.cluster));
  const isSilent = ({ via, cause, cluster }: Contribution): boolean =>
    via === "peer" && cause?.reason === "not exported" && !answering.has(cluster);
  const silent = contributions.filter(isSilent);
  const apart = silent.length > SILENT_MAX || name.kind === "local";
  const shown = apart ? contributions.filter((each) => !isSilent(each)) : contributions;
  const names = silent.slice(0, NAMED_MAX).map((each) => each.cluster);
  const more = silent.length - names.length;
  return [
    ...shown.flatMap((contribution) => contributionLines(contribution, cluster, ends)),
    ...(apart && silent.length > 0
      ? [
          `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}: tell us of no Service ${name.service}; ask them, if they should`,
        ]
      : []),
  ];
}

function contributionLines(
  { cluster, via, endpoints, healthy, through, cause, link, ageMs }: Contribution,
  ours: string,
  ends: readonly OtherEnd[],
): Lines {
  const age = ageMs === 0 ? "" : `, last heard ${formatDuration(ageMs)} ago`;
  const heard = via === "peer" ? `link ${link}${age}` : via === "secret" ? "by its API server" : "this cluster";
  const head = `${cluster} (${heard})`;
  if (cause === undefined && endpoints === 0) return [`${head}: ${through.join(", ")}`];
  if (cause === undefined)
    return [
      `${head}: ${healthy} of ${endpoints} endpoints healthy${through.map((way) => `, through ${way}`).join("")}`,
    ];
  if (cause.reason === "absent") return [`${head}: ${cause.message}`];
  const far = ends.find((end) => end.cluster === cluster);
  // Who knows better says what mends it.
  const brief = far?.explanation !== undefined && farCause(far.explanation, ours) !== undefined;
  return [
    `${head}: no endpoints, ${cause.reason}`,
    ...(brief ? [cause.message] : causeLines(cause)).map((line) => `  ${line}`),
    ...(far === undefined ? [] : farLines(far, ours).map((line) => `  ${line}`)),
  ];
}

/** Why the exporter does not tell us. */
const farCause = ({ sharing }: Explanation, ours: string): Cause | undefined =>
  sharing.cause ?? sharing.readers.find(({ cluster }) => cluster === ours)?.cause;

/** What the exporter itself says of why we have nothing of it. */
function farLines({ cluster, explanation }: OtherEnd, ours: string): Lines {
  if (explanation === undefined) return [];
  const { sharing } = explanation;
  const cause = farCause(explanation, ours);
  if (cause !== undefined) return [`${cluster} says: ${cause.reason}`, ...causeLines(cause).map((line) => `  ${line}`)];
  const reader = sharing.readers.find((each) => each.cluster === ours);
  if (reader === undefined) return [`${cluster} says: cluster ${ours} is not among those that read it`];
  return [
    `${cluster} says: it told us, ${reader.state}; ${sharing.ready} of ${sharing.total} endpoints are ready there`,
  ];
}

const causeLines = ({ message, object, cluster, field, fix }: Cause): Lines => [
  message,
  `at   ${object} of cluster ${cluster}${field === "" ? "" : `, ${field}`}`,
  `${FIX}${fix}`,
];

/** Those that were asked in vain. */
function strayLines({ contributions }: Explanation, ends: readonly OtherEnd[]): Lines {
  const known = new Set(contributions.map(({ cluster }) => cluster));
  return ends.flatMap(({ where, cluster, error }) => {
    if (error !== undefined) return [`${where}: ${error}`];
    return known.has(cluster)
      ? []
      : [`${where}: is cluster ${cluster}, which neither reads this one nor is read by it`];
  });
}

const PATHS_MAX = 4;

function pathsLines(paths: readonly Path[], hopLines: (hops: readonly HopCells[]) => Lines): Lines {
  const more = paths.length - PATHS_MAX;
  return [
    ...paths
      .slice(0, PATHS_MAX)
      .flatMap(({ to, hops }) => [`to ${to}`, ...hopLines(hopCells(hops)).map((line) => `  ${line}`)]),
    ...(more > 0 ? [`and to ${more} more clusters; -o json has them all`] : []),
  ];
}

type HopCells = readonly [number: string, component: string, enforces: string, note: string];

/** Proxies are counted, as in a walk-through; pods at either end and what is passed by are not. */
function hopCells(hops: Path["hops"]): readonly HopCells[] {
  const proxies = hops.filter(({ offPath, what }) => offPath !== true && !what.startsWith("pod"));
  return hops.map((hop) => {
    const number = proxies.includes(hop) ? `${proxies.indexOf(hop) + 1}` : "-";
    const does = hop.offPath === true ? "not on this path" : hop.enforces === "nothing" ? "-" : hop.enforces;
    return [number, `${hop.what} (${hop.cluster})`, does, hop.note];
  });
}

function hopTable(hops: readonly HopCells[]): Lines {
  const all: readonly HopCells[] = [["hop", "component", "enforces", ""], ...hops];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((cells) => cells[column]!.length)));
  return all.map((cells) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** For terminals in which a table would be torn apart. */
const hopBlock = (hops: readonly HopCells[]): Lines =>
  hops.flatMap(([number, component, enforces, note]) => [
    `${number} ${component}`,
    ...(enforces === "-" ? [] : [enforces.startsWith("L") ? `  enforces ${enforces}` : `  ${enforces}`]),
    ...(note === "" ? [] : [`  ${note}`]),
  ]);

/** Of this cluster, and of those that were asked: with which of their waypoints calls from here pass by. */
function policiesLines({ cluster: ours, policies, waypoint }: Explanation, ends: readonly OtherEnd[]): Lines {
  const passedBy = waypoint.policy === "source" || (waypoint.policy === "once" && waypoint.here !== "");
  const far = ends.flatMap(({ cluster, explanation }) =>
    (explanation?.policies ?? []).map((policy) => {
      const isPassedBy = passedBy && policy.at.startsWith("waypoint");
      return `${policyLine(cluster, policy)}${isPassedBy ? `, which calls from ${ours} do not pass` : ""}`;
    }),
  );
  return [...policies.map((policy) => policyLine(ours, policy)), ...far];
}

function policyLine(cluster: string, { object, does, at, note }: PolicyView): string {
  if (at !== "") return `${object} of ${cluster} ${does}, at ${at}`;
  return `${object} of ${cluster} is enforced by nobody${note === "" ? "" : `: ${note}`}`;
}

function callerLines(
  { identity, seen, note, verdicts }: CallerView,
  { cluster: ours, paths }: Explanation,
  ends: readonly OtherEnd[],
): Lines {
  const asked = new Set([ours, ...ends.map(({ cluster }) => cluster)]);
  const unasked = paths.filter(({ to }) => !asked.has(to)).map(({ to }) => to);
  const far = ends.flatMap(({ cluster, explanation }) => verdictLines(cluster, explanation?.caller?.verdicts ?? []));
  return [
    ...row("proves", identity === "" ? "nothing: it calls in plain text" : `to be ${identity}`),
    ...row("seen as", seen === identity ? "" : seen),
    ...(note === "" ? [] : [note]),
    ...verdictLines(ours, verdicts),
    ...far,
    ...(unasked.length === 0
      ? []
      : [`L4 in ${unasked.join(", ")}: only known there; ask with --peer-admin <its admin port>`]),
  ];
}

/** Endpoints of one cluster, those of which the same is so together. */
function verdictLines(cluster: string, verdicts: readonly Verdict[]): Lines {
  const groups = new Map<string, number>();
  for (const { port, message } of verdicts) {
    const text = `port ${port}: ${message}`;
    groups.set(text, (groups.get(text) ?? 0) + 1);
  }
  return Array.from(
    groups,
    ([text, count]) => `L4 at ${count} ${count === 1 ? "endpoint" : "endpoints"} in ${cluster}, ${text}`,
  );
}

function sharingLines({ cause, scope, saidBy, hosts, ready, total, readers }: SharingView): Lines {
  if (cause?.reason === "absent") return [];
  if (cause !== undefined) return [`nothing: ${cause.reason}`, ...causeLines(cause)];
  return [
    `${ready} of ${total} endpoints ready, scope ${scope} by ${saidBy}, as ${hosts.join(", ")}`,
    ...(readers.length === 0 ? ["no peer reads this cluster"] : []),
    ...readers.flatMap(({ cluster, state, cause, acknowledgedAt }) => [
      `${cluster}: ${state}${acknowledgedAt === "" ? "" : `, last at ${acknowledgedAt}`}${cause === undefined ? "" : `, ${cause.reason}`}`,
      ...(cause === undefined ? [] : causeLines(cause).map((line) => `  ${line}`)),
    ]),
  ];
}
