import type { Topology, TopologyLink } from "../topology.ts";
import { drainText } from "./drain-rows.ts";
import { byId, element, setShown, setText } from "./element.ts";
import { agedText } from "./mesh-rows.ts";
import { type LinkedCluster, linkMark } from "./state.ts";
import { ageText, dateText } from "./times.ts";

type Fact = readonly [term: string, text: string];

/** All that is known of the cluster that is selected. */
export class Details {
  #shown = "";

  show(linked: LinkedCluster | undefined, topology: Topology): void {
    setShown(byId("details"), linked !== undefined);
    if (linked === undefined) return;
    setText(byId("details-title"), `Cluster ${linked.cluster.name}`);
    const parts = partsOf(linked, topology);
    const text = JSON.stringify(parts);
    // Only what changed is made anew: somebody may be copying from it.
    if (text === this.#shown) return;
    this.#shown = text;
    byId("details-body").replaceChildren(...parts.map(([title, facts]) => partOf(title, facts)));
  }
}

function partsOf(
  { cluster, links, own }: LinkedCluster,
  topology: Topology,
): readonly (readonly [string, readonly Fact[]])[] {
  const { name, roles, network, trustDomain, segment, domain, version, services, oneWay, drain } = cluster;
  const shared = topology.services.shown.filter(({ clusters }) => clusters.some((each) => each.cluster === name));
  const facts: readonly Fact[] = [
    ["Known as", roles.join(", ")],
    ["Network", network],
    ["Trust domain", trustDomain],
    ["Segment", segment],
    ["Names end in", domain],
    ["Version", version],
    ["Shares", `${services} ${services === 1 ? "service" : "services"}`],
    ["Of those below", shared.map(({ service }) => service).join(", ")],
    ["One way", oneWay],
    ["Calls from here", drainText(drain)],
  ];
  const now = Date.parse(topology.at);
  return [[own ? "This cluster" : "The cluster", facts], ...links.map((link) => linkPart(link, now))];
}

function linkPart(link: TopologyLink, now: number): readonly [string, readonly Fact[]] {
  const { direction, via, reason, message, since, backlog, skewSeconds, denied, dataPlane, source, granted } = link;
  const { glyph, word } = linkMark(link);
  const weRead = direction === "we read";
  return [
    `${weRead ? "We read it" : "It reads us"}${via === "secret" ? ", by a remote secret" : ""}`,
    [
      ["State", `${glyph} ${word}${since === "" ? "" : `, since ${dateText(since)} (${ageText(since, now)})`}`],
      ["Reason", reason],
      ["Why", message],
      ["Age", agedText(link, now) || (link.state === "live" ? "current" : "")],
      ["Waiting", backlog === 0 ? "" : `${backlog} changes`],
      ["Clock", weRead && via === "peer" ? `${skewSeconds} s from ours` : ""],
      ["Refused records", denied === 0 ? "" : `${denied}`],
      ["Its gateway", dataPlane === "" ? "" : `${dataPlane} for traffic from here`],
      [weRead ? (via === "peer" ? "Gateway" : "Secret") : "Identity", source],
      ["May read", weRead ? "" : granted || (link.state === "refused" ? "nothing" : "everything that is shared")],
    ],
  ];
}

function partOf(title: string, facts: readonly Fact[]): HTMLElement {
  const list = element("dl");
  for (const [term, text] of facts)
    if (text !== "") list.append(element("div", {}, element("dt", { text: term }), element("dd", { text })));
  return element("section", { class: "part" }, element("h3", { text: title }), list);
}
