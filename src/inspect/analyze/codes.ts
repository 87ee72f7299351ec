import type { Finding, FindingLevel } from "../finding.ts";

export interface AnalysisCode {
  /** Of its section in docs/analysis.md. */
  readonly title: string;
  /** Of what the control plane does not grade itself. */
  readonly level: FindingLevel;
  /** What mends it where nothing that is found says so. */
  readonly fix: string;
}

const code = (level: FindingLevel, title: string, fix: string): AnalysisCode => ({ title, level, fix });

/** Every code that an analysis can give; each stays the same for good. */
export const ANALYSIS_CODES = {
  CWY2001: code("error", "A file cannot be read", "mend the file"),
  CWY2002: code("error", "An object is there twice", "remove one of the two"),
  CWY2003: code("error", "An object cannot be read", "correct the field"),
  CWY2004: code("info", "A kind that nothing here reads", ""),
  CWY2005: code("warning", "A kind of Istio's without effect in ambient mode", "express it with kinds of ambient mode"),
  CWY2006: code("warning", "A label or annotation that nobody knows", "correct its name"),
  CWY2007: code("warning", "A value that nobody knows", "use one of the known values"),
  CWY2008: code("warning", "The mesh config is not what it seems", "correct the ConfigMap"),
  CWY2009: code("warning", "A manifest that no cluster could run", "correct the manifest"),
  CWY2010: code("warning", "A kind that could not be read", "give the reader the right to list it"),
  CWY2011: code("warning", "Labels of one object contradict each other", "keep one of the two"),
  CWY2012: code("error", "Sidecars and ambient mode in one namespace", "take one of the two labels off"),
  CWY2013: code("info", "A Service says otherwise than its namespace", ""),
  CWY2101: code("error", "A cluster without a network", "label the system namespace with topology.istio.io/network"),
  CWY2102: code("error", "Two clusters of one name", "give each cluster a name of its own"),
  CWY2103: code(
    "warning",
    "Two clusters on one network",
    "give each network a name of its own, unless pods reach each other",
  ),
  CWY2104: code("warning", "A namespace on another network than its cluster", "take the label off the namespace"),
  CWY2105: code(
    "error",
    "Addresses of pods overlap on one network",
    "give each cluster of a flat network its own range",
  ),
  CWY2106: code("error", "An east-west gateway on another network than its cluster", "correct the label"),
  CWY2107: code("warning", "An east-west gateway that lets nobody in", "correct the Gateway"),
  CWY2108: code("warning", "A network that no gateway leads to", "link the cluster, or give it an east-west gateway"),
  CWY2109: code("error", "Sidecars and ambient mode across networks", "bring both clusters to ambient mode"),
  CWY2110: code(
    "warning",
    "Clusters of different trust domains",
    "name each trust domain in the Gateway that leads there",
  ),
  CWY2201: code("warning", "A remote Gateway that makes no link", "correct the Gateway"),
  CWY2202: code("warning", "A remote Gateway to a cluster that is not there", "correct topology.istio.io/cluster"),
  CWY2203: code("warning", "A link in one direction only", "link the other direction, too, if it is wanted"),
  CWY2204: code("error", "A remote Gateway with another network than its cluster", "correct the label"),
  CWY2205: code("warning", "A remote Gateway with an address of nobody", "correct spec.addresses"),
  CWY2206: code("warning", "Two remote Gateways to one cluster", "delete one of the two"),
  CWY2207: code("error", "A remote Gateway with another trust domain than its cluster", "correct the annotation"),
  CWY2208: code("error", "A remote Gateway with another account than its cluster's gateway", "correct the annotation"),
  CWY2209: code("warning", "A remote Gateway with a port of nobody", "correct the port of its listener"),
  CWY2210: code("error", "A link to a cluster without a way in", "give that cluster an east-west gateway"),
  CWY2211: code("warning", "A way in that is preferred and not offered", "prefer the other way"),
  CWY2212: code("info", "Clusters share services and are not linked", "link them"),
  CWY2213: code("warning", "Segments that clusters do not agree on", "make the Segments equal"),
  CWY2214: code("warning", "A peer on our own network that is not flat", "correct the network"),
  CWY2215: code("warning", "A PeerGrant where none counts", "move it to the system namespace"),
  CWY2216: code("warning", "A PeerGrant for nobody", "correct its cluster or trust domain"),
  CWY2301: code("warning", "Ports of a shared service differ", "make them equal"),
  CWY2302: code("warning", "Protocols of a shared service differ", "make them equal"),
  CWY2303: code("warning", "A shared service has a waypoint in one cluster and none in another", "give it one in both"),
  CWY2304: code("warning", "A service is shared by one cluster and not by another", "label it alike in both"),
  CWY2305: code("info", "Selectors of a shared service differ", "make them equal, if the same pods are meant"),
  CWY2306: code("warning", "A shared service is of another type elsewhere", "make both the same type"),
  CWY2307: code("warning", "A service that cannot be shared", "give it a cluster IP, or keep it local"),
  CWY2308: code("warning", "Traffic distributions of a shared service differ", "make them equal"),
  CWY2309: code("warning", "A caller of the local name of a shared service", "call its global name"),
  CWY2310: code("warning", "A takeover without effect", "share the Service"),
  CWY2311: code("info", "A shared service takes over its name in one cluster only", "label it alike in both"),
  CWY2312: code("warning", "A ServiceEntry with the name of a shared service", "give the entry another host"),
  CWY2313: code("warning", "A Segment that does not count", "correct the Segment"),
  CWY2314: code("warning", "An alias that a service does not have", "make the patterns tell services apart"),
  CWY2315: code("warning", "A host or an address that several have", "name it in one object only"),
  CWY2316: code("warning", "Endpoints of a shared service that other networks cannot reach", "enrol the pods"),
  CWY2317: code("warning", "A shared service without endpoints anywhere", "correct its selector"),
  CWY2318: code("warning", "Waypoint policies of a shared service differ", "make them equal"),
  CWY2401: code("warning", "A policy that callers of other clusters do not meet", "write it in their cluster, too"),
  CWY2402: code("warning", "A policy whose target nobody guards", "correct spec.targetRefs"),
  CWY2403: code("warning", "A policy differs between clusters", "make the two equal"),
  CWY2404: code("warning", "A policy that needs HTTP, and is for ztunnels", "attach it to a waypoint with targetRefs"),
  CWY2405: code("warning", "A policy that cannot be enforced as it is written", "correct the field"),
  CWY2406: code("warning", "A PeerAuthentication without effect", "correct the field"),
  CWY2407: code("warning", "A policy of a trust domain that nobody has", "correct the trust domain"),
  CWY2408: code("info", "A policy that binds no workload", "correct its selector"),
  CWY2501: code("warning", "A service asks for a waypoint that it does not get", "correct istio.io/use-waypoint"),
  CWY2502: code("warning", "A namespace asks for a waypoint that it does not get", "correct istio.io/use-waypoint"),
  CWY2503: code("warning", "A listener that serves nobody", "correct the listener"),
  CWY2504: code("warning", "A route that does not do what it says", "correct the route"),
  CWY2505: code("warning", "A DestinationRule without effect", "correct the rule"),
  CWY2506: code("warning", "A Gateway of a class that nobody knows", "correct spec.gatewayClassName"),
  CWY2900: code("warning", "Anything else that the control plane reports", "as the message says"),
} as const satisfies Readonly<Record<string, AnalysisCode>>;

export type AnalysisCodeName = keyof typeof ANALYSIS_CODES;

/** Whom a finding is about. */
export type Subject = Pick<Finding, "cluster" | "object"> & Partial<Pick<Finding, "field" | "origin">>;

/** With the level and the fix of its code, unless others are given. */
export function analysed(
  name: AnalysisCodeName,
  { cluster, object, field = "", origin = "" }: Subject,
  evidence: string,
  said: Partial<Pick<Finding, "fix" | "level">> = {},
): Finding {
  const { level, fix } = ANALYSIS_CODES[name];
  return { code: name, level, cluster, object, field, ...(origin !== "" && { origin }), evidence, fix, ...said };
}
