import type { Topology } from "../topology.ts";
import { Details } from "./details.ts";
import * as drains from "./drain-rows.ts";
import { byId, element, setShown, setText } from "./element.ts";
import { Graph } from "./graph.ts";
import * as rows from "./mesh-rows.ts";
import { type Column, patchRows, type Row, type TablePlace, tablePlace } from "./rows.ts";
import { drainMark, type LinkedCluster, linkedClusters, linkMark } from "./state.ts";
import { durationText } from "./times.ts";

/** What the reader chose to see. */
export interface View {
  readonly selected: string;
  /** In lower case. */
  readonly filter: string;
  readonly onlyAttention: boolean;
}

type Section = "clusters" | "services" | "drains" | "denied" | "certificates" | "problems";

/** The page of the mesh: one topology in, the document patched. */
export class MeshPage {
  readonly #graph: Graph;
  readonly #details = new Details();
  readonly #tables: Readonly<Record<Section, TablePlace>>;
  #states: ReadonlyMap<string, string> | undefined;

  constructor(onSelect: (cluster: string) => void) {
    this.#graph = new Graph({ canvas: byId("graph-canvas"), note: byId("graph-note"), onSelect });
    const table = (section: Section, columns: readonly Column[], nothing: string): TablePlace =>
      tablePlace(byId(`${section}-table`), byId(`${section}-title`).textContent ?? section, columns, nothing);
    this.#tables = {
      clusters: table("clusters", rows.CLUSTER_COLUMNS, "No cluster is like that."),
      services: table("services", rows.SERVICE_COLUMNS, "No service is shared, or none is like that."),
      drains: table("drains", drains.DRAIN_COLUMNS, "Nothing is drained."),
      denied: table("denied", rows.DENIAL_COLUMNS, "Nothing is refused, and nothing is withheld."),
      certificates: table("certificates", rows.CERTIFICATE_COLUMNS, "No authority is known yet."),
      problems: table("problems", rows.PROBLEM_COLUMNS, "No problem is known."),
    };
  }

  show(topology: Topology, view: View): void {
    const now = Date.parse(topology.at);
    const linked = linkedClusters(topology.clusters, topology.links);
    const matching = linked.filter((each) => rows.matchesFilter(each, view.filter, view.onlyAttention));
    setText(byId("title-cluster"), topology.cluster);
    setText(byId("replica"), `${topology.controlPlane} · Causeway ${topology.version}`);
    this.#graph.show(linked, view.selected);
    this.#details.show(
      linked.find(({ cluster }) => cluster.name === view.selected),
      topology,
    );
    this.#fill(
      "clusters",
      matching.map((each) => rows.clusterRow(each, view.selected, now)),
    );
    this.#fill("services", topology.services.shown.map(rows.serviceRow));
    setShown(byId("drains"), topology.drains.total > 0);
    this.#fill(
      "drains",
      topology.drains.shown.map((each) => drains.drainRow(each, now)),
    );
    this.#fill("denied", topology.denied.shown.map(rows.denialRow));
    this.#fill(
      "certificates",
      topology.certificates.shown.map((each) => rows.certificateRow(each, now)),
    );
    this.#fill("problems", topology.problems.shown.map(rows.problemRow));
    setText(
      byId("clusters-count"),
      matching.length < linked.length ? `${matching.length} of ${linked.length}` : `${linked.length}`,
    );
    for (const section of ["services", "drains", "denied", "certificates", "problems"] as const)
      setText(byId(`${section}-count`), rows.countText(topology[section]));
    showSummary(topology, linked, now);
    this.#announce(topology, linked);
  }

  /** @returns false if the cluster is not in the picture. */
  focusGraph(cluster: string): boolean {
    return this.#graph.focus(cluster);
  }

  #fill(section: Section, all: readonly Row[]): void {
    patchRows(this.#tables[section], distinct(all));
  }

  /** Says aloud which links changed and what is drained, for those who do not see it. */
  #announce({ drains: { shown } }: Topology, linked: readonly LinkedCluster[]): void {
    const states = new Map<string, string>([
      ...linked.flatMap(({ links }) =>
        links.map((link) => [`${link.cluster} (${link.direction})`, linkMark(link).word] as const),
      ),
      ...shown.map((drain) => [`${DRAIN_OF}${drain.object}`, drainMark(drain).word] as const),
    ]);
    const before = this.#states;
    this.#states = states;
    if (before === undefined) return;
    const over = [...before.keys()].filter((what) => what.startsWith(DRAIN_OF) && !states.has(what));
    const changed = [
      ...[...states].filter(([what, state]) => before.get(what) !== state),
      ...over.map((what) => [what, "over"] as const),
    ];
    if (changed.length === 0) return;
    const said = changed.slice(0, SAID_MAX).map((parts) => parts.join(": "));
    setText(byId("announcer"), said.join(", "));
  }
}

const DRAIN_OF = "drain of ";
const SAID_MAX = 5;

/** Two problems may read alike; a row is known by what it says. */
function distinct(all: readonly Row[]): readonly Row[] {
  const seen = new Set<string>();
  return all.filter(({ key }) => !seen.has(key) && seen.add(key));
}

function showSummary(
  { services, denied, certificates, problems }: Topology,
  linked: readonly LinkedCluster[],
  now: number,
): void {
  const links = linked.flatMap((each) => each.links);
  const live = links.filter(({ state }) => state === "live").length;
  const attention = linked.filter((each) => each.attention).length;
  const [first] = certificates.shown;
  const errors = problems.shown.filter(({ severity }) => severity === "error").length;
  const facts: readonly (readonly [id: string, text: string, bad: boolean])[] = [
    ["sum-clusters", `${linked.length}`, false],
    ["sum-links", `${live} of ${links.length}`, live < links.length],
    ["sum-attention", `${attention}`, attention > 0],
    ["sum-services", `${services.total}`, false],
    ["sum-denied", `${denied.total}`, false],
    [
      "sum-certificates",
      first === undefined ? "–" : durationText(Date.parse(first.notAfter) - now),
      first !== undefined && first.level !== "ok",
    ],
    ["sum-problems", `${problems.total}`, errors > 0],
  ];
  for (const [id, text, bad] of facts) {
    const host = byId(id);
    if (host.childElementCount === 0) host.append(element("span", { class: "glyph bad", text: "▲ " }), element("span"));
    const [glyph, value] = host.children;
    if (glyph instanceof HTMLElement) setShown(glyph, bad);
    if (value instanceof HTMLElement) setText(value, text);
  }
}
