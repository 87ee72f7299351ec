import type {
  Topology,
  TopologyCertificate,
  TopologyContribution,
  TopologyDenial,
  TopologyLink,
  TopologyProblem,
  TopologyService,
} from "../topology.ts";
import { drainSentence, drainText } from "./drain-rows.ts";
import type { Cell, Column, Row } from "./rows.ts";
import { certificateMark, type LinkedCluster, linkMark, problemMark } from "./state.ts";
import { ageText, dateText, durationText } from "./times.ts";

const NAMED: Column = { name: "Cluster", width: "m" };

export const CLUSTER_COLUMNS: readonly Column[] = [
  NAMED,
  { name: "We read it" },
  { name: "It reads us" },
  { name: "Clock", width: "s" },
  { name: "Shares", width: "xs" },
  { name: "Network", width: "m" },
  { name: "Version", width: "s" },
];
export const SERVICE_COLUMNS: readonly Column[] = [
  { name: "Service", width: "l" },
  { name: "Endpoints" },
  { name: "Ready", width: "xs" },
];
export const DENIAL_COLUMNS: readonly Column[] = [NAMED, { name: "What", width: "l" }, { name: "Why" }];
export const CERTIFICATE_COLUMNS: readonly Column[] = [
  { name: "Certificate" },
  { name: "State", width: "s" },
  { name: "Ends", width: "m" },
  { name: "Left", width: "s" },
  { name: "Trusted by", width: "m" },
];
export const PROBLEM_COLUMNS: readonly Column[] = [
  { name: "Object", width: "l" },
  { name: "Severity", width: "s" },
  { name: "What is wrong" },
];

/** Where a cluster is shown in full. */
export const clusterHref = (name: string): string => `#cluster=${encodeURIComponent(name)}`;
export const serviceHref = (host: string): string => `/topology/service?host=${encodeURIComponent(host)}`;

export function clusterRow(linked: LinkedCluster, selected: string, now: number): Row {
  const { cluster, own, weRead, readsUs } = linked;
  const { name, roles, network, trustDomain, version, services, oneWay, drain } = cluster;
  const side = own
    ? "this cluster"
    : roles.includes("peer")
      ? ""
      : roles.includes("secret")
        ? "remote secret"
        : "not registered here";
  return {
    key: name,
    selected: name === selected,
    cells: [
      {
        text: name,
        href: clusterHref(name),
        note: [drainSentence(drain), oneWay === "" ? side : oneWay].filter(Boolean).join(" "),
      },
      own ? { text: "–" } : linkCell(weRead, now),
      own ? { text: "–" } : linkCell(readsUs, now),
      { text: skewText(weRead) },
      { text: own || roles.includes("peer") ? `${services}` : "", number: true },
      { text: network, note: trustDomain },
      { text: version },
    ],
  };
}

/** Its state, and since when; and why, if somebody should know. */
export function linkCell(link: TopologyLink | undefined, now: number): Cell {
  if (link === undefined) return { mark: linkMark(undefined) };
  const { since, message, denied, dataPlane, backlog } = link;
  const age = ageText(since, now);
  const notes = [
    sentence(message),
    ...(denied > 0 ? [`${denied} ${denied === 1 ? "record" : "records"} refused.`] : []),
    ...(dataPlane === "closed" ? ["Its gateway takes no traffic from here."] : []),
    ...(backlog > 0 ? [`${backlog} changes wait to be sent.`] : []),
    agedText(link, now),
  ];
  return { mark: linkMark(link), text: age === "" ? "" : `for ${age}`, note: notes.filter(Boolean).join(" ") };
}

const sentence = (text: string): string => (text === "" || /[.!?]$/.test(text) ? text : `${text}.`);

/** How old what we have of it is; what we sent and was not answered. Empty if it is current. */
export function agedText({ heardAt, behindSince, staleness }: TopologyLink, now: number): string {
  if (behindSince !== "") return `It is ${ageText(behindSince, now)} behind.`;
  if (heardAt === "") return "";
  const kept = STALENESS[staleness] ?? "";
  return `What we have of it is ${ageText(heardAt, now)} old${kept}.`;
}

const STALENESS: Readonly<Record<string, string>> = {
  "within-grace": " and served, within its grace",
  retain: ", past its grace, and kept",
  unhealthy: ", past its grace, and not called",
  remove: ", past its grace, and removed",
};

function skewText(link: TopologyLink | undefined): string {
  if (link === undefined || link.via !== "peer") return "";
  const { skewSeconds } = link;
  if (skewSeconds === 0) return "equal";
  const apart = Math.abs(skewSeconds);
  return `${apart < 60 ? `${apart} s` : durationText(apart * 1000)} ${skewSeconds > 0 ? "ahead" : "behind"}`;
}

export const serviceRow = ({ service, host, clusters }: TopologyService): Row => ({
  key: service,
  cells: [
    { text: service, ...(host !== "" && { href: serviceHref(host) }), note: host },
    { text: clusters.map(contributionText).join("   ") },
    { text: `${clusters.reduce((sum, { ready }) => sum + ready, 0)}`, number: true },
  ],
});

const contributionText = ({ cluster, ready, total, drain }: TopologyContribution): string =>
  `${cluster} ${ready}/${total}${drain === null ? "" : ` (${drainText(drain)})`}`;

export function denialRow({ cluster, kind, what, reason, message }: TopologyDenial): Row {
  return {
    key: [kind, cluster, what, reason].join(" "),
    cells: [{ text: cluster, note: kind }, { text: what, note: reason }, { text: message }],
  };
}

const USES: Readonly<Record<TopologyCertificate["use"], string>> = {
  authority: "signs for workloads here",
  root: "root",
  "peer root": "root that only peers have",
  gateway: "of a gateway's proxies",
};

export function certificateRow(certificate: TopologyCertificate, now: number): Row {
  const { use, of, subject, sha256, notAfter, peers, peersTotal } = certificate;
  const left = Date.parse(notAfter) - now;
  const more = peersTotal - peers.length;
  return {
    key: `${use} ${of} ${sha256} ${subject}`,
    cells: [
      { text: subject || sha256, note: [USES[use], of, subject === "" ? "" : sha256].filter(Boolean).join(" · ") },
      { mark: certificateMark(certificate) },
      { text: dateText(notAfter) },
      { text: left > 0 ? durationText(left) : `ended ${durationText(-left)} ago`, number: true },
      { text: `${peers.join(", ")}${more > 0 ? ` and ${more} more` : ""}` },
    ],
  };
}

export const problemRow = (problem: TopologyProblem): Row => ({
  key: [problem.object, problem.field, problem.message].join(" "),
  cells: [
    { text: problem.object, note: [problem.field, problem.origin].filter(Boolean).join(" · ") },
    { mark: problemMark(problem) },
    { text: problem.message },
  ],
});

/** Whether a cluster is among those that were looked for. */
export function matchesFilter(
  { cluster, attention, own }: LinkedCluster,
  filter: string,
  onlyAttention: boolean,
): boolean {
  if (onlyAttention && !attention && !own) return false;
  const { name, network, trustDomain, segment, version } = cluster;
  return `${name} ${network} ${trustDomain} ${segment} ${version}`.toLowerCase().includes(filter);
}

/** Beside a heading: how many there are, and how many of them are shown. */
export function countText({
  shown,
  total,
  more,
}: Topology["services" | "drains" | "denied" | "problems" | "certificates"]): string {
  const all = `${more ? "over " : ""}${total}`;
  return shown.length < total ? `${shown.length} of ${all}` : all;
}
