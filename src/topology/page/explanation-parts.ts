import type { Cause, Contribution, Explanation, Path, SharingView } from "../../explain/answer.ts";
import { element } from "./element.ts";
import { type Column, patchRows, type Row, tablePlace } from "./rows.ts";
import type { Mark } from "./state.ts";
import { durationText } from "./times.ts";

const GOOD: Mark = { glyph: "●", word: "answers", tone: "ok" };
const EMPTY: Mark = { glyph: "✕", word: "adds nothing", tone: "bad" };
const ABSENT: Mark = { glyph: "–", word: "has none", tone: "plain" };
const ALLOWED: Mark = { glyph: "●", word: "allowed", tone: "ok" };
const DENIED: Mark = { glyph: "✕", word: "denied", tone: "bad" };

const CLUSTER: Column = { name: "Cluster", width: "m" };

/** The page of one service: the answer first, then how it comes about, in the order of `causeway explain`. */
export function explanationParts(explanation: Explanation): readonly HTMLElement[] {
  const { answer, cluster, contributions, paths, policies, caller, sharing, warnings, reachable } = explanation;
  return [
    element("p", { class: `answer ${reachable > 0 ? "ok" : "bad"}`, text: `${reachable > 0 ? "●" : "✕"} ${answer}` }),
    section(`The name, as cluster ${cluster} has it`, facts(nameFacts(explanation))),
    section(
      "Clusters",
      table(
        "Clusters",
        [CLUSTER, { name: "Endpoints", width: "m" }, { name: "How, or why not" }],
        contributions.map(contributionRow),
      ),
    ),
    ...(paths.length === 0 ? [] : [section("Paths", ...paths.map(pathPart))]),
    ...(policies.length === 0
      ? []
      : [
          section(
            "Policies",
            table(
              "Policies",
              [{ name: "Policy" }, { name: "Does", width: "m" }, { name: "At" }],
              policies.map(({ object, does, at, note }) =>
                row(object, [{ text: object, note }, { text: does }, { text: at || "nobody" }]),
              ),
            ),
          ),
        ]),
    ...(caller === undefined ? [] : [section(`Caller ${caller.caller}`, ...callerParts(caller))]),
    ...sharingParts(cluster, sharing),
    ...(warnings.length === 0 ? [] : [section("Look at this, too", ...warnings.map(causePart))]),
  ];
}

function nameFacts({ name, waypoint }: Explanation): readonly (readonly [string, string])[] {
  return [
    ["Name", name.host],
    ["Kind", name.kind],
    ["Service", name.service],
    ["Belongs to", name.owner || "nobody"],
    ["Addresses", name.addresses.join(", ")],
    ["Ports", name.ports.join(", ")],
    ["Also called", name.others.join(", ")],
    ["Segment", name.segment],
    ["Spread", name.distribution],
    ["Expects", name.identities.join(", ")],
    ["Waypoint", waypoint.rule],
  ];
}

function contributionRow({ cluster, endpoints, healthy, through, cause, link, ageMs, via }: Contribution): Row {
  const mark =
    endpoints > 0 && cause === undefined ? GOOD : cause === undefined || cause.reason === "absent" ? ABSENT : EMPTY;
  const age = ageMs === 0 ? "" : `, heard ${durationText(ageMs)} ago`;
  const heard = via === "peer" ? `link ${link}${age}` : via === "secret" ? "by its API server" : "this cluster";
  return row(cluster, [
    { text: cluster, note: heard },
    { mark, text: endpoints === 0 ? "" : `${healthy} of ${endpoints}` },
    cause === undefined ? { text: through.join(", ") } : { text: cause.message, note: remedyOf(cause) },
  ]);
}

const placeOf = ({ object, cluster, field }: Cause): string =>
  `${object} of cluster ${cluster}${field === "" ? "" : `, ${field}`}`;
const remedyOf = (cause: Cause): string => `At ${placeOf(cause)}. Fix: ${cause.fix}`;

function causePart(cause: Cause): HTMLElement {
  return facts([
    ["What", cause.message],
    ["At", placeOf(cause)],
    ["Fix", cause.fix],
  ]);
}

function pathPart({ to, hops }: Path): HTMLElement {
  const rows = hops.map((hop, at) =>
    row(`${at}`, [
      { text: `${at + 1}. ${hop.what}`, note: hop.cluster },
      { text: hop.offPath === true ? "not on this path" : hop.enforces },
      { text: hop.note },
    ]),
  );
  return table(
    `To ${to}`,
    [{ name: "Hop", width: "l" }, { name: "Enforces", width: "s" }, { name: "What it does" }],
    rows,
    true,
  );
}

function callerParts({ identity, seen, note, verdicts }: NonNullable<Explanation["caller"]>): readonly HTMLElement[] {
  const rows = verdicts.map(({ endpoint, port, allowed, message }) =>
    row(`${endpoint} ${port}`, [
      { text: endpoint, note: `port ${port}` },
      { mark: allowed ? ALLOWED : DENIED },
      { text: message },
    ]),
  );
  return [
    facts([
      ["Proves to be", identity || "nobody: it calls in plain text"],
      ["Seen as", seen === identity ? "" : seen],
      ["Note", note],
    ]),
    ...(rows.length === 0
      ? []
      : [
          table(
            "What policies of this cluster make of it",
            [{ name: "Endpoint", width: "l" }, { name: "Verdict", width: "s" }, { name: "Why" }],
            rows,
          ),
        ]),
  ];
}

function sharingParts(
  cluster: string,
  { cause, scope, saidBy, hosts, ready, total, readers, service }: SharingView,
): readonly HTMLElement[] {
  if (cause?.reason === "absent") return [];
  const title = `What cluster ${cluster} tells its peers of Service ${service}`;
  if (cause !== undefined) return [section(title, causePart(cause))];
  const rows = readers.map(({ cluster, state, acknowledgedAt, cause }) =>
    row(cluster, [
      { text: cluster },
      { text: state, note: acknowledgedAt },
      cause === undefined ? { text: "" } : { text: cause.message, note: remedyOf(cause) },
    ]),
  );
  const said: readonly (readonly [string, string])[] = [
    ["Scope", `${scope}${saidBy === "" ? "" : `, by ${saidBy}`}`],
    ["As", hosts.join(", ")],
    ["Ready", `${ready} of ${total} endpoints`],
  ];
  return [
    section(title, facts(said), table("Who was told", [CLUSTER, { name: "State", width: "m" }, { name: "Why" }], rows)),
  ];
}

const row = (key: string, cells: Row["cells"]): Row => ({ key, cells });

function section(title: string, ...parts: readonly HTMLElement[]): HTMLElement {
  return element("section", {}, element("h2", { text: title }), ...parts);
}

function facts(rows: readonly (readonly [string, string])[]): HTMLElement {
  const list = element("dl");
  for (const [term, text] of rows)
    if (text !== "") list.append(element("div", {}, element("dt", { text: term }), element("dd", { text })));
  return list;
}

function table(caption: string, columns: readonly Column[], rows: readonly Row[], captioned = false): HTMLElement {
  const host = element("div", { class: captioned ? "table captioned" : "table" });
  patchRows(tablePlace(host, caption, columns, "None."), rows);
  return host;
}
