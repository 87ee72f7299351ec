import type { KubeObject } from "../../kube/object.ts";
import { SERVICES } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import {
  addressesOf,
  eastWestGateways,
  entriesOfPage,
  fieldsIn,
  isWritten,
  labelOf,
  leadsTo,
  objectName,
  remoteGateways,
  specOf,
  textOf,
} from "./mesh-parts.ts";
import { described, exposed, labelled, placed } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

const WAYS = [
  { port: 15_008, protocol: "HBONE", code: "01", what: "traffic" },
  { port: 15_012, protocol: "TLS", code: "02", what: "control planes" },
] as const;
type Way = (typeof WAYS)[number];
const EXPOSED = "istio.io/expose-istiod";
/** Of a link that was dialled and found nobody: the way of control planes is 15012, that of traffic 15008. */
const UNREACHED: readonly string[] = ["DialTimeout", "ConnectionRefused", "AddressUnresolved"];

/** Both ways into a cluster: offered by its gateways, and open from inside of those that link to it. */
export function portsCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.ports);
  for (const gateway of eastWestGateways(facts)) offered(notes, facts, gateway);
  for (const peer of entriesOfPage(facts, "peerz")) reached(notes, facts, peer);
  if (eastWestGateways(facts).length === 0 && entriesOfPage(facts, "peerz").length === 0)
    return notes.outcome("no gateway and no peer to look at", facts.cluster, "info");
  return notes.outcome(`ports ${portsOf(facts)} are offered, and open where they were tried`, facts.cluster);
}

/** Of its own gateways; the usual ones if it only has peers. */
function portsOf(facts: ClusterFacts): string {
  const gateways = eastWestGateways(facts);
  const ports = WAYS.flatMap((way) => (gateways.length === 0 ? [way.port] : gateways.map((each) => portOf(each, way))));
  return [...new Set(ports)].join(" and ");
}

function offered(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  const listeners = fieldsIn(specOf(gateway)["listeners"]);
  const { namespace = "", name } = gateway.metadata;
  for (const way of WAYS) {
    const { protocol, code, what } = way;
    const port = portOf(gateway, way);
    const has = listeners.some((listener) => listener["protocol"] === protocol);
    const isExposed = protocol !== "TLS" || labelOf(gateway, EXPOSED) !== "";
    notes.line(
      `Eastwest gateway ${namespace}/${name}: ${port} for ${what} ${has && isExposed ? "offered" : "not offered"}`,
    );
    if (has && isExposed) continue;
    notes.error(code, facts.cluster, {
      ...{ object: objectName(gateway), field: has ? `metadata.labels[${EXPOSED}]` : "spec.listeners" },
      evidence: `eastwest gateway ${namespace}/${name} has no ${has ? `label ${EXPOSED}` : `listener of protocol ${protocol}`}, so ${what} cannot enter at ${port}`,
      fix: isWritten(facts) ? written(facts, gateway, way, has) : exposed(facts, namespace),
    });
  }
  serviceOf(notes, facts, gateway);
}

const written = (facts: ClusterFacts, gateway: KubeObject, way: Way, hasListener: boolean): string =>
  hasListener
    ? labelled(facts, gateway, EXPOSED, `${portOf(gateway, way)}`)
    : `give ${placed(facts, gateway)} a listener of protocol ${way.protocol}, port ${way.port}`;

/** Of its listener; the usual one if it has none, or if it says no port. */
function portOf(gateway: KubeObject, { protocol, port }: Way): number {
  const listener = fieldsIn(specOf(gateway)["listeners"]).find((each) => each["protocol"] === protocol);
  return typeof listener?.["port"] === "number" ? listener["port"] : port;
}

/** The Service in front of its pods. Its type does not matter: node ports need no ClusterIP that anybody could reach. */
function serviceOf(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  if (whyUnknown(facts, SERVICES) !== undefined || addressesOf(gateway, "status").length === 0) return;
  const { namespace, name } = gateway.metadata;
  const service = objectsOf(facts, SERVICES).find(
    ({ metadata }) =>
      metadata.namespace === namespace &&
      (metadata.name === name || metadata.labels?.["gateway.networking.k8s.io/gateway-name"] === name),
  );
  const ports = fieldsIn(service === undefined ? [] : specOf(service)["ports"]).map(({ port }) => port);
  const missing = WAYS.map((way) => portOf(gateway, way)).filter((port) => !ports.includes(port));
  if (missing.length === 0) return;
  notes.error("03", facts.cluster, {
    ...{ object: service === undefined ? `Service ${namespace}/${name}` : objectName(service), field: "spec.ports" },
    evidence:
      service === undefined
        ? `eastwest gateway ${namespace}/${name} has no Service`
        : `Service ${namespace}/${service.metadata.name} does not lead to ${missing.join(" and ")}`,
    fix: `${described(facts, gateway)}; its controller writes the Service`,
  });
}

function reached(notes: CheckNotes, facts: ClusterFacts, peer: Readonly<Record<string, unknown>>): void {
  const [to, reason, dataPlane] = ["cluster", "reason", "dataPlane"].map((field) => textOf(peer[field])) as [
    string,
    string,
    string,
  ];
  const port = Number(peer["xdsPort"] ?? 15_012);
  const hosts = Array.isArray(peer["hosts"]) ? (peer["hosts"] as readonly unknown[]).map(textOf).join(", ") : "";
  const gateway = remoteGateways(facts).find((each) => leadsTo(each) === to);
  const [hbone] = WAYS;
  const traffic = gateway === undefined ? hbone.port : portOf(gateway, hbone);
  const control = UNREACHED.includes(reason) ? "closed" : "open";
  notes.line(`Peer ${to}: ${port} for control planes ${control}, ${traffic} for traffic ${dataPlane || "unknown"}`);
  if (control === "closed")
    notes.error("05", facts.cluster, {
      object: `peer ${to}`,
      evidence: `port ${port} of ${to} (${hosts}) cannot be reached from inside ${facts.cluster}: ${reason}`,
      fix: `open port ${port} of ${hosts} for the nodes of ${facts.cluster}; it is the way of control planes, ${traffic} is that of traffic`,
    });
  if (dataPlane === "closed")
    notes.error("04", facts.cluster, {
      object: `peer ${to}`,
      evidence: `port ${traffic} of ${to} (${hosts}) takes no connection from inside ${facts.cluster}`,
      fix: `open port ${traffic} of ${hosts} for the nodes of ${facts.cluster}, in firewalls and NetworkPolicies`,
    });
}
