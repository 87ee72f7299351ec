import type { ClusterFacts } from "../cluster-facts.ts";
import type { Finding } from "../finding.ts";
import { callerFindings } from "./callers.ts";
import { fileFindings } from "./files.ts";
import { grantFindings } from "./grants.ts";
import { isDoubtful } from "./hidden-kinds.ts";
import { carryAll, linksBetween } from "./linked-sites.ts";
import { linkFindings } from "./links.ts";
import { modeFindings } from "./modes.ts";
import { networkFindings } from "./networks.ts";
import { policyFindings } from "./policies.ts";
import { problemFindings } from "./problem-findings.ts";
import { sharedMembers, sharedServiceFindings } from "./shared-services.ts";
import { siteOf, type SiteOptions } from "./site.ts";
import { waypointFindings } from "./waypoints.ts";
import { wordFindings } from "./words.ts";

/**
 * What is wrong with the objects of clusters, each by itself and all together, whether they were read live or are
 * manifests (contract operations.md 1.1, 1.6; peering.md 5, 6 no. 4). Of what could not be read nothing is concluded.
 * Never throws, whatever they hold; in an order that does not depend on theirs.
 */
export function analyze(all: readonly ClusterFacts[], options: SiteOptions): readonly Finding[] {
  const sites = all
    .filter(({ unread }) => unread === undefined)
    .toSorted((a, b) => byText(a.cluster, b.cluster) || byText(a.source, b.source))
    .map((facts, at) => siteOf(facts, at, options));
  const links = linksBetween(sites);
  carryAll(links);
  const shared = sharedMembers(sites);
  const found = [
    ...sites.flatMap((site) => [...fileFindings(site), ...problemFindings(site), ...waypointFindings(site)]),
    ...sites.flatMap(wordFindings),
    ...networkFindings(sites, links),
    ...modeFindings(sites),
    ...linkFindings(sites, links),
    ...sharedServiceFindings(shared),
    ...callerFindings(sites, shared),
    ...policyFindings(sites, shared),
    ...grantFindings(sites),
  ];
  const certain = found.filter((finding) => !isDoubtful(finding, all));
  const distinct = new Map(certain.map((finding) => [JSON.stringify(finding), finding]));
  return [...distinct.values()].sort(inOrder);
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const GRAVITY = { error: 0, warning: 1, info: 2, ok: 3 } as const;

const inOrder = (a: Finding, b: Finding): number =>
  GRAVITY[a.level] - GRAVITY[b.level] ||
  byText(a.code, b.code) ||
  byText(a.cluster ?? "", b.cluster ?? "") ||
  byText(a.object, b.object) ||
  byText(a.field, b.field) ||
  byText(JSON.stringify(a), JSON.stringify(b));
