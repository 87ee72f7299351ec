import { drainShortly } from "./drain-rows.ts";
import { element, setText } from "./element.ts";
import { type Box, capOf, graphLayout, type GraphLayout, neighbour } from "./graph-layout.ts";
import { patchMark } from "./rows.ts";
import { type LinkedCluster, linkMark } from "./state.ts";
import type { TopologyLink } from "../topology.ts";

const SVG = "http://www.w3.org/2000/svg";

export interface GraphPlace {
  /** Where the boxes go; as wide as there is room. */
  readonly canvas: HTMLElement;
  /** Below it: what is left out. */
  readonly note: HTMLElement;
  readonly onSelect: (cluster: string) => void;
}

/** The picture: a box for each cluster, of which Tab reaches one, and arrow keys the rest. The table says the same. */
export class Graph {
  readonly #place: GraphPlace;
  readonly #edges = document.createElementNS(SVG, "svg");
  readonly #boxes = new Map<string, HTMLButtonElement>();
  #clusters: readonly LinkedCluster[] = [];
  #shown: readonly LinkedCluster[] = [];
  #layout: GraphLayout | undefined;
  #selected = "";
  #current = "";
  #drawn = "";

  constructor(place: GraphPlace) {
    this.#place = place;
    this.#edges.setAttribute("aria-hidden", "true");
    place.canvas.append(this.#edges);
    place.canvas.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#draw()).observe(place.canvas);
  }

  show(clusters: readonly LinkedCluster[], selected: string): void {
    this.#clusters = clusters;
    this.#selected = selected;
    this.#draw();
  }

  /** Moves the focus to a cluster's box; false if it is not in the picture. */
  focus(cluster: string): boolean {
    const box = this.#boxes.get(cluster);
    box?.focus();
    return box !== undefined;
  }

  #draw(): void {
    const { canvas, note } = this.#place;
    const width = canvas.clientWidth;
    if (width === 0 || this.#clusters.length === 0) return;
    const others = this.#clusters.filter(({ own }) => !own);
    const shown = chosen(others, capOf(width), this.#selected);
    this.#shown = [...this.#clusters.filter(({ own }) => own), ...shown];
    this.#layout = graphLayout(width, shown.length);
    setText(note, noteOf(others.length, shown.length));
    this.#drawBoxes(this.#layout);
    this.#drawEdges(this.#layout, width, shown);
  }

  #drawBoxes({ own, others, height }: GraphLayout): void {
    this.#place.canvas.style.height = `${height}px`;
    const boxes = [own, ...others];
    if (!this.#shown.some(({ cluster }) => cluster.name === this.#current))
      this.#current = this.#shown[0]?.cluster.name ?? "";
    const gone = new Set(this.#boxes.keys());
    this.#shown.forEach((linked, at) => {
      const { name } = linked.cluster;
      gone.delete(name);
      const box = this.#boxes.get(name) ?? this.#newBox(name);
      move(box, boxes[at]!);
      this.#patch(box, linked);
    });
    for (const name of gone) {
      this.#boxes.get(name)?.remove();
      this.#boxes.delete(name);
    }
  }

  #newBox(name: string): HTMLButtonElement {
    const line = () => element("span", { class: "line" });
    const box = element("button", { class: "box", attributes: { type: "button" } }, line(), line());
    box.addEventListener("click", () => this.#place.onSelect(name));
    box.addEventListener("focus", () => this.#makeCurrent(name));
    this.#boxes.set(name, box);
    this.#place.canvas.append(box);
    return box;
  }

  #patch(box: HTMLButtonElement, { cluster, own, weRead, readsUs, attention }: LinkedCluster): void {
    const { name, network, oneWay, drain } = cluster;
    box.classList.toggle("own", own);
    box.classList.toggle("attention", attention);
    box.tabIndex = name === this.#current ? 0 : -1;
    box.setAttribute("aria-pressed", `${name === this.#selected}`);
    const [first, second] = box.children;
    if (!(first instanceof HTMLElement) || !(second instanceof HTMLElement)) return;
    const side = own ? "this cluster" : drain !== null ? drainShortly(drain) : oneWay === "" ? network : "one way";
    patchLine(first, [name, side === name ? "" : side]);
    if (own) setText(second, `shares ${cluster.services} ${cluster.services === 1 ? "service" : "services"}`);
    else patchDirections(second, weRead, readsUs);
  }

  #makeCurrent(name: string): void {
    this.#current = name;
    for (const [each, box] of this.#boxes) box.tabIndex = each === name ? 0 : -1;
  }

  #drawEdges({ edges, height }: GraphLayout, width: number, shown: readonly LinkedCluster[]): void {
    const lines = shown.flatMap(({ weRead, readsUs }, at) => [
      ...lineOf(edges[at]!.weRead, weRead),
      ...lineOf(edges[at]!.readsUs, readsUs),
    ]);
    const drawn = `${width} ${height} ${lines.map((line) => line.join(" ")).join(";")}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#edges.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#edges.replaceChildren(arrowHead(), ...lines.map(([path, state]) => edge(path, state)));
  }

  #onKey(event: KeyboardEvent): void {
    const at = this.#shown.findIndex(({ cluster }) => cluster.name === this.#current);
    if (this.#layout === undefined || at < 0) return;
    const last = this.#shown.length - 1;
    const ends: Readonly<Record<string, number>> = { Home: 0, End: last };
    const to = ends[event.key] ?? neighbour([this.#layout.own, ...this.#layout.others], at, event.key);
    if (!event.key.startsWith("Arrow") && ends[event.key] === undefined) return;
    event.preventDefault();
    this.#boxes.get(this.#shown[to]!.cluster.name)?.focus();
  }
}

/** Those that need attention before those that do not, and the one that is selected in any case; each in its order. */
function chosen(others: readonly LinkedCluster[], cap: number, selected: string): readonly LinkedCluster[] {
  if (others.length <= cap) return others;
  const rank = ({ cluster, attention }: LinkedCluster): number => (cluster.name === selected ? 0 : attention ? 1 : 2);
  const first = new Set([...others].sort((a, b) => rank(a) - rank(b)).slice(0, cap));
  return others.filter((each) => first.has(each));
}

function noteOf(all: number, shown: number): string {
  if (all === 0) return "No other cluster is linked to this one.";
  if (all === shown) return "Arrows lead to whoever reads. Everything in the picture is in the table below, too.";
  return `${shown} of ${all} other clusters, those that need attention first. The table below has all of them.`;
}

function move(box: HTMLElement, { left, top, width, height }: Box): void {
  box.style.transform = `translate(${left}px, ${top}px)`;
  box.style.width = `${width}px`;
  box.style.height = `${height}px`;
}

function patchLine(line: HTMLElement, [name, side]: readonly [string, string]): void {
  if (line.childElementCount !== 2)
    line.replaceChildren(element("span", { class: "name" }), element("span", { class: "side" }));
  const [first, second] = line.children;
  if (first instanceof HTMLElement) setText(first, name);
  if (second instanceof HTMLElement) setText(second, side);
}

function patchDirections(line: HTMLElement, weRead: TopologyLink | undefined, readsUs: TopologyLink | undefined): void {
  if (line.childElementCount !== 4)
    line.replaceChildren(
      element("span", { class: "side", text: "we read" }),
      element("span", { class: "mark" }),
      element("span", { class: "side", text: "reads us" }),
      element("span", { class: "mark" }),
    );
  const [, there, , back] = line.children;
  if (there instanceof HTMLElement) patchMark(there, linkMark(weRead));
  if (back instanceof HTMLElement) patchMark(back, linkMark(readsUs));
}

const lineOf = (path: string, link: TopologyLink | undefined): readonly (readonly [string, TopologyLink["state"]])[] =>
  link === undefined ? [] : [[path, link.state]];

function edge(path: string, state: TopologyLink["state"]): SVGPathElement {
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  line.setAttribute("class", `edge ${state}`);
  if (state !== "refused") line.setAttribute("marker-end", "url(#arrow)");
  return line;
}

function arrowHead(): SVGMarkerElement {
  const marker = document.createElementNS(SVG, "marker");
  const sizes = { id: "arrow", viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "7", markerHeight: "7" };
  for (const [name, value] of Object.entries({ ...sizes, orient: "auto" })) marker.setAttribute(name, value);
  const head = document.createElementNS(SVG, "path");
  head.setAttribute("d", "M0 0L8 4L0 8z");
  head.setAttribute("class", "head");
  marker.append(head);
  return marker;
}
