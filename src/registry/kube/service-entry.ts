import { parseCidr, parseIp } from "../ip.ts";
import type { Cidr } from "../model/policy.ts";
import { describe, FieldError, fieldsOf, isFields, listOf, textOf, textsOf, type Fields } from "./fields.ts";
import { isGenerated } from "./generated.ts";
import { selectorOf, type LabelSet, type Selector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { readServicePorts, type ServicePort } from "./service.ts";
import {
  annotatedDistribution,
  distributionDoubts,
  tunnelOf,
  useWaypointOf,
  type Doubt,
  type TrafficDistribution,
  type Tunnel,
  type UseWaypoint,
} from "./traffic-labels.ts";
import { isHostname, readEntry, type Entry } from "./workload-entry.ts";

export type Resolution = "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
const RESOLUTIONS: readonly string[] = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"];

/** Services, and endpoints, described by hand. */
export interface ServiceEntry {
  readonly id: ObjectId;
  readonly labels: LabelSet;
  /** Lower case; each is a service of its own. */
  readonly hosts: readonly string[];
  /** Given by the user; shared by all hosts. */
  readonly addresses: readonly Cidr[];
  /** Written to the status by whoever allocated them. */
  readonly assigned: readonly { readonly host: string; readonly ip: string }[];
  readonly allocate: boolean;
  readonly ports: readonly ServicePort[];
  readonly resolution: Resolution;
  readonly endpoints: readonly Entry[];
  readonly selector: Selector | undefined;
  readonly subjectAltNames: readonly string[];
  readonly distribution: TrafficDistribution | undefined;
  /** What it says that nobody knows. */
  readonly doubts: readonly Doubt[];
  readonly useWaypoint: UseWaypoint | undefined;
  readonly tunnel: Tunnel;
  readonly status: ObjectStatus | undefined;
}

/** @throws FieldError; one address that cannot be read makes the whole entry unreadable (contract ztunnel.md 5.5). */
export function readServiceEntry(metadata: Metadata, object: Fields): ServiceEntry | undefined {
  if (isGenerated(metadata)) return undefined;
  const spec = fieldsOf(object["spec"], "spec");
  const resolution = textOf(spec["resolution"], "spec.resolution") || "NONE";
  if (!RESOLUTIONS.includes(resolution))
    throw new FieldError("spec.resolution", `is ${JSON.stringify(resolution)}; use ${RESOLUTIONS.join(", ")}`);
  return {
    id: idOf(metadata),
    labels: metadata.labels,
    hosts: hostsOf(spec),
    addresses: addressesOf(spec),
    assigned: assignedOf(object),
    allocate: metadata.labels.map.get("networking.istio.io/enable-autoallocate-ip") !== "false",
    ports: readServicePorts(spec["ports"], "number"),
    resolution: resolution as Resolution,
    endpoints: endpointsOf(spec),
    selector: selectorOf(
      fieldsOf(spec["workloadSelector"], "spec.workloadSelector")["labels"],
      "spec.workloadSelector.labels",
    ),
    subjectAltNames: textsOf(spec["subjectAltNames"], "spec.subjectAltNames"),
    distribution: annotatedDistribution(metadata.annotations),
    doubts: distributionDoubts(metadata.annotations),
    useWaypoint: useWaypointOf(metadata.labels, metadata.namespace),
    tunnel: tunnelOf(metadata.labels, metadata.annotations),
    status: readStatus(metadata, object),
  };
}

function hostsOf(spec: Fields): readonly string[] {
  const hosts = textsOf(spec["hosts"], "spec.hosts").map((text, at) => {
    const host = text.toLowerCase();
    if (!isHostname(host.startsWith("*.") ? host.slice(2) : host))
      throw new FieldError(`spec.hosts[${at}]`, `is ${describe(text)}; use a host name, or one that begins with "*."`);
    return host;
  });
  if (hosts.length === 0) throw new FieldError("spec.hosts", "is empty; a ServiceEntry needs at least one host");
  return [...new Set(hosts)];
}

function addressesOf(spec: Fields): readonly Cidr[] {
  return textsOf(spec["addresses"], "spec.addresses").map((text, at) => {
    const cidr = parseCidr(text);
    if (!cidr)
      throw new FieldError(`spec.addresses[${at}]`, `is ${describe(text)}, neither an IP address nor a CIDR range`);
    return cidr;
  });
}

function assignedOf(object: Fields): ServiceEntry["assigned"] {
  const addresses = listOf(fieldsOf(object["status"], "status")["addresses"], "status.addresses");
  return addresses.flatMap((item) => {
    const host = isFields(item) && typeof item["host"] === "string" ? item["host"].toLowerCase() : "";
    const ip = isFields(item) && typeof item["value"] === "string" ? parseIp(item["value"]) : undefined;
    return host !== "" && ip !== undefined ? [{ host, ip }] : [];
  });
}

/** Inside one ServiceEntry a network carries over to the endpoints after it that name none (contract 5.1). */
function endpointsOf(spec: Fields): readonly Entry[] {
  let network: string | undefined;
  return listOf(spec["endpoints"], "spec.endpoints").map((item, at) => {
    const entry = readEntry(item, `spec.endpoints[${at}]`);
    network = entry.network ?? network;
    return { ...entry, network };
  });
}
