import { isTrustDomain } from "../../spiffe.ts";
import type { GatewayHost, Locality } from "../model/address.ts";
import { parseIp } from "../ip.ts";
import { FieldError, fieldsOf, integerOf, isFields, listOf, textOf, type Fields } from "./fields.ts";
import { labelSelectorOf, type LabelSelector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { drainWishOf, type DrainWish } from "./peering-annotations.ts";
import { localityOf } from "./namespace.ts";
import {
  readGatewayDeployment,
  readGatewayStatus,
  type GatewayDeployment,
  type GatewayStatus,
} from "./gateway-deployment.ts";
import { isHostname } from "./workload-entry.ts";

/** The class of Gateways that say where a peer, or another network, is (contract peering.md 2.2). */
export const REMOTE_CLASS = "istio-remote";
const TRUST_DOMAIN = "gateway.istio.io/trust-domain";

/** A Gateway of the Gateway API: a waypoint, or a way into another network. */
export interface KubeGateway {
  readonly id: ObjectId;
  readonly className: string;
  /** Where it is, from its status; empty until it is ready. */
  readonly addresses: readonly GatewayHost[];
  /** Where it shall be, from its spec. */
  readonly wantedAddresses: readonly GatewayHost[];
  readonly listeners: readonly Listener[];
  readonly waypointFor: string | undefined;
  readonly inboundBinding: string | undefined;
  readonly serviceAccount: string | undefined;
  /** The network it leads into; undefined if it says none. */
  readonly network: string | undefined;
  /** The cluster that it leads to, if it stands for another one; undefined if it does not say. */
  readonly leadsTo: string | undefined;
  /** The trust domain of what is behind it, itself included; undefined if it is the mesh's. */
  readonly trustDomain: string | undefined;
  readonly locality: Locality | undefined;
  /** How a peer is to be reached; as written, undefined if nobody said (contract peering.md 2.2). */
  readonly preferredServiceType: string | undefined;
  /** What a cluster's own east-west gateway offers; likewise. */
  readonly serviceType: string | undefined;
  readonly drain: DrainWish | undefined;
  /** The port at which an east-west gateway leads to the control plane; undefined if it does not (contract peering.md 1.2, B03). */
  readonly exposedIstiod: number | undefined;
  /** Counts changes of the spec; 0 if it does not say. */
  readonly generation: number;
  /** Empty for one that is in no API server. */
  readonly uid: string;
  readonly deployment: GatewayDeployment;
  /** Undefined for one that is in no API server. */
  readonly status: GatewayStatus | undefined;
}

export interface Listener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly terminates: boolean;
  /** Of TLS: it is passed on as it is. */
  readonly passes: boolean;
  /** Which namespaces may attach to it. */
  readonly namespaces: "same" | "all" | LabelSelector;
}

/** @throws FieldError */
export function readGateway(metadata: Metadata, object: Fields): KubeGateway {
  const spec = fieldsOf(object["spec"], "spec");
  const status = fieldsOf(object["status"], "status");
  const className = textOf(spec["gatewayClassName"], "spec.gatewayClassName", 253);
  return {
    id: idOf(metadata),
    className,
    addresses: hostsOf(status["addresses"], "status.addresses"),
    wantedAddresses: hostsOf(spec["addresses"], "spec.addresses"),
    listeners: listOf(spec["listeners"], "spec.listeners", 64).map((item, at) =>
      readListener(item, `spec.listeners[${at}]`),
    ),
    waypointFor: metadata.labels.map.get("istio.io/waypoint-for"),
    inboundBinding: metadata.annotations("ambient.istio.io/waypoint-inbound-binding"),
    serviceAccount: metadata.annotations("gateway.istio.io/service-account"),
    network: metadata.labels.map.get("topology.istio.io/network"),
    leadsTo: metadata.labels.map.get("topology.istio.io/cluster") || undefined,
    trustDomain: trustDomainOf(metadata),
    locality: localityOf(metadata.labels),
    preferredServiceType: metadata.annotations("peering.solo.io/preferred-data-plane-service-type"),
    serviceType: metadata.annotations("peering.solo.io/data-plane-service-type"),
    drain: drainWishOf(metadata.annotations),
    exposedIstiod: portOfLabel(metadata.labels.map.get("istio.io/expose-istiod")),
    generation: metadata.generation,
    uid: metadata.uid,
    deployment: readGatewayDeployment(metadata, spec),
    status: readGatewayStatus(metadata, object),
  };
}

/** What is no port exposes nothing. */
function portOfLabel(text: string | undefined): number | undefined {
  const port = /^[0-9]{1,5}$/.test(text ?? "") ? Number(text) : 0;
  return port > 0 && port <= 65_535 ? port : undefined;
}

/** @throws FieldError for what could not be part of an identity. */
function trustDomainOf({ annotations }: Metadata): string | undefined {
  const text = annotations(TRUST_DOMAIN)?.toLowerCase() ?? "";
  if (text !== "" && !isTrustDomain(text))
    throw new FieldError(
      `metadata.annotations[${TRUST_DOMAIN}]`,
      `is ${JSON.stringify(text.slice(0, 80))}; a trust domain is a DNS name, as cluster.local`,
    );
  return text || undefined;
}

function hostsOf(value: unknown, field: string): readonly GatewayHost[] {
  return listOf(value, field, 64).flatMap((item, at): GatewayHost[] => {
    if (!isFields(item)) throw new FieldError(`${field}[${at}]`, "must have a type and a value");
    const text = textOf(item["value"], `${field}[${at}].value`, 253);
    // An address without a value asks for any: there is nothing to reach yet.
    if (text === "") return [];
    const ip = parseIp(text);
    if (ip !== undefined) return [{ kind: "ip", ip }];
    if (item["type"] !== "Hostname" || !isHostname(text))
      throw new FieldError(
        `${field}[${at}].value`,
        `is ${JSON.stringify(text)}, neither an IP address nor, with type Hostname, a host name`,
      );
    return [{ kind: "hostname", hostname: text.toLowerCase() }];
  });
}

function readListener(item: unknown, field: string): Listener {
  const listener = fieldsOf(item, field);
  const routes = fieldsOf(listener["allowedRoutes"], `${field}.allowedRoutes`);
  const namespaces = fieldsOf(routes["namespaces"], `${field}.allowedRoutes.namespaces`);
  const from = textOf(namespaces["from"], `${field}.allowedRoutes.namespaces.from`) || "Same";
  const tls = fieldsOf(listener["tls"], `${field}.tls`);
  return {
    name: textOf(listener["name"], `${field}.name`, 253),
    port: integerOf(listener["port"], `${field}.port`, 1, 65_535) ?? 0,
    protocol: textOf(listener["protocol"], `${field}.protocol`, 255),
    terminates: tls["mode"] === "Terminate",
    passes: tls["mode"] === "Passthrough",
    namespaces:
      from === "All"
        ? "all"
        : from === "Selector"
          ? labelSelectorOf(namespaces["selector"], `${field}.allowedRoutes.namespaces.selector`)
          : "same",
  };
}
