import type { KubeObject } from "../../kube/object.ts";
import { SERVICES } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import {
  addressesOf,
  eastWestGateways,
  entriesOfPage,
  fieldsIn,
  labelOf,
  objectName,
  specOf,
  textOf,
} from "./mesh-parts.ts";
import { described, exposed } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

const WAYS = [
  { port: 15_008, protocol: "HBONE", code: "01", what: "traffic" },
  { port: 15_012, protocol: "TLS", code: "02", what: "control planes" },
] as const;
/** Of a link that was dialled and found nobody: the way of control planes is 15012, that of traffic 15008. */
const UNREACHED: readonly string[] = ["DialTimeout", "ConnectionRefused", "AddressUnresolved"];

/** Both ways into a cluster: offered by its gateways, and open from inside of those that link to it. */
export function portsCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.ports);
  for (const gateway of eastWestGateways(facts)) offered(notes, facts, gateway);
  for (const peer of entriesOfPage(facts, "peerz")) reached(notes, facts, peer);
  if (eastWestGateways(facts).length === 0 && entriesOfPage(facts, "peerz").length === 0)
    return notes.outcome("no gateway and no peer to look at", facts.cluster, "info");
  return notes.outcome("ports 15008 and 15012 are offered, and open where they were tried", facts.cluster);
}

function offered(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject): void {
  const listeners = fieldsIn(specOf(gateway)["listeners"]);
  const { namespace = "", name } = gateway.metadata;
  for (const { port, protocol, code, what } of WAYS) {
    const has = listeners.some((listener) => listener["protocol"] === protocol);
    const isExposed = protocol !== "TLS" || labelOf(gateway, "istio.io/expose-istiod") !== "";
    notes.line(
      `Eastwest gateway ${namespace}/${name}: ${port} for ${what} ${has && isExposed ? "offered" : "not offered"}`,
    );
    if (has && isExposed) continue;
    notes.error(code, facts.cluster, {
      ...{ object: objectName(gateway), field: has ? "metadata.labels[istio.io/expose-istiod]" : "spec.listeners" },
      evidence: `eastwest gateway ${namespace}/${name} has no ${has ? "label istio.io/expose-istiod" : `listener of protocol ${protocol}`}, so ${what} cannot enter at ${port}`,
      fix: exposed(facts, namespace),
    });
  }
  serviceOf(notes, facts, gateway);
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
  const missing = WAYS.filter(({ port }) => !ports.includes(port)).map(({ port }) => port);
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
  const control = UNREACHED.includes(reason) ? "closed" : "open";
  notes.line(`Peer ${to}: ${port} for control planes ${control}, 15008 for traffic ${dataPlane || "unknown"}`);
  if (control === "closed")
    notes.error("05", facts.cluster, {
      object: `peer ${to}`,
      evidence: `port ${port} of ${to} (${hosts}) cannot be reached from inside ${facts.cluster}: ${reason}`,
      fix: `open port ${port} of ${hosts} for the nodes of ${facts.cluster}; it is the way of control planes, 15008 is that of traffic`,
    });
  if (dataPlane === "closed")
    notes.error("04", facts.cluster, {
      object: `peer ${to}`,
      evidence: `port 15008 of ${to} (${hosts}) takes no connection from inside ${facts.cluster}`,
      fix: `open port 15008 of ${hosts} for the nodes of ${facts.cluster}, in firewalls and NetworkPolicies`,
    });
}
