import { parseIp } from "../ip.ts";
import type { Locality } from "../model/address.ts";
import { endpointAddress } from "./endpoint-address.ts";
import { isGenerated } from "./generated.ts";
import { FieldError, fieldsOf, integerOf, portOf, textOf, type Fields } from "./fields.ts";
import { labelsOf, mergedLabels, type LabelSet } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { parseLocality } from "./namespace.ts";
import { tunnelOf, type Tunnel } from "./traffic-labels.ts";

/** An endpoint that is not a pod, as WorkloadEntries and ServiceEntries describe it. */
export interface Entry {
  /** As written; an IP or a host name. Empty if the endpoint is only reached through its network's gateway. */
  readonly address: string;
  /** Canonical; undefined if `address` is a host name. */
  readonly ip: string | undefined;
  /** Undefined means the network of the cluster. */
  readonly network: string | undefined;
  readonly labels: LabelSet;
  readonly serviceAccount: string;
  readonly locality: Locality | undefined;
  /** Undefined means 1. */
  readonly weight: number | undefined;
  readonly ports: ReadonlyMap<string, number>;
}

export interface WorkloadEntry {
  readonly id: ObjectId;
  readonly entry: Entry;
  readonly tunnel: Tunnel;
  readonly workloadName: string;
  readonly status: ObjectStatus | undefined;
}

/** @throws FieldError */
export function readWorkloadEntry(metadata: Metadata, object: Fields): WorkloadEntry | undefined {
  if (isGenerated(metadata)) return undefined;
  const entry = readEntry(object["spec"], "spec");
  const labels = mergedLabels(entry.labels, metadata.labels);
  return {
    id: idOf(metadata),
    entry: { ...entry, labels },
    tunnel: tunnelOf(labels, metadata.annotations),
    workloadName:
      metadata.annotations("istio.io/autoRegistrationGroup") ||
      labels.map.get("service.istio.io/workload-name") ||
      metadata.name,
    status: readStatus(metadata, object),
  };
}

const HOSTNAME =
  /^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/** Whether clients could look it up: labels of at most 63 characters, 253 in all, and not an address gone wrong. */
export function isHostname(text: string): boolean {
  return text.length <= 253 && HOSTNAME.test(text) && !/^[0-9.]+$/.test(text);
}

/** @throws FieldError */
export function readEntry(value: unknown, field: string): Entry {
  const fields = fieldsOf(value, field);
  const address = textOf(fields["address"], `${field}.address`, 253);
  const network = textOf(fields["network"], `${field}.network`, 253);
  if (address === "" && network === "")
    throw new FieldError(`${field}.address`, "is missing; an endpoint needs an address, or a network with a gateway");
  const ip = parseIp(address) === undefined ? undefined : endpointAddress(address, `${field}.address`);
  if (address !== "" && ip === undefined && !isHostname(address))
    throw new FieldError(`${field}.address`, `is ${JSON.stringify(address)}, neither an IP address nor a host name`);
  return {
    address,
    ip,
    network: network || undefined,
    labels: labelsOf(fields["labels"], `${field}.labels`),
    serviceAccount: textOf(fields["serviceAccount"], `${field}.serviceAccount`, 253),
    locality: parseLocality(textOf(fields["locality"], `${field}.locality`)),
    weight: integerOf(fields["weight"], `${field}.weight`, 0, 4_294_967_295) || undefined,
    ports: entryPorts(fields["ports"], `${field}.ports`),
  };
}

function entryPorts(value: unknown, field: string): ReadonlyMap<string, number> {
  const fields = fieldsOf(value, field);
  return new Map(Object.keys(fields).map((name) => [name, portOf(fields[name], `${field}[${name}]`)]));
}
