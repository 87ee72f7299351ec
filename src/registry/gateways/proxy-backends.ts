import type { ObjectKey, ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { ProxyBackend } from "../model/proxy-backend.ts";
import type { Offer } from "../service-offers.ts";
import { DEFAULT_SETTINGS, settingsFor, type HostSettings } from "./backend-settings.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import type { NeededBackend } from "./needed-backends.ts";
import { chainOf, isHttp2, protocolsOf, type ProtocolReads } from "./service-protocols.ts";

export interface ProxyBackendInputs extends Pick<GatewayInputs, "objects" | "winners"> {
  readonly needed: Collection<string, NeededBackend>;
  /** What DestinationRules say. */
  readonly settings: Collection<ServiceName, HostSettings>;
}

/** How the proxies of each gateway speak to what they send to. */
export function proxyBackends(
  graph: Graph,
  { needed, winners, settings, objects }: ProxyBackendInputs,
): Collection<string, ProxyBackend> {
  return derive(graph, {
    name: "proxy-backends",
    distinct: true,
    from: needed,
    reads: { winners, settings, kubeServices: objects.services, entries: objects.serviceEntries },
    to: (need, reads, key) => {
      const { gateway, name, target } = need;
      if (target.kind === "ztunnels" || target.kind === "waypoint")
        return [[key, { gateway, name, protocol: "tcp", settings: DEFAULT_SETTINGS }] as const];
      const settings = settingsFor(reads.settings.get(need.service), namespaceOf(gateway), need.port);
      return [[key, { gateway, name, protocol: protocolOf(need, reads), settings }] as const];
    },
  });
}

const namespaceOf = (gateway: ObjectKey): string => gateway.split("/")[1]!;

function protocolOf(
  { service, port }: NeededBackend,
  reads: ProtocolReads & { readonly winners: { get(name: ServiceName): Offer | undefined } },
): ProxyBackend["protocol"] {
  const offer = reads.winners.get(service);
  const said = (offer && protocolsOf(offer, reads).get(port)) ?? "";
  if (isHttp2(said)) return "http2";
  return chainOf(said) === "tcp" ? "tcp" : "same";
}
