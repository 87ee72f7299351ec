import type { ServicePort } from "./kube/service.ts";

/** What is spoken, by what Kubernetes and Istio call it; all else says nothing (contract peering.md 2.12). */
const PROTOCOLS: ReadonlyMap<string, string> = new Map([
  ["http", "HTTP"],
  ["http2", "HTTP2"],
  ["h2c", "HTTP2"],
  ["https", "HTTPS"],
  ["grpc", "GRPC"],
  ["grpc-web", "GRPC-Web"],
  ["tcp", "TCP"],
  ["tls", "TLS"],
  ["mongo", "Mongo"],
  ["mysql", "MySQL"],
  ["redis", "Redis"],
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "HTTPS"],
]);

/** By `appProtocol`, else by what the name begins with, as `grpc-web`, `http-metrics` or `http`; empty if neither says. */
export function protocolHint({ protocol, appProtocol, name }: ServicePort): string {
  if (protocol === "UDP") return "UDP";
  if (appProtocol !== undefined) return PROTOCOLS.get(appProtocol.toLowerCase()) ?? "";
  const [first = "", second] = name.toLowerCase().split("-");
  return (second === undefined ? undefined : PROTOCOLS.get(`${first}-${second}`)) ?? PROTOCOLS.get(first) ?? "";
}
