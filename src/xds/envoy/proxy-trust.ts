import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import { derive } from "../../registry/collection/derive.ts";
import type { Graph } from "../../registry/collection/graph.ts";
import { Index } from "../../registry/collection/index-by.ts";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { proxyKey } from "../../registry/model/proxy-service.ts";
import { encoding, type Encoding } from "./encoded.ts";
import { TRUST, trustName } from "./resource-names.ts";
import { encodeDomainTrust, encodeTrust, type TrustedDomain } from "./trust-secrets.ts";

/** The secrets of each gateway: whom it believes as callers, and as servers. */
export function trustSecrets(
  graph: Graph,
  gateways: Collection<ObjectKey, ProxyGateway>,
  trust: Collection<string, TrustedDomain>,
): readonly Encoding[] {
  const reads = { trust: new Index(graph, trust, "all", () => ["all"]) };
  const callers = derive(graph, {
    name: "trust-of-callers",
    distinct: true,
    from: gateways,
    reads,
    to: (_gateway, reads, key) => {
      const domains = reads.trust.get("all");
      // Without any there is no such secret, and who needs it waits: Envoy takes no empty one.
      return domains.length === 0 ? [] : [[proxyKey(key, TRUST), domains] as const];
    },
  });
  const servers = derive(graph, {
    name: "trust-of-servers",
    distinct: true,
    from: gateways,
    reads,
    to: (_gateway, reads, key) =>
      reads.trust.get("all").map((domain) => [proxyKey(key, trustName(domain.trustDomain)), domain] as const),
  });
  return [encoding(callers, encodeTrust), encoding(servers, encodeDomainTrust)];
}
