import { objectKey, type ObjectKey } from "../../names.ts";
import type { ServiceEntry } from "../kube/service-entry.ts";
import type { KubeService, ServicePort } from "../kube/service.ts";
import type { ProxyPort } from "../model/proxy-service.ts";
import { protocolHint } from "../protocol-hint.ts";
import type { Offer } from "../service-offers.ts";

export interface ProtocolReads {
  readonly kubeServices: { get(key: ObjectKey): KubeService | undefined };
  readonly entries: { get(key: ObjectKey): ServiceEntry | undefined };
}

/** What is spoken at each port of a service, as `HTTP` or `UDP`, by number; empty if nothing says. */
export function protocolsOf(offer: Offer, { kubeServices, entries }: ProtocolReads): ReadonlyMap<number, string> {
  const { global, kind, id } = offer;
  if (global !== undefined) return new Map(global.ports.map((port, at) => [port.servicePort, global.protocols[at]!]));
  const key = objectKey(id.cluster, id.namespace, id.name);
  if (kind === "Service") return byNumber(kubeServices.get(key)?.ports ?? [], protocolHint);
  return byNumber(entries.get(key)?.ports ?? [], entryProtocol);
}

/** A number may be there for TCP and UDP: what is not UDP counts. */
function byNumber(
  ports: readonly ServicePort[],
  protocolOf: (port: ServicePort) => string,
): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const port of ports) {
    const known = found.get(port.port);
    if (known === undefined || known === "UDP") found.set(port.port, protocolOf(port));
  }
  return found;
}

/** An entry says it outright; TCP, which is also what it says by silence, yields to what the name says. */
export function entryProtocol(port: ServicePort): string {
  const said = port.protocol.toUpperCase();
  return said === "TCP" ? protocolHint(port) || said : said;
}

const HTTP: readonly string[] = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"];

/** How a waypoint reads it; undefined if it cannot take it at all. */
export function chainOf(protocol: string): ProxyPort["protocol"] | undefined {
  const upper = protocol.toUpperCase();
  if (upper === "UDP") return undefined;
  if (upper === "") return "detected";
  return HTTP.includes(upper) ? "http" : "tcp";
}

/** True for what is HTTP/2 only. */
export const isHttp2 = (protocol: string): boolean => ["HTTP2", "GRPC"].includes(protocol.toUpperCase());
